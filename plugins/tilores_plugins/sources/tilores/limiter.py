"""How many calls run at once, and who goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tilores_core import SourceUnavailableError


class Limiter:
    """At most `limit` calls at once, of which at most `background` are background work.

    A live call goes before every call of the background that still waits. At most `waiting` wait.
    """

    def __init__(self, limit: int, background: int, waiting: int) -> None:
        self._limit = limit
        self._background_limit = max(1, min(background, limit))
        self._most_waiting = waiting
        self._running = {True: 0, False: 0}  # by whether it is background
        self._queues: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}

    @property
    def in_flight(self) -> int:
        return sum(self._running.values())

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def turn(self, *, background: bool) -> AsyncIterator[None]:
        """Wait for a turn. Raises `SourceUnavailableError` when too many wait already."""
        await self._enter(background)
        try:
            yield
        finally:
            self._leave(background)

    async def _enter(self, background: bool) -> None:
        if self._has_room(background) and not self._queues[background]:
            self._running[background] += 1
            return
        if self.waiting >= self._most_waiting:
            raise SourceUnavailableError(
                "too many calls to the Tilores instance wait for their turn",
                fix="try again; [plugins.tilores] max_in_flight and max_waiting set the limits",
            )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[background].append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._leave(background)  # the turn had come just then
            else:
                with suppress(ValueError):  # its turn was given away in the moment before
                    self._queues[background].remove(future)
            raise

    def _has_room(self, background: bool) -> bool:
        return self.in_flight < self._limit and not (background and self._running[True] >= self._background_limit)

    def _leave(self, background: bool) -> None:
        self._running[background] -= 1
        for kind in (False, True):
            queue = self._queues[kind]
            while queue and self._has_room(kind):
                future = queue.popleft()
                if not future.done():
                    self._running[kind] += 1
                    future.set_result(None)
