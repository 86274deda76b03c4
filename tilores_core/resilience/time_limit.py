"""A time limit for a block of code that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from tilores_core.resilience.tasks import call_about, current_task


class TimeLimit:
    """`asyncio.timeout` for what every request passes several times: without coroutines of its own it costs a third.

        with TimeLimit(seconds):
            await work()

    `error`: makes what is raised when the time is over, or a little later as `call_about` says. An outer cancellation
    goes through as it is.
    """

    __slots__ = ("_cancelling", "_due", "_error", "_expired", "_seconds", "_task")

    def __init__(self, seconds: float, error: Callable[[], Exception] = TimeoutError) -> None:
        self._seconds = seconds
        self._error = error
        self._expired = False

    def __enter__(self) -> None:
        self._task = task = current_task()
        self._cancelling = task.cancelling()
        self._due = call_about(task.get_loop(), self._seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._due.discard(self._expire)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error() from error
