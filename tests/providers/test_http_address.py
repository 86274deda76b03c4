"""Connections that are kept: what is used again, what waits for its turn, and what closes."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest

from tilores_core.llm import http_connection
from tilores_core.llm.http_address import HttpAddress, Reply
from tilores_core.resilience import cancel_tasks, current_task
from tilores_core.testing.waiting import eventually

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


class Server:
    """Answers the n-th request with the n-th of `answers`, the last one again and again."""

    def __init__(self) -> None:
        self.answers: list[bytes | Answer] = [whole(b"fine")]
        self.connections = self.open = self.requests = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.tasks.add(current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0]))
                self.requests += 1
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def whole(body: bytes, *headers: bytes) -> bytes:
    return (
        OK + b"".join(header + b"\r\n" for header in (*headers, b"Content-Length: %d" % len(body))) + b"\r\n" + body
    )


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.close()


def cut_after(data: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return answer


async def never(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"  # type: ignore[attr-defined]
    yield server
    listening.close()
    await cancel_tasks(*server.tasks)


@pytest.fixture
async def address(server: Server) -> AsyncIterator[HttpAddress]:
    address = make(server)
    yield address
    await address.aclose()


def make(server: Server, *, read_seconds: float = 60.0, max_connections: int = 4) -> HttpAddress:
    url: str = server.url  # type: ignore[attr-defined]
    return HttpAddress(url, {}, read_seconds=read_seconds, connect_seconds=60.0, max_connections=max_connections)


async def ask(address: HttpAddress) -> bytes:
    reply = await address.post(b"question")
    try:
        return await read(reply)
    finally:
        reply.release()


async def read(reply: Reply) -> bytes:
    data = b""
    while not reply.content.at_eof():
        data += await reply.content.readany()
    return data


async def test_one_connection_serves_one_request_after_the_other(server: Server, address: HttpAddress) -> None:
    server.answers = [b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"one"), whole(b""), whole(b"three")]
    assert [await ask(address) for _ in range(3)] == [b"one", b"", b"three"]
    assert (server.connections, server.requests) == (1, 3)


async def test_a_request_beyond_the_connections_waits_for_one(server: Server) -> None:
    address = make(server, max_connections=1)
    first = await address.post(b"question")
    second = asyncio.create_task(ask(address))
    given_up = asyncio.create_task(ask(address))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await read(first) == b"fine"
    assert server.requests == 1
    first.release()
    first.release()  # again: it gave its connection back already
    assert await second == b"fine"
    assert set(await asyncio.gather(ask(address), ask(address))) == {b"fine"}
    assert server.connections == 1
    await address.aclose()


@pytest.mark.parametrize("headers", [(), (b"Content-Encoding: gzip",)], ids=["plain", "gzip"])
async def test_a_body_that_nothing_reads_yet_waits_at_the_server(
    server: Server, address: HttpAddress, headers: tuple[bytes, ...]
) -> None:
    body = os.urandom(2_000_000) + bytes(2_000_000)
    server.answers = [whole(gzip.compress(body) if headers else body, *headers)]
    reply = await address.post(b"question")
    await eventually(lambda: reply.content.total_bytes > 100_000)
    assert await read(reply) == body
    reply.release()
    assert await ask(address) == body
    assert server.connections == 1


async def test_a_body_without_a_length_ends_with_the_connection(server: Server, address: HttpAddress) -> None:
    server.answers = [cut_after(OK + b"\r\nall of it"), whole(b"fine")]
    assert await ask(address) == b"all of it"
    assert await ask(address) == b"fine"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (cut, aiohttp.ServerDisconnectedError),
        (cut_after(OK + b"Content-Le"), aiohttp.ServerDisconnectedError),
        (cut_after(whole(b"half of it")[:-3]), aiohttp.ClientPayloadError),
        (cut_after(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhalf "), aiohttp.ClientPayloadError),
        (b"no HTTP\r\n\r\n", aiohttp.http.HttpProcessingError),
        (whole(b"no gzip", b"Content-Encoding: gzip"), aiohttp.ClientPayloadError),
        (never, aiohttp.SocketTimeoutError),
        (whole(b"half of it")[:-3], aiohttp.SocketTimeoutError),
    ],
)
async def test_what_breaks_off_is_an_error_and_its_connection_is_not_used_again(
    server: Server, answer: bytes | Answer, kind: type[Exception]
) -> None:
    address = make(server, read_seconds=0.2 if kind is aiohttp.SocketTimeoutError else 60.0)
    server.answers = [answer, whole(b"fine")]
    with pytest.raises(kind):
        await ask(address)
    assert await ask(address) == b"fine"
    assert server.connections == 2
    await eventually(lambda: server.open == 1 or answer is never)
    await address.aclose()


async def test_a_reply_to_no_request_is_read_by_none(server: Server, address: HttpAddress) -> None:
    server.answers = [whole(b"mine") + whole(b"another's"), whole(b"fine")]
    assert await ask(address) == b"mine"
    assert await ask(address) == b"fine"
    assert server.connections == 2


async def test_a_connection_whose_body_was_not_read_is_closed(server: Server, address: HttpAddress) -> None:
    server.answers = [OK + b"Content-Length: 100\r\n\r\nhalf", whole(b"fine", b"Connection: close"), whole(b"fine")]
    (await address.post(b"question")).release()
    assert [await ask(address) for _ in range(3)] == [b"fine"] * 3
    assert server.connections == 3


async def test_a_connection_without_requests_closes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "KEPT_SECONDS", 0.1)
    address = make(server, read_seconds=0.05)
    assert await asyncio.gather(*(ask(address) for _ in range(3))) == [b"fine"] * 3
    await eventually(lambda: server.open == 0)
    assert await ask(address) == b"fine"
    assert server.connections == 4
    await address.aclose()


async def test_closing_ends_what_is_under_way_and_it_can_be_asked_again(server: Server, address: HttpAddress) -> None:
    server.answers = [never, whole(b"fine")]
    waiting = asyncio.create_task(ask(address))
    await eventually(lambda: server.requests == 1)
    await address.aclose()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await waiting
    assert await ask(address) == b"fine"
