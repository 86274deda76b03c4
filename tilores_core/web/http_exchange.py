"""One HTTP exchange over plain ASGI: the body in, a reply or a stream out, and noticing that the client has gone."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from time import perf_counter
from typing import Any, TypeVar

import orjson

from tilores_core.contracts import DEFAULT_CALLER, Caller, Turn
from tilores_core.errors import InvalidRequestError, PayloadTooLargeError, UnsupportedEncodingError
from tilores_core.resilience import call_about, current_task

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
ErrorReply = Callable[[Exception], tuple[int, dict[str, Any], dict[str, str]]]
"""An error in the shape of a protocol: status, body, headers."""
T = TypeVar("T")

_LONGEST_PATH = 80
_BOM = b"\xef\xbb\xbf"  # as PowerShell writes it
_CONFIG_HASH = re.compile(r"(?<=^/chat/c/)[^/]*")
_WATCH_AFTER_SECONDS = 0.05
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_LEAVE_SECONDS = 0.5

WHOLE_REPLY = "tilores.whole_reply"
"""The server's extension of ASGI: a function of a request's `send`, status, headers and body that writes a reply in
one step, and says whether it could."""
_NONE: Mapping[str, Any] = {}
_JSON: Header = (b"content-type", b"application/json")
_SSE: Header = (b"content-type", b"text/event-stream; charset=utf-8")
_SSE_HEADERS: tuple[Header, ...] = ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))


class ClientGoneError(Exception):
    """The client closed the connection, or does not read: no reply can be sent."""


class HttpExchange:
    """A request being answered. `headers` are lower-case; of a repeated header the last counts.

    `tier`: the cache tier of the answer, empty without one; `first_token`: seconds until a stream's first piece.
    `error_reply` is the spoken protocol's. `turn`: what was asked, until the engine has it.
    """

    __slots__ = (
        "_receive",
        "_send",
        "caller",
        "error_reply",
        "extra",
        "first_token",
        "headers",
        "last_event",
        "request_id",
        "scope",
        "started",
        "status",
        "tier",
        "turn",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: bytes) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id
        self.started = perf_counter()
        self.caller: Caller = DEFAULT_CALLER
        self.extra: tuple[Header, ...] = ()  # headers of every reply of this exchange (CORS)
        self.status = 0
        self.tier = ""
        self.first_token: float | None = None
        self.last_event = b""
        self.turn: Turn | None = None
        self.error_reply: ErrorReply = _plain_error

    @property
    def shown_path(self) -> str:
        """The path as a log may hold it: short, printable, and without a config, which can name a customer."""
        path: str = self.scope["path"]
        if path.startswith("/chat/c/"):
            path = _CONFIG_HASH.sub("…", path)
        return path if len(path) <= _LONGEST_PATH and path.isprintable() else ascii(path[:_LONGEST_PATH])

    async def body(self, limit: int) -> bytes:
        """The whole body, uncompressed. Raises `PayloadTooLargeError` beyond `limit` bytes, `ClientGoneError`,
        `InvalidRequestError` for one that cannot be uncompressed."""
        declared = self.headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            if not message.get("more_body"):
                whole = part if not parts else b"".join((*parts, part))
                if (encoding := self.headers.get(b"content-encoding")) is not None:
                    whole = _uncompress(whole, encoding, limit)
                return whole.removeprefix(_BOM)
            parts.append(part)

    async def reply_bytes(self, status: int, body: bytes, *headers: Header) -> None:
        """Send JSON that is bytes already."""
        self.status = status
        length = (b"content-length", b"%d" % len(body))
        all_headers = [_JSON, length, (b"x-request-id", self.request_id), *headers, *self.extra]
        write = self.scope.get("extensions", _NONE).get(WHOLE_REPLY)
        if write is None or not write(self._send, status, all_headers, body):
            await self._send({"type": "http.response.start", "status": status, "headers": all_headers})
            await self._send({"type": "http.response.body", "body": body})

    async def reply(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        given = [(name.lower().encode(), text.encode("latin-1")) for name, text in (headers or {}).items()]
        await self.reply_bytes(status, orjson.dumps(value), *given)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; stop it when the client goes (`ClientGoneError`). The work keeps its deadline itself."""
        # The work runs in the current task, since creating another costs more than most work does. The task that
        # watches for a disconnect is created only when the work takes a while.
        task = current_task()
        loop = task.get_loop()
        gone: asyncio.Task[None] | None = None
        stopped = False

        def noticed(ended: asyncio.Task[None]) -> None:
            nonlocal stopped
            if not ended.cancelled():
                ended.exception()
                stopped = True
                task.cancel()

        def watch() -> None:
            nonlocal gone
            gone = loop.create_task(self._on_disconnected())
            gone.add_done_callback(noticed)

        timer = call_about(loop, _WATCH_AFTER_SECONDS, watch)
        try:
            return await work
        except asyncio.CancelledError:
            if stopped and not task.uncancel():
                raise ClientGoneError from None
            raise
        finally:
            timer.discard(watch)
            if gone is not None:
                gone.remove_done_callback(noticed)
                gone.cancel()

    async def stream(self, first: bytes, events: AsyncIterator[bytes], seconds: float) -> None:
        """Send server-sent events as they come. `first` was made before, so that an early failure has its own status.

        `seconds`: the longest that the client may take to read them; then the stream is cut (`ClientGoneError`).
        """
        self.status = 200
        await self._send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [_SSE, *_SSE_HEADERS, (b"x-request-id", self.request_id), *self.extra],
            }
        )

        async def pump() -> None:
            self.last_event = first
            await self._send({"type": "http.response.body", "body": first, "more_body": True})
            async for event in events:
                self.last_event = event
                await self._send({"type": "http.response.body", "body": event, "more_body": True})

        try:
            async with asyncio.timeout(seconds):
                await self.run(pump())
        except TimeoutError:
            raise ClientGoneError from None
        await self._send({"type": "http.response.body", "body": b""})

    async def leave(self, error: Exception, event: bytes, ends: tuple[bytes, ...]) -> None:
        """End what the server will not finish: with the error where nothing was sent, a stream with `event` unless it
        has ended with one of `ends`. Waits only a moment for a client that does not read."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                if not self.status:
                    await self.reply(*self.error_reply(error))
                elif self.last_event:
                    rest = b"" if self.last_event.endswith(ends) else event
                    await self._send({"type": "http.response.body", "body": rest})

    def milliseconds(self) -> float:
        """Since the request came."""
        return (perf_counter() - self.started) * 1000

    async def _on_disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _plain_error(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    return 500, {"detail": "Internal Server Error"}, {}


def _uncompress(body: bytes, encoding: bytes, limit: int) -> bytes:
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip", b"deflate"):
        raise UnsupportedEncodingError(
            "the body's Content-Encoding is not understood",
            param="Content-Encoding",
            fix="compress with gzip, or send it without Content-Encoding",
        )
    reader = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        whole = reader.decompress(body, limit + 1)
    except zlib.error:
        whole = b""
    if len(whole) > limit:
        raise _too_large(limit)
    if not reader.eof or reader.unused_data:
        raise InvalidRequestError(
            "the body is not what its Content-Encoding says",
            param="Content-Encoding",
            fix="compress it, or send it without Content-Encoding",
        )
    return whole


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"the body is larger than {limit} bytes", fix="send less at once")
