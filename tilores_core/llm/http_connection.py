"""A connection that is kept, with one request at a time. Import it late: it imports aiohttp."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import ClientOSError, ClientPayloadError, ServerDisconnectedError, SocketTimeoutError, StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage

KEPT_SECONDS: Final = 30.0
_BUFFER: Final = 256 * 1024

Head = tuple[RawResponseMessage, StreamReader]
"""Of a reply, and its body, which may still be to come."""


class HttpConnection(BaseProtocol):
    """A connection that aiohttp opened, and replies as its parser reads them: what aiohttp has between these takes
    longer for a request than all else.

    `read_seconds`: the longest silence in a request. Without a request it closes itself after `KEPT_SECONDS`.
    """

    def __init__(self, opened: Connection, read_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._replies = HttpResponseParser(
            self, loop, _BUFFER, payload_exception=ClientPayloadError, read_until_eof=True
        )
        super().__init__(loop, self._replies)
        if opened.protocol is None or opened.transport is None:  # lost already
            opened.close()
            raise ServerDisconnectedError
        self._opened = opened
        self._opener = opened.protocol
        self._read_seconds = read_seconds
        self._waiter: asyncio.Future[Head] | None = None
        self._body: StreamReader | None = None
        self._ends = False
        self._active_at = loop.time()
        self._timer = loop.call_later(read_seconds, self._look)
        self.transport = opened.transport
        self.transport.set_protocol(self)

    @property
    def closed(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    @property
    def busy(self) -> bool:
        """A reply, or the rest of one, is still to come."""
        return self._waiter is not None or (self._body is not None and not self._body.is_eof())

    @property
    def ended(self) -> bool:
        """It cannot take another request."""
        return self._ends or self.busy or self.closed

    async def send(self, request: bytes) -> Head:
        """Raises what aiohttp raises when no reply comes."""
        if self.transport is None or self.transport.is_closing():
            raise ServerDisconnectedError
        self._waiter = waiter = self._loop.create_future()
        self._body = None
        self._active_at = self._loop.time()
        self.transport.write(request)
        head: Head = await waiter
        return head

    def close(self) -> None:
        self._timer.cancel()
        self._opened.close()

    # --- what asyncio, aiohttp's parser and its stream call

    def data_received(self, data: bytes) -> None:
        self._active_at = self._loop.time()
        try:
            messages, _, _ = self._replies.feed_data(data)
        except Exception as error:
            self._fail(error if isinstance(error, HttpProcessingError) else HttpProcessingError())
            return
        for message, body in messages:
            if message.code < 200:  # "100 Continue" and its like
                continue
            waiter, self._waiter = self._waiter, None
            if waiter is None or waiter.done():  # a reply to no request, or to one that was given up
                self.close()
                return
            self._body = body
            self._ends = message.should_close
            waiter.set_result((message, body))

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._opener.connection_lost(exc)  # aiohttp waits for that when all is closed
        if self._waiter is not None:
            self._fail(ClientOSError(*exc.args) if isinstance(exc, OSError) else ServerDisconnectedError())
            return
        try:
            self._replies.feed_eof()
        except Exception as error:
            self._fail(ClientPayloadError(f"Response payload is not completed: {error!r}"))
        self.close()

    # --- inside

    def _look(self) -> None:
        """Now and then, as a timer for each request costs more."""
        if self._reading_paused:
            self._active_at = self._loop.time()
        rest = self._active_at + (self._read_seconds if self.busy else KEPT_SECONDS) - self._loop.time()
        if rest > 0:
            self._timer = self._loop.call_later(min(rest, self._read_seconds), self._look)
        elif self.busy:
            self._fail(SocketTimeoutError("Timeout on reading data from socket"))
        else:
            self.close()

    def _fail(self, error: Exception) -> None:
        """End the request under way, and the connection."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        elif self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(error)
        self.close()
