"""Messages between processes, over Redis pub/sub. Why not client tracking: docs/cache-redis.md.

Pub/sub stores nothing: a listener that is not connected misses the message. So a listener receives None when its
connection was lost and again when it is back; a ping finds a connection that has gone silent within two seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from tilores_core import CacheError, CacheStartingError

from .failures import unreachable
from .server import Command, Server

log = structlog.get_logger(part="cache")

SILENCE = 0.75
"""Seconds without a message until a ping, and again until the connection counts as lost."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_ATTEMPTS_BEFORE_WARNING = 3


class Broadcast:
    """Invalidations published to, and received from, the other processes over Redis pub/sub.

    `sender` marks our own messages, which we do not want to hear; `address` is for the log.
    """

    def __init__(self, server: Server, channel: str, sender: bytes, address: str) -> None:
        self._server = server
        self._address = address
        self._channel = channel
        self._sender = sender
        self.closed = False

    def command(self, message: bytes) -> Command:
        return ("PUBLISH", self._channel, self._sender + message)

    async def listen(self) -> AsyncIterator[bytes | None]:
        """Until `closed` is set or the task ends. The first None says: from now on nothing is missed."""
        pause, failures = _FIRST_PAUSE, 0
        warned: set[str] = set()  # one line for each reason while it is away
        while not self.closed:
            connection: AbstractConnection | None = None
            heard = False
            try:
                connection = await self._subscribe()
                if warned:
                    log.info("cache.redis_recovered", address=self._address)
                heard, pause, failures = True, _FIRST_PAUSE, 0
                failovers = self._server.failovers
                warned.clear()
                yield None
                while not self.closed and failovers == self._server.failovers:
                    message = await self._next(connection)
                    if message is not None:
                        yield message
                if not self.closed:
                    yield None
            except CacheStartingError:
                pass
            except (CacheError, RedisError, OSError, TimeoutError) as error:
                failures += 1
                reason = unreachable(error)
                if failures >= _ATTEMPTS_BEFORE_WARNING and reason.message not in warned:
                    warned.add(reason.message)
                    self._warn(reason)
                if heard:
                    yield None
            finally:
                if connection is not None:
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads the attempts
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _warn(self, error: CacheError) -> None:
        log.warning(
            "cache.redis_unreachable",
            address=self._address,
            error=error.message,
            fix=error.fix,
            meanwhile="answers come without it, more slowly; it is tried again every second",
        )

    async def _subscribe(self) -> AbstractConnection:
        connection = await self._server.connection()
        try:
            async with asyncio.timeout(SILENCE):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", self._channel)
                await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection

    async def _next(self, connection: AbstractConnection) -> bytes | None:
        """The next message of another; None for anything else that shows the connection alive."""
        reply = await connection.read_response(timeout=SILENCE)
        if reply is None:
            await connection.send_command("PING")
            reply = await connection.read_response(timeout=SILENCE)
            if reply is None:
                raise TimeoutError
        if reply[0] != b"message":
            return None
        message: bytes = reply[2]
        size = len(self._sender)
        return None if message[:size] == self._sender else message[size:]
