"""Every fault once, as it looks on the socket; what is scripted, counted and refused; the command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tilores_core.testing.fake_upstream import (
    DIALECTS,
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    FakeUpstream,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    MalformedReply,
    NoEndMark,
    NoFinish,
    Reply,
    Reset,
    Stall,
)

TEXT = "one two three four"
SHORT = 0.05  # seconds in which nothing may come
END = b"0\r\n\r\n"
DONE = b"data: [DONE]"


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream("openai") as made:
        made.otherwise = TEXT
        yield made


class Raw:
    """One connection, byte by byte."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream

    async def __aenter__(self) -> Raw:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.upstream.port)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.writer.close()

    def ask(self, *, stream: bool = True, key: str | None = None, **body: Any) -> None:
        asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream, **body}
        self.send("/v1/chat/completions", json.dumps(asked).encode(), key=key)

    def send(self, path: str, body: bytes, *, key: str | None = None, method: str = "POST") -> None:
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key or self.upstream.key}\r\n"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    async def quiet(self) -> bytes:
        """What comes until nothing does, the connection still being open."""
        got = b""
        while True:
            try:
                more = await asyncio.wait_for(self.reader.read(65536), SHORT)
            except TimeoutError:
                return got
            assert more, f"closed after {got!r}"
            got += more

    async def rest(self) -> bytes:
        """What comes until the other side closes."""
        return await asyncio.wait_for(self.reader.read(-1), 60)

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """A response with a length."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))


async def spoken(upstream: FakeUpstream, **asked: Any) -> bytes:
    """A streamed answer to its end."""
    async with Raw(upstream) as raw:
        raw.ask(**asked)
        return await raw.reader.readuntil(END)


# --- streams


async def test_a_healthy_stream(upstream: FakeUpstream) -> None:
    said = await spoken(upstream, stream_options={"include_usage": True})
    assert said.count(b'"content":" ') == 3
    assert said.index(b'"finish_reason":"stop"') < said.index(b'"choices":[]') < said.index(DONE)
    assert b"event:" not in said


@pytest.mark.parametrize("reset", [False, True])
async def test_cut(upstream: FakeUpstream, reset: bool) -> None:
    upstream.enqueue(Reply(TEXT, fault=Cut(after=2, reset=reset)))
    async with Raw(upstream) as raw:
        raw.ask()
        got = await raw.reader.readuntil(b"two")
        if reset:
            with pytest.raises(ConnectionResetError):
                await raw.rest()
        else:
            got += await raw.rest()
    assert b"three" not in got
    assert END not in got
    assert upstream.disconnects == 0


async def test_stall_for_ever_until_the_client_goes(upstream: FakeUpstream) -> None:
    upstream.enqueue(Reply(TEXT, fault=Stall(after=2)))
    async with Raw(upstream) as raw:
        raw.ask()
        got = await raw.quiet()
        assert b"two" in got
        assert b"three" not in got
        assert upstream.running == 1
    assert await upstream.until(lambda: upstream.disconnects == 1)
    (asked,) = upstream.requests
    assert (asked.pieces, asked.disconnected, asked.done, upstream.running) == (2, True, False, 0)


async def test_stall_for_a_while(upstream: FakeUpstream) -> None:
    upstream.enqueue(Reply(TEXT, fault=Stall(after=2, seconds=2 * SHORT)))
    async with Raw(upstream) as raw:
        raw.ask()
        assert b"three" not in await raw.quiet()
        assert DONE in await raw.reader.readuntil(END)


async def test_hang_with_and_without_headers(upstream: FakeUpstream) -> None:
    upstream.enqueue(Hang(), Hang(headers=True))
    async with Raw(upstream) as raw:
        raw.ask()
        assert await raw.quiet() == b""
    async with Raw(upstream) as raw:
        raw.ask()
        got = await raw.quiet()
        assert got.startswith(b"HTTP/1.1 200")
        assert got.endswith(b"\r\n\r\n")
    assert await upstream.until(lambda: upstream.disconnects == 2)


@pytest.mark.parametrize("streamed", [False, True])
async def test_reset(upstream: FakeUpstream, streamed: bool) -> None:
    upstream.enqueue(Reset())
    async with Raw(upstream) as raw:
        raw.ask(stream=streamed)
        with pytest.raises(ConnectionResetError):
            await raw.rest()


async def test_endings(upstream: FakeUpstream) -> None:
    upstream.enqueue(
        Reply(TEXT, fault=NoFinish()), Reply(TEXT, fault=NoFinish(mark=True)), Reply(TEXT, fault=NoEndMark())
    )
    unfinished, marked, unmarked = [await spoken(upstream) for _ in range(3)]
    for said in (unfinished, marked, unmarked):
        assert b"four" in said
    assert (b'"stop"' in unfinished, DONE in unfinished) == (False, False)
    assert (b'"stop"' in marked, DONE in marked) == (False, True)
    assert (b'"stop"' in unmarked, DONE in unmarked) == (True, False)


async def test_malformed_and_error_events(upstream: FakeUpstream) -> None:
    upstream.enqueue(Reply(TEXT, fault=MalformedEvent(after=1)), Reply(TEXT, fault=ErrorEvent(after=1, status=503)))
    events = [line[6:] for line in (await spoken(upstream)).split(b"\n") if line.startswith(b"data: {")]
    broken = [event for event in events if not event.endswith(b"}")]
    assert len(broken) == 1
    assert b"one" in events[events.index(broken[0]) - 1]
    assert b"two" in events[events.index(broken[0]) + 1]
    said = await spoken(upstream)
    assert b"one" in said
    assert b"two" not in said
    assert b'data: {"error":{"message":' in said
    assert DONE not in said


async def test_pace(upstream: FakeUpstream) -> None:
    upstream.enqueue(Reply("one two", first_token=2 * SHORT, between=2 * SHORT), Reply("one", seconds=2 * SHORT))
    async with Raw(upstream) as raw:
        raw.ask()
        head = await raw.quiet()
        assert head.startswith(b"HTTP/1.1 200")
        assert b"data:" not in head
        await raw.reader.readuntil(b"one")
        assert b"two" not in await raw.quiet()
        await raw.reader.readuntil(END)
        raw.ask()
        assert await raw.quiet() == b""


# --- whole answers


async def test_whole_answers_are_spoiled_as_well(upstream: FakeUpstream) -> None:
    upstream.enqueue(
        Cut(), MalformedEvent(), MalformedReply(), Reply(TEXT, fault=NoFinish()), Reply(TEXT, fault=NoEndMark())
    )
    async with Raw(upstream) as raw:
        raw.ask(stream=False)
        head, _, body = (await raw.rest()).partition(b"\r\n\r\n")
        assert f"content-length: {2 * len(body)}".encode() in head or b"content-length" in head
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
    async with Raw(upstream) as raw:  # on one connection, that stays open
        raw.ask(stream=False)
        status, headers, body = await raw.reply()
        assert (status, headers["content-type"]) == (200, "application/json")
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)
        raw.ask(stream=False)
        assert (await raw.reply())[1]["content-type"] == "text/html"
        for reason in (None, "stop"):
            raw.ask(stream=False)
            (choice,) = json.loads((await raw.reply())[2])["choices"]
            assert (choice["message"]["content"], choice["finish_reason"]) == ("one two three four", reason)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code", "waits"),
    [
        (HttpError(status=429, retry_after=2), 429, "rate_limit_exceeded", "2"),
        (HttpError(status=429), 429, "rate_limit_exceeded", None),
        (HttpError(status=429, quota=True), 429, "insufficient_quota", None),
        (HttpError(status=500), 500, None, None),
        (HttpError(status=503, retry_after=0.5), 503, None, "0.5"),
        (HttpError(status=529), 529, None, None),
        (InvalidKey(), 401, "invalid_api_key", None),
        (ContextTooLong(), 400, "context_length_exceeded", None),
        (ContentRefused(), 400, "invalid_prompt", None),
    ],
)
async def test_refusals(
    upstream: FakeUpstream, fault: Any, status: int, code: str | None, waits: str | None, streamed: bool
) -> None:
    upstream.enqueue(fault)
    async with Raw(upstream) as raw:
        raw.ask(stream=streamed)
        got, headers, body = await raw.reply()
        error = json.loads(body)["error"]
        assert (got, error["code"], headers.get("retry-after")) == (status, code, waits)
        assert error["message"]
        assert set(error) == {"message", "type", "param", "code"}
        raw.ask(stream=False)  # the connection is still good
        assert (await raw.reply())[0] == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages[0].role"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"model": None}, "model"),
        ({"model": "o3", "max_tokens": 5}, "max_tokens"),
        ({"response_format": {"type": "json_object"}}, "messages"),
    ],
)
async def test_requests_are_checked(upstream: FakeUpstream, body: dict[str, Any], param: str) -> None:
    async with Raw(upstream) as raw:
        raw.ask(stream=False, **body)
        status, _, said = await raw.reply()
    assert (status, json.loads(said)["error"]["param"]) == (400, param)


async def test_keys_models_windows_and_routes() -> None:
    async with FakeUpstream("openai", models={"small": 5, "large": None}) as upstream, Raw(upstream) as raw:
        raw.ask(stream=False, key="wrong")
        assert (await raw.reply())[0] == 401
        raw.ask(stream=False, model="other")
        assert (await raw.reply())[0] == 404
        long = [{"role": "user", "content": "one two three four"}]
        raw.ask(stream=False, model="small", messages=long)
        assert json.loads((await raw.reply())[2])["error"]["code"] == "context_length_exceeded"
        raw.ask(stream=False, model="large", messages=long)
        assert (await raw.reply())[0] == 200
        raw.send("/v1/models", b"", method="GET")
        assert [model["id"] for model in json.loads((await raw.reply())[2])["data"]] == ["small", "large"]
        raw.send("/v1/embeddings", b"{}")
        assert (await raw.reply())[0] == 404
        raw.send("/v1/chat/completions", b"{nonsense")
        assert (await raw.reply())[0] == 400
    assert upstream.counts == {"": 4, "large": 1}


# --- scripting


async def test_where_a_reply_comes_from(upstream: FakeUpstream) -> None:
    upstream.enqueue("queued")
    upstream.enqueue("queued for a", model="a")
    upstream.always["a"] = HttpError(status=503)
    upstream.otherwise = lambda asked: f"otherwise {asked.model}"
    said = []
    async with Raw(upstream) as raw:
        for model in ("a", "b", "a", "b"):
            raw.ask(stream=False, model=model)
            status, _, body = await raw.reply()
            said.append(json.loads(body)["choices"][0]["message"]["content"] if status == 200 else status)
    assert said == ["queued for a", "queued", 503, "otherwise b"]
    assert upstream.counts == {"a": 2, "b": 2}
    assert upstream.waiting == 0
    upstream.clear()
    assert not upstream.requests
    assert not upstream.always


def test_in_a_thread_for_clients_that_block() -> None:
    from urllib.request import Request, urlopen

    with FakeUpstream("ollama", otherwise="Good day.") as upstream:
        asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": False}
        request = Request(f"{upstream.base_url}/api/chat", json.dumps(asked).encode())
        with urlopen(request, timeout=60) as reply:
            assert json.loads(reply.read())["message"]["content"] == "Good day."
    assert upstream.counts == {"m": 1}


def test_an_unknown_dialect_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="anthropic"):
        FakeUpstream("esperanto")
    assert len(DIALECTS) == 9


async def test_closing_drops_those_who_wait() -> None:
    upstream = FakeUpstream("openai", otherwise=Hang())
    await upstream.start()
    async with Raw(upstream) as raw:
        raw.ask()
        assert await upstream.until(lambda: upstream.running == 1)
        await upstream.aclose()
        with pytest.raises(ConnectionResetError):
            await raw.rest()
    assert (upstream.running, upstream.disconnects) == (0, 0)


# --- the command


def test_the_command_says_where_it_listens_and_ends_when_told() -> None:
    import urllib.error
    from urllib.request import Request, urlopen

    command = [sys.executable, "-m", "tilores_core.testing.fake_upstream", "--dialect", "groq", "--status", "503"]
    with subprocess.Popen([*command, "--retry-after", "3"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
            headers = {"authorization": f"Bearer {said['key']}"}
            request = Request(
                f"{said['base_url']}/openai/v1/chat/completions", json.dumps(asked).encode(), headers=headers
            )
            with pytest.raises(urllib.error.HTTPError) as caught:
                urlopen(request, timeout=60)
            assert (caught.value.code, caught.value.headers["retry-after"]) == (503, "3")
            caught.value.close()
        finally:
            process.terminate()
    assert process.returncode == 0
