"""Work behind the scenes goes in single file on the event loop that callers are served from.

What a caller waits for, beside a batch of hundreds of turns, is every step of it that is ready to run before the
caller's own, and each may compute for a millisecond. So a step, which is what a coroutine does between two of its
waits, needs the lane, of which there is one; then the loop goes round, with a look at what has come from outside.
Waiting needs no lane: as many turns as are wanted may wait for their models.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, Final, TypeVar

from tilores_core.resilience import Priority

T = TypeVar("T")

_SLICE: Final = 0.001
_LONGEST: Final = 0.05


class Lane:
    """Free for all until `stand_behind`: without callers nobody is held up. For one event loop."""

    def __init__(self) -> None:
        self._live: Callable[[], int] | None = None
        self._between: Callable[[], object] = lambda: None
        self._taken = False
        self._owed = 0.0
        # What is warmed is wanted sooner than a batch.
        self._sooner: deque[asyncio.Future[bool]] = deque()
        self._later: deque[asyncio.Future[bool]] = deque()

    def stand_behind(self, live: Callable[[], int], *, between: Callable[[], object] = lambda: None) -> None:
        """Callers are served here, of whom `live` says how many wait now. While any do, the lane rests for as long
        as it was used. `between`: to be called after each millisecond of work or so."""
        self._live = live
        self._between = between

    @property
    def is_shared(self) -> bool:
        """Are there callers on this event loop?"""
        return self._live is not None

    def through(
        self, begin: Callable[[], Coroutine[Any, Any, T]], priority: Priority | None = None
    ) -> Coroutine[Any, Any, T]:
        """What `begin` makes, in single file with all else that goes through here, while its priority is not live."""
        priority = priority or Priority("batch")
        if self._live is None or priority.live:
            return begin()
        return self._go(begin, priority)

    async def _go(self, begin: Callable[[], Coroutine[Any, Any, T]], priority: Priority) -> T:
        return await self._step_by_step(begin(), priority)

    @coroutine
    def _step_by_step(self, work: Coroutine[Any, Any, T], priority: Priority) -> Generator[Any, Any, T]:
        """As a task runs a coroutine: what it waits for goes out, what came of that goes in."""
        error: BaseException | None = None
        try:
            while True:
                mine = False
                if not priority.live:
                    try:
                        mine = yield from self._turn(priority)
                    except asyncio.CancelledError as cancelled:
                        error = cancelled  # to end takes no lane
                began = time.perf_counter()
                try:
                    waits = work.send(None) if error is None else work.throw(error)
                except StopIteration as end:
                    result: T = end.value
                    return result
                finally:
                    if mine:
                        self._leave(time.perf_counter() - began)
                error = None
                try:
                    yield waits
                except GeneratorExit:
                    raise
                except BaseException as raised:
                    error = raised
        finally:
            work.close()

    def _turn(self, priority: Priority) -> Generator[Any, Any, bool]:
        """Whether the lane has to be left again: it has not by what rose while it waited."""
        if not self._taken:
            self._taken = True
            return True
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def promoted() -> None:
            if not place.done():
                place.set_result(False)

        (self._sooner if priority.purpose == "prewarm" else self._later).append(place)
        priority.on_promote(promoted)
        try:
            return (yield from place)
        except BaseException:
            if place.done() and not place.cancelled() and place.result():
                self._leave(0.0)
            raise
        finally:
            priority.remove_callback(promoted)

    def _leave(self, used: float) -> None:
        loop = asyncio.get_running_loop()
        self._owed += used
        if self._owed < _SLICE:
            loop.call_soon(self._look)
            return
        owed, self._owed = self._owed, 0.0
        self._between()
        if self._live is not None and self._live() > 0:
            loop.call_later(min(_LONGEST, owed), self._next)
        else:
            loop.call_soon(self._look)

    def _look(self) -> None:
        """What the loop finds on its way round is begun, and goes on once, before the next step."""
        asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        for line in (self._sooner, self._later):
            while line:
                place = line.popleft()
                if not place.done():
                    place.set_result(True)
                    return
        self._taken = False
