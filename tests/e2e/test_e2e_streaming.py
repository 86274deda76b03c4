"""Pieces reach the client while the model is still at work, and the work ends with the client's leaving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.gated_model import Gate
from tests.e2e.running_server import RunningServer, StartServer

LANGSERVE = ["/chat/stream", "/chat/stream_log", "/chat/stream_events"]
OPENAI = "/v1/chat/completions"


def body(path: str, question: str = "What now?", model: str = "gated:slow") -> dict[str, Any]:
    if path == OPENAI:
        return {
            "model": model,
            "stream": True,
            "messages": [{"role": "user", "content": question}],
            "metadata": {"no_cache": "true"},
        }
    return {"input": question, "config": {"configurable": {"model": model, "no_cache": True}}}


def until_text(lines: Iterator[str], text: str) -> str:
    """Read until a line holds the text; all that was read."""
    read = ""
    for line in lines:
        read += line + "\n"
        if text in line:
            return read
    raise AssertionError(f"{text!r} never came: {read}")


def at_work(server: RunningServer) -> int:
    """Model calls under way in the cache's eyes."""
    return int(httpx.get(f"{server.url}/admin/cache", headers=server.admin).json()["in_flight"])


@pytest.mark.parametrize("path", [*LANGSERVE, OPENAI])
def test_the_first_piece_comes_before_the_model_has_finished(path: str, gated: RunningServer, gate: Gate) -> None:
    with httpx.stream("POST", gated.url + path, json=body(path), headers={"X-Request-Id": f"first{path}"}) as reply:
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reply.headers["x-request-id"] == f"first{path}"
        lines = reply.iter_lines()
        read = until_text(lines, "first ")
        assert "second" not in read
        assert gate.events == ["start"]
        assert gated.lines(request_id=f"first{path}") == []
        gate.open()
        rest = "\n".join(lines)
    assert "last" in rest
    assert rest.rstrip().endswith("data: [DONE]" if path == OPENAI else "event: end")
    gate.wait_for("done")
    assert gated.wait_for_line(request_id=f"first{path}")["status"] == 200


@pytest.mark.parametrize("path", [*LANGSERVE, OPENAI])
def test_a_client_that_leaves_stops_the_model(path: str, gated: RunningServer, gate: Gate) -> None:
    with httpx.stream("POST", gated.url + path, json=body(path), headers={"X-Request-Id": f"left{path}"}) as reply:
        until_text(reply.iter_lines(), "first ")
    gate.wait_for("cancelled")
    line = gated.wait_for_line(request_id=f"left{path}")
    assert (line["event"], line["level"]) == ("request.client_disconnected", "info")
    assert at_work(gated) == 0


@pytest.mark.parametrize("path", ["/chat/invoke", "/chat/batch", OPENAI])
async def test_a_client_that_leaves_before_the_answer_stops_the_model(
    path: str, gated: RunningServer, gate: Gate
) -> None:
    question, calls = {**body(path), "stream": False}, 1
    if path == "/chat/batch":
        question["inputs"], calls = [question.pop("input"), "And then?"], 2
    async with httpx.AsyncClient(timeout=60) as http:
        asking = asyncio.create_task(http.post(gated.url + path, json=question))
        await asyncio.to_thread(gate.wait_for, "start", calls)
        asking.cancel()
        await asyncio.wait([asking])
    gate.wait_for("cancelled", calls)
    assert "done" not in gate.events


def test_one_who_leaves_does_not_stop_another(gated: RunningServer, gate: Gate) -> None:
    """Two wait for one call of the model; the call goes on while one of them waits."""
    shared: dict[str, Any] = {"input": "Shared?", "config": {"configurable": {"model": "gated:slow"}}}
    with httpx.stream("POST", f"{gated.chat}/stream", json=shared) as stays:
        lines = stays.iter_lines()
        until_text(lines, "first ")
        with httpx.stream("POST", f"{gated.chat}/stream", json=shared, headers={"X-Request-Id": "leaves"}) as leaves:
            until_text(leaves.iter_lines(), "first ")
        gated.wait_for_line(request_id="leaves", event="request.client_disconnected")
        gate.open()
        until_text(lines, "event: end")
    assert gate.events == ["start", "done"]


def test_a_stream_that_breaks_says_so(gated: RunningServer, gate: Gate) -> None:
    with httpx.stream("POST", f"{gated.chat}/stream", json=body("/chat/stream", model="gated:broken")) as reply:
        lines = reply.iter_lines()
        until_text(lines, "first ")
        gate.open()
        rest = "\n".join(lines)
    assert rest.count("event: error") == 1
    assert "event: end" not in rest
    error = json.loads(rest.partition("event: error\ndata: ")[2].partition("\n")[0])
    assert (error["status_code"], "inner.example" in rest) == (503, False)

    with httpx.stream("POST", gated.url + OPENAI, json=body(OPENAI, model="gated:broken")) as reply:
        rest = "\n".join(reply.iter_lines())
    error = json.loads(rest.rstrip().rpartition("data: ")[2])["error"]
    assert (error["type"], error["code"]) == ("server_error", "service_unavailable")
    assert 'finish_reason":"' not in rest
    assert "inner.example" not in rest


def test_the_demo_model_streams_at_its_pace(start_server: StartServer) -> None:
    server = start_server(toml="[plugins.demo-model]\nlatency_ms = 50\ntokens_per_second = 20\n")
    question = {
        "model": "demo:simulated-1",
        "stream": True,
        "messages": [{"role": "user", "content": "What is Edwina Hawthorne's credit score?"}],
    }
    headers = {"X-Request-Id": "paced"}
    with httpx.stream("POST", server.url + OPENAI, json=question, headers=headers) as reply:
        lines = reply.iter_lines()
        text = ""
        for line in lines:
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if text:
                break
        assert server.lines(request_id="paced") == [], "the whole answer was made before its first piece was sent"
        assert text != "Edwina Hawthorne's credit score is 742."
        for line in lines:
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
    assert text == "Edwina Hawthorne's credit score is 742."
    server.wait_for_line(request_id="paced", status=200)
