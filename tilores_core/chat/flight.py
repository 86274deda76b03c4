"""A model call that several callers share: each follows it from its first piece, whenever it joined.

The call runs in a task of its own, so that a caller who leaves cancels nobody else's; when the last one leaves, the
call is cancelled. A failure reaches everybody who waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from tilores_core.chat.lane import Lane
from tilores_core.chat.routing.budget import Budget
from tilores_core.contracts import Answer, Delta
from tilores_core.errors import OverloadedError

Emit = Callable[[Delta], None]
Work = Callable[[Emit], Awaitable[Answer]]


class Flight:
    """`work` is started at once; it hands over pieces through `emit` and returns the answer.

    `on_end` is called once, as soon as nobody should join any more. `budget`: the time that `work` has and for
    whom it is, for who joins to extend. Through `lane` goes what is for no caller.
    """

    def __init__(
        self, work: Work, on_end: Callable[[Flight], None], budget: Budget, lane: Lane | None = None
    ) -> None:
        self.budget = budget
        self._deltas: list[Delta] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._passengers = 0
        self._timer: asyncio.TimerHandle | None = None
        self._on_end: Callable[[Flight], None] | None = on_end
        run = (lane or Lane()).through(partial(self._run, work), budget.standing)
        self._task: asyncio.Task[Answer] = asyncio.get_running_loop().create_task(run)
        self._task.add_done_callback(self._ended)

    async def _run(self, work: Work) -> Answer:
        try:
            return await work(self._emit)
        finally:
            self._close()  # at once: whoever follows it may be awake before `_ended` is called

    def _emit(self, delta: Delta) -> None:
        self._deltas.append(delta)
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # fetched here, as perhaps nobody waits any more
        if self._timer is not None:
            self._timer.cancel()
        self._close()
        self._wake()

    def _close(self) -> None:
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(self)

    def board(self) -> None:
        """Count one more who waits; each is followed by one `result`, `follow`, `leave` or `leave_after`."""
        self._passengers += 1

    def leave(self) -> None:
        self._passengers -= 1
        if self._passengers == 0 and not self._task.done():
            self._close()
            self._task.cancel()

    def leave_after(self, seconds: float) -> None:
        """For one who boarded but does not wait: the call goes on alone for so long."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.leave)

    def cancel(self) -> None:
        """End the call, whoever waits."""
        self._task.cancel()

    async def result(self) -> Answer:
        """The answer, for one who boarded; raises what the call raised."""
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if self._task.cancelled() and me is not None and not me.cancelling():
                raise _ended_early() from None  # not who waits was cancelled, but the call
            raise
        finally:
            self.leave()

    async def follow(self) -> AsyncGenerator[Delta | Answer, None]:
        """All pieces from the first on, then the answer, for one who boarded."""
        seen = 0
        try:
            while True:
                while seen < len(self._deltas):
                    seen += 1
                    yield self._deltas[seen - 1]
                # Nothing is awaited between the last look at the pieces and the wait, so no wake-up is missed.
                if self._task.done():
                    break
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(future)
                await future
            if self._task.cancelled():
                raise _ended_early()
            yield self._task.result()
        finally:
            self.leave()


def _ended_early() -> OverloadedError:
    return OverloadedError("the model call behind this request was cancelled", fix="ask again")
