"""One redis-server, over shared connections.

Three of them, made when first needed: one for reads, one for writes, so that a read does not wait behind a large
value on its way out, and one for messages (see broadcast.py).

Reads that arrive in one round of the event loop travel as one MGET: waking Redis up costs as much as reading from it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from hiredis import ReplyError
from redis.asyncio.connection import AbstractConnection

from tilores_core import CacheError

from .failures import code_of, reply_error, unreachable
from .link import Link, pack_commands
from .scripts import STORE
from .server import Command, parse_info

MAX_KEYS = 512
SCAN_COUNT = 1000
_NOT_PRIMARY = ("READONLY", "MASTERDOWN")

Replies = asyncio.Future[list[Any]]
Read = tuple[Sequence[str], Replies]


class Before(Protocol):
    """Work before a connection is made. `patient`: no request waits for it."""

    def __call__(self, *, patient: bool) -> Awaitable[None]: ...


class _Line:
    """A link that is made when it is needed, and again after it broke."""

    def __init__(self, dial: Callable[[], Awaitable[Link]]) -> None:
        self._dial = dial
        self._dialling: asyncio.Task[Link] | None = None
        self.link: Link | None = None

    async def ready(self) -> Link:
        link = self.link
        if link is not None and not link.closed:
            return link
        if self._dialling is None:
            self._dialling = asyncio.ensure_future(self._connect())
            self._dialling.add_done_callback(self._on_connected)
        try:
            # Shielded: the one who asked first may go away, the others still want the connection.
            return await asyncio.shield(self._dialling)
        except CacheError as error:
            raise type(error)(error.message, fix=error.fix) from error.__cause__
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise CacheError("the Redis tier was closed") from None

    async def _connect(self) -> Link:
        self.link = await self._dial()
        return self.link

    def _on_connected(self, task: asyncio.Task[Link]) -> None:
        self._dialling = None
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    async def aclose(self) -> None:
        dialling = self._dialling
        if dialling is not None:
            dialling.cancel()
            await asyncio.wait([dialling])
        if self.link is not None:
            self.link.close()
            self.link = None


class SingleServer:
    """One Redis server, over a few pipelined connections.

    `connection` makes a redis-py connection without connecting it; `before` is awaited ahead of every attempt to
    connect. Times in seconds.
    """

    single = True

    def __init__(
        self,
        connection: Callable[[], AbstractConnection],
        *,
        connect_timeout: float,
        command_timeout: float,
        before: Before | None = None,
        after: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._make = connection
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout
        self._before = before
        self._after = after
        self._reads = _Line(self._dial)
        self._writes = _Line(partial(self._dial, patient=True))
        self._gathered: list[Read] = []
        self._closed = False
        self.batches = 0
        self.batched_keys = 0
        self.failovers = 0
        self._was_refused = False

    async def get(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        link = self._reads.link
        if link is None or link.closed:
            link = await self._ready(self._reads)
        reader: Replies = link.loop.create_future()
        if not self._gathered:
            link.loop.call_soon(self._flush)
        self._gathered.append((keys, reader))
        return await reader

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        link = self._writes.link
        if link is None or link.closed:
            link = await self._ready(self._writes)
        future: Replies = link.loop.create_future()

        def receive(replies: list[Any] | None, error: CacheError | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(replies or [])

        link.send(pack_commands(*commands), len(commands), receive)
        replies = await future
        if any(isinstance(reply, ReplyError) and code_of(reply) in _NOT_PRIMARY for reply in replies):
            # After a failover the address leads to the new primary, but only new connections do.
            link.close()
            self._was_refused = True
        elif self._was_refused and _wrote(commands[0], replies[0]):
            # There is a new primary. What is connected to the one before would go on with what that one holds.
            self._was_refused = False
            self.failovers += 1
            if self._reads.link is not None:
                self._reads.link.close()
        return replies

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        cursor = b"0"
        while True:
            (reply,) = await self.run([("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)])
            if isinstance(reply, ReplyError):
                raise reply_error(reply)
            cursor, keys = reply
            if keys:
                yield keys
            if cursor == b"0":
                return

    async def info(self) -> list[dict[str, str]]:
        info, size = await self.run([("INFO",), ("DBSIZE",)])
        for reply in (info, size):
            if isinstance(reply, ReplyError):
                raise reply_error(reply)
        return [{**parse_info(info), "keys": str(size)}]

    async def connection(self, *, patient: bool = False) -> AbstractConnection:
        if self._before is not None:
            await self._before(patient=patient)
        return self._make()

    async def aclose(self) -> None:
        self._closed = True
        await self._reads.aclose()
        await self._writes.aclose()
        if self._after is not None:
            await self._after()

    # --- inside ----------------------------------------------------------------------------------------

    async def _ready(self, line: _Line) -> Link:
        if self._closed:
            raise CacheError("the Redis tier was closed")
        return await line.ready()

    async def _dial(self, *, patient: bool = False) -> Link:
        connection = await self.connection(patient=patient)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await connection.connect()  # type: ignore[no-untyped-call]
                # What refuses every command (no password, too many clients, still loading) says so here.
                await connection.send_command("PING")
                await connection.read_response(timeout=math.inf)
            return Link(connection, self._command_timeout)
        except Exception as error:
            await connection.disconnect(nowait=True)
            raise unreachable(error) from error
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise

    def _flush(self) -> None:
        link, reads, self._gathered = self._reads.link, self._gathered, []
        keys = [key for wanted, _ in reads for key in wanted]
        self.batches += 1
        self.batched_keys += len(keys)
        commands = [("MGET", *keys[at : at + MAX_KEYS]) for at in range(0, len(keys), MAX_KEYS)]
        try:
            if link is None:
                raise CacheError("the connection to Redis was closed")
            link.send(pack_commands(*commands), len(commands), partial(_hand_out, link, reads))
        except CacheError as error:
            _hand_out(link, reads, None, error)


def _hand_out(link: Link | None, reads: Sequence[Read], replies: list[Any] | None, error: CacheError | None) -> None:
    """To each of `reads` its part of what the MGETs of all of them gave."""
    values, failure = _join_replies(replies, error)
    if failure is not None and replies is not None and link is not None:
        link.close()  # a server that refuses reads may be one that the address no longer leads to
    at = 0
    for keys, reader in reads:
        if not reader.done():
            if failure is not None:
                reader.set_exception(type(failure)(failure.message, fix=failure.fix))
            else:
                reader.set_result(values[at : at + len(keys)])
        at += len(keys)


def _wrote(command: Command, reply: Any) -> bool:
    """Whether a primary has done it: some scripts write nothing."""
    return (command[0] in ("SET", "UNLINK") or command[1] is STORE) and not isinstance(reply, ReplyError)


def _join_replies(replies: list[Any] | None, error: CacheError | None) -> tuple[list[Any], CacheError | None]:
    """The values of one or several MGETs, or why there are none."""
    if replies is None:
        return [], error or CacheError("Redis did not answer")
    for reply in replies:
        if isinstance(reply, ReplyError):
            return [], reply_error(reply)
    return (replies[0] if len(replies) == 1 else [value for reply in replies for value in reply]), None
