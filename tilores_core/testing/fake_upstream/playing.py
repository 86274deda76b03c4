"""A reply put on the wire, its fault included."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tilores_core.testing.fake_upstream.connection import Connection
from tilores_core.testing.fake_upstream.dialects.base import Dialect, Stream, dump, of_status
from tilores_core.testing.fake_upstream.quirks import spoil, spoil_whole
from tilores_core.testing.fake_upstream.values import (
    Asked,
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    Fault,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    MalformedReply,
    NoEndMark,
    NoFinish,
    Problem,
    Recorded,
    Reply,
    Reset,
    Said,
    Stall,
)

_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>upstream</body></html>"


def refusal(fault: Fault | None, asked: Asked, given: str, *, streamed: bool) -> Problem | None:
    """The fault as a refusal of the whole request, or None when it is of another kind."""
    match fault:
        case HttpError():
            return of_status(fault.status, retry_after=fault.retry_after, model=asked.model, quota=fault.quota)
        case ErrorEvent() if not streamed:
            return of_status(fault.status, model=asked.model)
        case InvalidKey():
            return Problem("key", given=given)
        case ContextTooLong():
            return Problem("context", model=asked.model)
        case ContentRefused():
            return Problem("content", model=asked.model, given=asked.question)
        case _:
            return None


class Playing:
    """One reply to one request."""

    def __init__(
        self, connection: Connection, dialect: Dialect, asked: Asked, reply: Reply, recorded: Recorded
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._asked = asked
        self._reply = reply
        self._recorded = recorded
        self._fault = reply.fault
        self._has_quirks = bool(reply.quirks) or reply.reason is not None

    async def play(self, said: Said) -> None:
        """Returns when all was sent; waits for ever where the fault does."""
        if isinstance(self._fault, Hang) and not (self._fault.headers and self._asked.streamed):
            await _for_ever()
        if isinstance(self._fault, Reset):
            self._connection.reset()
        elif isinstance(self._fault, MalformedReply):
            self._connection.respond(200, {"content-type": "text/html"}, _PAGE)
        elif self._asked.streamed:
            await self._stream(said)
        else:
            await self._whole(said)

    # --- not streamed

    async def _whole(self, said: Said) -> None:
        await _pause(self._reply.first_token)
        made = self._dialect.whole(self._asked, said)
        if self._has_quirks:
            made = spoil_whole(self._dialect.protocol, self._reply, made)
        body = dump(made)
        headers = {"content-type": "application/json", **self._dialect.headers()}
        match self._fault:
            case Cut() | Stall():
                self._connection.promise(200, headers, len(body))
                self._connection.write(body[: len(body) // 2])
                await self._broken(self._fault)
                self._connection.write(body[len(body) // 2 :])
            case MalformedEvent():
                self._connection.respond(200, headers, body[: len(body) // 2])
            case _:
                self._connection.respond(200, headers, body)
        self._recorded.pieces = len(said.pieces)

    # --- streamed

    async def _stream(self, said: Said) -> None:
        stream = self._dialect.stream(self._asked, said)
        if self._has_quirks:
            stream = spoil(self._dialect.protocol, self._reply, stream, self._asked, said)
        headers = {
            "content-type": self._dialect.stream_type,
            "cache-control": "no-cache",
            **self._dialect.headers(),
        }
        self._connection.begin(200, headers)
        if isinstance(self._fault, Hang):
            await _for_ever()
        if stream.waiting:
            self._connection.chunk(stream.waiting)
        if self._reply.first_token:
            await asyncio.sleep(self._reply.first_token)
        if not await self._pieces(stream):
            return
        self._connection.chunk(*self._ending(stream))
        self._connection.end()

    async def _pieces(self, stream: Stream) -> bool:
        """Sends what comes before the end; False when the fault ended it."""
        said = [*stream.pieces, *stream.calls]
        after = getattr(self._fault, "after", None)
        spoiled = None if after is None else min(after, len(said))
        await self._send(stream.head)
        await self._send(said[:spoiled], paced=True)
        if spoiled is None:
            return True
        match self._fault:
            case Cut() | Stall():
                await self._broken(self._fault)
                if self._connection.gone:
                    return False
            case MalformedEvent():
                self._connection.chunk(self._dialect.malformed_event)
            case ErrorEvent():
                problem = of_status(self._fault.status, model=self._asked.model)
                self._connection.chunk(self._dialect.error_event(problem, self._asked))
                self._connection.end()
                return False
        await self._send(said[spoiled:], paced=True)
        return True

    async def _send(self, events: Sequence[bytes], *, paced: bool = False) -> None:
        if not paced or not self._reply.between:
            self._connection.chunk(*events)
            self._recorded.pieces += len(events) if paced else 0
            return
        for event in events:
            self._connection.chunk(event)
            self._recorded.pieces += 1
            await asyncio.sleep(self._reply.between)

    def _ending(self, stream: Stream) -> Sequence[bytes]:
        match self._fault:
            case NoFinish(mark=True):
                return [*stream.unfinished, *stream.tail, *stream.mark]
            case NoFinish():
                return []
            case NoEndMark():
                return [*stream.finish, *stream.tail]
            case _:
                return [*stream.finish, *stream.tail, *stream.mark]

    async def _broken(self, fault: Cut | Stall) -> None:
        match fault:
            case Cut(reset=True):
                self._connection.reset()
            case Cut():
                self._connection.close()
            case Stall(seconds=None):
                await _for_ever()
            case Stall():
                await _pause(fault.seconds or 0.0)


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


async def _for_ever() -> None:
    """Until the client goes away or the fake upstream is closed: both cancel what runs."""
    await asyncio.get_running_loop().create_future()
