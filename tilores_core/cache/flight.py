"""Single-flight: callers who want the same thing at the same time wait for one piece of work.

The work runs in a task of its own. A caller who goes away takes nobody else's result along; when the last one has
gone, the work is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from tilores_core.errors import OverloadedError

T = TypeVar("T")


class Flight(Generic[T]):
    """One piece of work. `note` is whatever its starter wants a joiner to judge it by."""

    __slots__ = ("background", "key", "note", "task", "waiters")

    def __init__(self, key: str, task: asyncio.Task[T], note: Any, background: bool) -> None:
        self.key = key
        self.task = task
        self.note = note
        self.background = background
        self.waiters = 0


class SingleFlight(Generic[T]):
    """Work in progress by key. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()
        self._background = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def in_background(self) -> int:
        """How many run for nobody in particular."""
        return self._background

    def find(self, key: str) -> Flight[T] | None:
        """The work in progress for `key`, the one begun last."""
        return self._flights.get(key)

    def start(
        self, key: str, work: Callable[[], Awaitable[T]], *, note: Any = None, background: bool = False
    ) -> Flight[T]:
        """Begin; later callers find this one. `background`: it goes on although nobody waits for it."""
        if self._closed:
            raise OverloadedError("the server is shutting down", fix="ask again in a moment")
        task = asyncio.ensure_future(_run(work))
        flight = Flight(key, task, note, background)
        self._flights[key] = flight
        self._tasks.add(task)
        self._background += background
        task.add_done_callback(lambda _: self._landed(flight))
        return flight

    async def wait(self, flight: Flight[T]) -> T:
        """The result. Whatever the work raised is raised in every waiter."""
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if flight.task.cancelled() and me is not None and not me.cancelling():
                # Not this caller was cancelled but the work, by a shutdown or from inside itself.
                raise OverloadedError("the work behind this request was cancelled", fix="ask again") from None
            raise
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.background and not flight.task.done():
                self._forget(flight)  # nobody may join what is about to be cancelled
                flight.task.cancel()

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Join what is in progress for `key`, or begin it."""
        return await self.wait(self.find(key) or self.start(key, work))

    async def aclose(self) -> None:
        """Cancel all and wait until they have ended."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, flight: Flight[T]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _landed(self, flight: Flight[T]) -> None:
        self._forget(flight)
        self._tasks.discard(flight.task)
        self._background -= flight.background
        if not flight.task.cancelled():
            flight.task.exception()  # seen, also when nobody was left to wait


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
