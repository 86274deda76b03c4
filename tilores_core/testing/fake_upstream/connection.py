"""One client's connection: HTTP/1.1 read with httptools, answered by hand, so that it can be spoiled anywhere."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

import httptools

from tilores_core.testing.fake_upstream.values import Request

MAX_BODY = 64 * 1024 * 1024
_END = b"0\r\n\r\n"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """Hands each request to `serve`, one at a time. What it runs is cancelled when the client goes away."""

    def __init__(self, serve: Callable[[Connection, Request], Awaitable[None]], open_now: set[Connection]) -> None:
        self._serve = serve
        self._open_now = open_now
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[Request] = []
        self._ended = False
        self.left = False
        """The client closed the connection, not the fake upstream."""
        self._start()

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._open_now.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.respond(400, {"content-type": "text/plain"}, b"bad request")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_now.discard(self)
        self._waiting.clear()
        self.left = not self._ended
        if self._task is not None:
            self._task.cancel()

    # --- httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAX_BODY:
            self.close()
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        url = httptools.parse_url(self._url)
        request = Request(
            method=self._parser.get_method().decode(),
            path=unquote(url.path.decode()),
            query=dict(parse_qsl((url.query or b"").decode())),
            headers=self._headers,
            body=b"".join(self._body),
        )
        self._waiting.append(request)
        if self._task is None:
            self._next()

    # --- answering

    @property
    def gone(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole response."""
        self.write(_head(status, {**headers, "content-length": str(len(body))}) + body)

    def promise(self, status: int, headers: Mapping[str, str], length: int) -> None:
        """The head of a response whose body of `length` bytes may never come."""
        self.write(_head(status, {**headers, "content-length": str(length)}))

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of a chunked response."""
        self.write(_head(status, {**headers, "transfer-encoding": "chunked"}))

    def chunk(self, *parts: bytes) -> None:
        """Each part as a chunk of its own, in one write."""
        self.write(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part))

    def end(self) -> None:
        self.write(_END)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """After what was written."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """At once, with a reset instead of an orderly end."""
        self._ended = True
        if self._transport is None:
            return
        made: socket.socket | None = self._transport.get_extra_info("socket")
        if made is not None:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    async def finish(self) -> None:
        """Drop the client and wait for what runs for it."""
        task = self._task
        self.reset()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def _next(self) -> None:
        request = self._waiting.pop(0)
        self._task = asyncio.get_running_loop().create_task(self._run(request))

    async def _run(self, request: Request) -> None:
        try:
            await self._serve(self, request)
        except Exception:
            self.reset()  # a mistake in the fake upstream must not look like a provider that hangs
            raise
        finally:
            self._task = None
            if request.headers.get("connection", "").lower() == "close":
                self.close()
            elif self._waiting and not self.gone:
                self._next()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded" if status == 529 else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
