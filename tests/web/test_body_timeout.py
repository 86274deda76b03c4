"""A request whose body or headers do not arrive is ended, and costs the others nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import uvicorn

from tilores_core.testing.waiting import eventually
from tilores_core.web.application import ASGI
from tilores_core.web.body_timeout import BodyTimeout
from tilores_core.web.http_exchange import ClientGoneError, HttpExchange, Receive, Scope, Send
from tilores_core.web.langserve.errors import error_reply
from tilores_core.web.server import BoundedProtocol


class App:
    """Replies with the size of the body; remembers how each exchange ended."""

    def __init__(self) -> None:
        self.bodies = BodyTimeout(0.3)
        self.ended: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = HttpExchange(scope, receive, send, b"r-1")
        exchange.error_reply = error_reply
        try:
            body = await self.bodies.read(exchange, 1_000)
        except ClientGoneError:
            self.ended.append("gone")
            return
        await exchange.reply(200, {"size": len(body)})
        self.ended.append("answered")


class QuickProtocol(BoundedProtocol):
    header_seconds = 0.1


@asynccontextmanager
async def serving(app: ASGI, protocol: type[BoundedProtocol], *, keep_alive: int = 60) -> AsyncIterator[int]:
    config = uvicorn.Config(
        app, port=0, lifespan="off", log_config=None, http=protocol, timeout_keep_alive=keep_alive
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


@pytest_asyncio.fixture
async def app() -> AsyncIterator[tuple[App, int]]:
    app = App()
    async with serving(app, BoundedProtocol) as port:
        app.bodies.start()
        yield app, port
        await app.bodies.aclose()


async def post(port: int, declared: int, sent: bytes) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % declared + sent)
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(next(line for line in head.split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1])
    body = await reader.readexactly(size)
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_a_body_that_does_not_arrive_ends_its_request_alone(app: tuple[App, int]) -> None:
    served, port = app
    late = asyncio.create_task(post(port, 10, b"12345"))
    for _ in range(3):
        assert await post(port, 3, b"123") == (200, {"size": 3})
    status, body = await late
    assert status == 504
    assert "detail" in body
    assert sorted(served.ended) == ["answered", "answered", "answered", "gone"]


async def test_request_that_offers_http_2_keeps_its_body(app: tuple[App, int]) -> None:
    """As Java's client offers it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app[1])
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + offer + b"Content-Length: 3\r\n\r\n123")
    assert (await reader.readuntil(b'{"size":3}')).startswith(b"HTTP/1.1 200")
    writer.close()


WHOLE = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n123"


async def answered(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose first request was answered; where the machine stalls, not at the first attempt."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE)
        try:
            await reader.readuntil(b'{"size":3}')
        except (asyncio.IncompleteReadError, ConnectionError):
            continue
        return reader, writer


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:  # what was sent last came too late
        return b""


async def test_headers_that_do_not_arrive_end_their_connection_alone() -> None:
    async with serving(App(), QuickProtocol) as port:
        idle_reader, idle = await answered(port)
        for begun in (b"", b"POST / HTT"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(begun)
            assert await to_the_end(reader) == b""
            writer.close()
        reader, writer = await answered(port)
        writer.write(b"POST / HTTP/1.1\r\nHost: ")
        assert await to_the_end(reader) == b""
        writer.close()
        idle.write(WHOLE)
        assert await idle_reader.readuntil(b'{"size":3}')
        idle.close()


async def test_connection_that_waits_for_its_next_request_is_closed_in_time() -> None:
    async with serving(App(), QuickProtocol, keep_alive=0) as port:
        reader, writer = await answered(port)
        assert await to_the_end(reader) == b""
        writer.close()


async def test_requests_sent_at_once_are_answered_in_their_order(app: tuple[App, int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", app[1])
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%b\r\n%b"
    writer.write(b"".join(head % (size, b"", b"1" * size) for size in (1, 2)))
    writer.write(head % (3, b"Connection: close\r\n", b"111"))
    replies = (await to_the_end(reader)).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [reply.partition(b"\r\n\r\n")[2] for reply in replies] == [b'{"size":1}', b'{"size":2}', b'{"size":3}']
    assert [b"connection: close" in reply for reply in replies] == [False, False, True]
    assert all(b"\r\nx-request-id: r-1\r\n" in reply and b"date: " in reply for reply in replies)
    writer.close()


@pytest.mark.parametrize(("method", "body"), [(b"POST", b'{"size":0}'), (b"HEAD", b"")])
async def test_reply_has_a_body_unless_its_head_was_asked_for(
    app: tuple[App, int], method: bytes, body: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", app[1])
    writer.write(method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: 10\r\n" in head
    writer.write_eof()
    assert await to_the_end(reader) == body
    writer.close()


async def test_header_with_a_line_break_is_not_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await HttpExchange(scope, receive, send, b"r-1").reply(200, {}, {"X-Odd": "a\r\nSet-Cookie: b"})

    async with serving(app, BoundedProtocol) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(WHOLE)
        assert await to_the_end(reader) == b""
        writer.close()


async def test_middleware_sees_what_is_sent() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def note(message: MutableMapping[str, Any]) -> None:
            seen.append(message["type"])
            await send(message)

        await HttpExchange(scope, receive, note, b"r-1").reply(200, {"size": 3})

    async with serving(app, BoundedProtocol) as port:
        _, writer = await answered(port)
        writer.close()
    assert seen[:2] == ["http.response.start", "http.response.body"]
