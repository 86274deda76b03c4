"""One connection that many requests share.

redis-py connects and logs in; then the socket is ours: requests are written as they come, hiredis reads the
replies, and each goes to the request that is first in line. There is no task, no lock and no pool between a
request and the socket, which is what makes a shared connection faster than one for each request.

Redis answers in order. So a request that was given up (cancelled) still takes its reply off the line, and a
request that is not answered in time ends the connection: the next request gets a new one and can
never read an answer that was meant for another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis
from msgspec import Struct, field

from tilores_core import CacheError

from .failures import timed_out
from .server import Command

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

_MORE = object()
MAX_WAITING = 10_000
MAX_UNSENT = 64 * 1024 * 1024

Receive = Callable[[list[Any] | None, CacheError | None], None]


def pack_commands(*commands: Command) -> bytes:
    """Commands as they go over the wire."""
    # hiredis' annotation says a tuple of one; its code takes any length.
    return b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]


class _Request(Struct):
    count: int
    deadline: float
    receive: Receive
    replies: list[Any] = field(default_factory=list)


class Link(asyncio.Protocol):
    """One connection to Redis, on which many requests are pipelined.

    `timeout`: seconds from a request to its last reply.
    """

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        # The one place where redis-py's private parts are touched (a test notices when they move): its stream
        # reader costs a task switch for every reply.
        writer = connection._writer
        if writer is None:
            raise CacheError("the connection to Redis was lost")
        connection._writer = connection._reader = None
        self._writer = writer  # kept: asyncio closes the transport of a writer that is collected
        self._transport = writer.transport
        self.loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._replies = hiredis.Reader(notEnoughData=_MORE)
        self._waiting: deque[_Request] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self.closed = self._transport.is_closing()
        self._transport.set_protocol(self)

    def send(self, request: bytes, count: int, receive: Receive) -> None:
        """Write what `pack_commands` made; `receive` is called once, with `count` replies or an error."""
        if self.closed:
            raise CacheError("the connection to Redis was lost")
        if len(self._waiting) >= MAX_WAITING or self._transport.get_write_buffer_size() > MAX_UNSENT:
            raise CacheError("too many requests wait for Redis")
        deadline = self.loop.time() + self._timeout
        self._waiting.append(_Request(count, deadline, receive))
        if self._watch is None:
            self._watch = self.loop.call_at(deadline, self._check)
        self._transport.write(request)

    def close(self) -> None:
        self._drop("the connection to Redis was closed")

    # --- what asyncio calls ----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self._replies.feed(data)
        try:
            while (reply := self._replies.gets()) is not _MORE:
                request = self._waiting[0]
                request.replies.append(reply)
                if len(request.replies) == request.count:
                    self._waiting.popleft()
                    request.receive(request.replies, None)
        except (hiredis.ProtocolError, IndexError):
            self._drop("the other side is not Redis, or sent a reply without a request")

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop("the connection to Redis was lost")

    # --- inside ----------------------------------------------------------------------------------------

    def _check(self) -> None:
        """At the deadline of the request that was first in line some time ago.

        After a long stall of our own, sockets are read before timers run (on asyncio's loop and on uvloop), so that
        a reply that was there in time is not taken for a late one."""
        self._watch = None
        if not self._waiting:
            return
        first = self._waiting[0].deadline
        if first > self.loop.time():
            self._watch = self.loop.call_at(first, self._check)
        else:
            self._drop(timed_out())

    def _drop(self, reason: str | CacheError) -> None:
        if self.closed and not self._waiting:
            return
        self.closed = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        error = reason if isinstance(reason, CacheError) else CacheError(reason)
        for request in waiting:
            request.receive(None, error)
