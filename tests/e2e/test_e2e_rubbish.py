"""Whatever is sent, the server says what is wrong with it, and writes down nothing of it."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer

LANGSERVE = ["/chat/invoke", "/chat/batch", "/chat/stream", "/chat/stream_log", "/chat/stream_events"]
OPENAI = "/v1/chat/completions"
POSTS = [*LANGSERVE, OPENAI, "/admin/cache/invalidate", "/chat/c/N4Ig/invoke"]
# These share the reading of their bodies with another route, or refuse the path before they read one.
ALIKE = ["/chat/stream", "/chat/stream_log", "/chat/c/N4Ig/invoke"]
SCORE = "What is Edwina Hawthorne's credit score, and is edwina.hawthorne@example.com or 555-0142 right?"
# Values of the wrong kind, and of the right kind but beyond all measure.
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    1e308,
    1.5,
    "",
    " ",
    "\x00",
    SCORE + "\x00\x1b[31m\u2028\u202e\ufeff\U0001f600",
    "x" * 5000,
    [],
    [[]],
    [None],
    {},
    {"": {}},
    {"type": "text"},
    {"type": "constructor", "lc": 1},
]
FIELDS = (
    *("input", "inputs", "config", "kwargs", "include_names", "exclude_tags"),
    *("model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens"),
    *("stop", "seed", "n", "user", "metadata", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
    *("logit_bias", "presence_penalty", "reasoning_effort"),
    *("customer_id", "namespace", "key"),
)
CONFIGURABLE = (
    *("model", "customer_id", "session_id", "max_age", "no_cache"),
    *("temperature", "stop", "seed", "max_tokens"),
)
MESSAGE = ["role", "type", "content", "tool_calls", "tool_call_id", "name", "id", "additional_kwargs"]


def good(path: str) -> dict[str, Any]:
    if path == OPENAI:
        return {"model": "demo:simulated-1", "messages": [{"role": "user", "content": SCORE}], "metadata": {}}
    if path.startswith("/admin"):
        return {"customer_id": "NOBODY"}
    return {"input": [{"role": "user", "content": SCORE}], "inputs": [SCORE], "config": {"configurable": {}}}


def nested(depth: int, around: str = '"x"') -> str:
    return '{"a":[' * depth + around + "]}" * depth


def broken_bodies(path: str) -> Iterator[bytes]:
    """What is hardly JSON, or JSON that no parser likes."""
    dice = random.Random(path)
    for size in (0, 1, 2, 100, 5000):
        yield dice.randbytes(size)
    for text in (
        "{",
        "[]",
        "null",
        "1",
        '"x"',
        "{}}",
        '{"input":"x"',
        "NaN",
        "{'input': 1}",
        "\ufeff{}",
        "[" * 100_000,
    ):
        yield text.encode()
    yield nested(100_000)[:50_000].encode()
    whole = json.dumps(good(path))
    for start in range(1, len(whole), 17):
        yield whole[:start].encode()
    for _ in range(20):  # one byte is another
        flipped = bytearray(whole.encode())
        flipped[dice.randrange(len(flipped))] = dice.randrange(256)
        yield bytes(flipped)
    for place in ("input", "inputs", "messages", "config", "metadata", "customer_id", "x"):
        for value in (
            *('"\\ud800"', '["\\udfff\\ud800"]', '{"\\ud800":1}', '"\\u0000"', "1e400", "-1e400", "NaN", "Infinity"),
            *("1" * 400, "-" + "9" * 30, "1" + "0" * 5000, nested(200), nested(400), nested(510), nested(1200)),
            *('[{"role":"user","content":"\\ud83d"}]', '[{"role":"user","content":' + nested(300) + "}]"),
            '[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x","y":' + nested(300) + "}}]}]",
            '[{"role":"assistant","content":"","tool_calls":[' + nested(300) + ']},{"role":"user","content":"x"}]',
            '{"messages":[{"role":"user","content":"x","additional_kwargs":' + nested(300) + "}]}",
            '{"configurable":' + nested(300) + "}",
            '{"metadata":' + nested(300) + "}",
        ):
            body = good(path)
            body.pop(place, None)
            yield (json.dumps(body)[:-1] + (", " if body else "") + f'"{place}":{value}}}').encode()


def odd_bodies(path: str) -> Iterator[bytes]:
    """JSON that is well-formed, with one thing in it that is not as it should be."""
    for value in ODD:
        for field in FIELDS:
            yield json.dumps({**good(path), field: value}).encode()
        for key in CONFIGURABLE:
            for where in ({"config": {"configurable": {key: value}}}, {"metadata": {key: value}}):
                yield json.dumps({**good(path), **where}).encode()
        for key in MESSAGE:
            message = {"role": "user", "content": SCORE, key: value}
            place = "messages" if path == OPENAI else "input"
            yield json.dumps({**good(path), place: [message], "inputs": [[message]]}).encode()
        part = [{"type": kind, kind: value} for kind in ("text", "image_url", "input_audio", "file")]
        message = {"role": "user", "content": part}
        yield json.dumps({**good(path), "messages": [message], "input": [message], "inputs": [[message]]}).encode()


TYPES = (
    *("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""),
    *("application/json; charset=utf-16", "nonsense"),
)


def send(http: httpx.Client, path: str, body: bytes, content_type: str = "application/json") -> None:
    reply = http.post(path, content=body, headers={"Content-Type": content_type})
    assert reply.status_code < 500, (path, reply.status_code, body[:300], reply.text[:300])
    assert reply.headers["x-request-id"]
    if "text/event-stream" in reply.headers["content-type"]:
        assert "event: error" not in reply.text, (path, body[:300], reply.text[-300:])
        assert '"error":{' not in reply.text, (path, body[:300], reply.text[-300:])
    else:
        reply.json()


@pytest.mark.slow
@pytest.mark.parametrize("path", POSTS)
def test_rubbish_is_refused_in_good_order(http: httpx.Client, server: RunningServer, path: str) -> None:
    for body in broken_bodies(path):
        send(http, path, body)
    for body in () if path in ALIKE else odd_bodies(path):
        send(http, path, body)
    for content_type in TYPES:
        for body in (json.dumps(good(path)).encode(), b"\xff\xfe", b"input=x"):
            send(http, path, body, content_type)
    # And it goes on answering, as if nothing had been.
    reply = http.post("/chat/invoke", json={"input": SCORE})
    assert (reply.status_code, "742" in reply.text) == (200, True)
    server.check_log()


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /v1/models/%ff%fe%00%0a%1b[31m HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /chat/c/Edwina%20Hawthorne/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /v1/" + b"x" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Customer-Id: \xff\xfe\r\nAuthorization: \xff\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET /v1/models HTTP/1.0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\r\nX-Request-Id: \x80\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /chat/invoke HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ],
)
def test_rubbish_that_is_no_request(server: RunningServer, http: httpx.Client, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert not answer or answer[9:10] in b"234", answer[:200]
    assert http.get("/health").status_code == 200
    server.check_log()


@pytest.mark.parametrize("header", ["X-Customer-Id", "X-Session-Id", "Cache-Control", "User-Agent", "X-Request-Id"])
def test_odd_headers(http: httpx.Client, header: str) -> None:
    for value in (b"", b"\xff\xfe", "ü\u2028".encode(), b"x" * 10_000, b"max-age=" + b"9" * 5000, b"\x01", b"=,=;,"):
        for path in (*LANGSERVE, OPENAI):
            reply = http.post(path, json=good(path), headers={header.encode(): value})
            assert reply.status_code < 500, (path, header, value[:20], reply.text)


def test_the_look_at_the_log_finds_what_it_should(tmp_path: Path) -> None:
    """A check that cannot fail proves nothing."""
    looked_at = RunningServer(tmp_path, expects="known fault")
    times = {"timestamp": "2026-01-01T00:00:00.742", "ms": 742.0}
    fine = {"event": "request.finished", "level": "info", "request_id": "742", **times}
    looked_at.log.write_text(json.dumps(fine) + "\n")
    looked_at.check_log()
    for wrong in (
        {**fine, "question": SCORE},
        {**fine, "detail": "the score is 742."},
        {**fine, "to": "+1 (503) 555-0142"},
        {**fine, "to": "edwina.hawthorne@example.com"},
        {**fine, "level": "error"},
        {**fine, "exception": "Traceback (most recent call last)"},
    ):
        looked_at.log.write_text(json.dumps(wrong) + "\n")
        with pytest.raises(AssertionError):
            looked_at.check_log()
    looked_at.log.write_text(json.dumps({**fine, "level": "error", "event": "known fault"}) + "\n")
    looked_at.check_log()
    looked_at.log.write_text("Traceback (most recent call last):\n")
    with pytest.raises(AssertionError):
        looked_at.check_log()
