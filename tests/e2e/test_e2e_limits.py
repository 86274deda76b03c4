"""What one request may hold, how many there may be at once, and how long one may take."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.gated_model import TOML, Gate
from tests.e2e.running_server import RunningServer, StartGated

KEYS = ("messages", "body", "batch", "burst-1", "burst-2", "at-work")
LIMITS = """
[chat]
max_body_bytes = 2000
max_messages = 4
max_characters = 300
max_batch = 2
max_concurrent = 2
"""
RATE = 12
LONGEST = 60 + 60 // RATE
"""Seconds: what was counted at the very beginning of a minute still counts a little in the next one."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Gate]]:
    """A server with narrow limits; each test has a key of its own, as requests are counted by key."""
    gate = Gate(tmp_path_factory.mktemp("gate"))
    variables = {
        **gate.variables,
        "TILORES_API_KEYS": ",".join(f"{name}:{name}" for name in KEYS),
        "TILORES_RATE_LIMIT": f"{RATE}/minute",
    }
    with RunningServer(tmp_path_factory.mktemp("limited"), toml=TOML + LIMITS, variables=variables) as server:
        yield server, gate
        gate.open()


def client(server: RunningServer, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


def human(*texts: str) -> dict[str, Any]:
    return {"input": [["human", text] for text in texts]}


def user(*texts: str) -> dict[str, Any]:
    return {"model": "gated:slow", "messages": [{"role": "user", "content": text} for text in texts]}


def test_messages_and_characters(limited: tuple[RunningServer, Gate]) -> None:
    with client(limited[0], "messages") as http:
        for texts, said in ((["?"] * 5, "5 messages, at most 4"), (["?" * 301], "301 characters, at most 300")):
            reply = http.post("/chat/invoke", json=human(*texts))
            assert reply.status_code == 422
            assert reply.json()["detail"][0]["loc"] == ["input"]
            assert said in reply.json()["message"]
            reply = http.post("/chat/stream", json=human(*texts))
            assert (reply.status_code, reply.headers["content-type"]) == (422, "application/json")
            reply = http.post("/v1/chat/completions", json=user(*texts))
            assert reply.status_code == 400
            assert reply.json()["error"]["param"] == "messages"
            assert said in reply.json()["error"]["message"]


def test_body(limited: tuple[RunningServer, Gate]) -> None:
    big = json.dumps({**human("?"), "kwargs": "x" * 2000})

    def in_parts() -> Iterator[bytes]:  # so that no length is declared
        for start in range(0, len(big), 500):
            yield big[start : start + 500].encode()

    with client(limited[0], "body") as http:
        for content in (big, in_parts()):
            reply = http.post("/chat/invoke", content=content)
            assert (reply.status_code, "2000 bytes" in reply.json()["message"]) == (413, True)
        for content in (big, in_parts()):
            reply = http.post("/v1/chat/completions", content=content)
            assert (reply.status_code, "2000 bytes" in reply.json()["error"]["message"]) == (413, True)
        for content in (big, in_parts()):
            reply = http.post(
                "/admin/cache/invalidate",
                content=content,
                headers={"Content-Type": "application/json", **limited[0].admin},
            )
            assert (reply.status_code, "2000 bytes" in reply.json()["detail"]) == (413, True)
        # The connection is good for another request.
        assert http.get("/v1/models").status_code == 200


def test_batch(limited: tuple[RunningServer, Gate]) -> None:
    with client(limited[0], "batch") as http:
        reply = http.post("/chat/batch", json={"inputs": ["?"] * 3})
        assert (reply.status_code, "at most 2" in reply.json()["message"]) == (422, True)
        reply = http.post("/chat/batch", json={"inputs": ["?", "?" * 301]})
        assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["inputs", 1])
        reply = http.post("/chat/batch", json={"inputs": ["a", "b"], "config": [{}]})
        assert reply.json()["detail"] == "Number of configs (1) must match number of inputs (2)"
        reply = http.post("/chat/batch", json={"inputs": []})
        assert reply.json() == {"output": [], "metadata": {"responses": [], "run_ids": []}}


def test_rate(limited: tuple[RunningServer, Gate]) -> None:
    with client(limited[0], "burst-1") as http:
        for _ in range(RATE):
            assert http.get("/chat/input_schema").status_code == 200
        reply = http.post("/chat/invoke", json=human("?"))
        assert reply.status_code == 429
        assert 1 <= int(reply.headers["retry-after"]) <= LONGEST
        assert set(reply.json()) == {"detail", "message"}
        assert str(RATE) in reply.json()["detail"]
        # Both protocols count together.
        reply = http.get("/v1/models")
        assert reply.status_code == 429
        assert 1 <= int(reply.headers["retry-after"]) <= LONGEST
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert http.get("/health").status_code == 200
    with openai.OpenAI(base_url=limited[0].v1, api_key="burst-2", max_retries=0) as sdk:  # another key, its own count
        for _ in range(RATE):
            sdk.models.list()
        with pytest.raises(openai.RateLimitError):
            sdk.models.list()


def test_requests_at_once(limited: tuple[RunningServer, Gate]) -> None:
    server, gate = limited
    replies: list[httpx.Response] = []

    def wait(question: str) -> None:
        with client(server, "at-work") as http:
            replies.append(http.post("/chat/invoke", json=human(question)))

    waiting = [threading.Thread(target=wait, args=(question,)) for question in ("one?", "two?")]
    for thread in waiting:
        thread.start()
    gate.wait_for("start", 2)
    with client(server, "at-work") as http:
        for path in ("/chat/invoke", "/chat/stream"):
            reply = http.post(path, json=human("three?"))
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1"), path
            assert "too many requests at once" in reply.json()["detail"]
        for stream in (False, True):
            reply = http.post("/v1/chat/completions", json={**user("three?"), "stream": stream})
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
            assert reply.json()["error"]["code"] == "service_unavailable"
        assert http.get("/v1/models").status_code == 200
        gate.open()
        for thread in waiting:
            thread.join()
        assert [reply.status_code for reply in replies] == [200, 200]
        assert http.post("/chat/invoke", json=human("three?")).status_code == 200
    assert gate.events.count("start") == 3


def test_deadline(start_gated: StartGated) -> None:
    server, gate = start_gated(toml="[chat]\ndeadline_seconds = 1.0\n")
    with httpx.Client(base_url=server.url, timeout=30, headers=server.admin) as http:
        reply = http.post("/chat/invoke", json=human("whole?"))
        assert (reply.status_code, reply.json()["detail"]) == (504, "The answer took too long")
        gate.wait_for("cancelled", 1)
        reply = http.post("/v1/chat/completions", json=user("whole too?"))
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert reply.json()["error"]["type"] == "server_error"
        gate.wait_for("cancelled", 2)
        # The first piece was sent, so what is left is to say so in the stream.
        reply = http.post("/chat/stream", json=human("in pieces?"))
        assert reply.status_code == 200
        assert "first " in reply.text
        error = json.loads(reply.text.partition("event: error\ndata: ")[2])
        assert (error["status_code"], "event: end" in reply.text) == (504, False)
        gate.wait_for("cancelled", 3)
        reply = http.post("/v1/chat/completions", json={**user("in pieces too?"), "stream": True})
        assert "first " in reply.text
        assert '"error":{' in reply.text.rstrip().rpartition("data: ")[2]
        assert "[DONE]" not in reply.text
        gate.wait_for("cancelled", 4)
        assert http.get("/admin/cache").json()["in_flight"] == 0
