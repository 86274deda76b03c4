"""A watch over one call of a model: it may be silent only for so long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from tilores_core.chat.routing.budget import Budget
from tilores_core.resilience import call_about, current_task

Reason = Literal["silent", "stalled", "late"]


class WatchExpiredError(Exception):
    """A limit of the wait for a model's answer has passed.

    `reason`: nothing came at all, nothing more came, or the turn's time is over.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Watch:
    """Cancels the task that entered it when nothing is heard for `first` seconds, then for `between` seconds.

    Whatever is heard, it ends with the budget. It works as `asyncio.timeout` does and turns its own cancellation
    into `WatchExpiredError`. Hearing something costs a look at the clock: the one timer finds out by itself how
    long ago that was.
    """

    __slots__ = (
        "_between",
        "_budget",
        "_cancelling",
        "_due",
        "_first",
        "_heard",
        "_loop",
        "_reason",
        "_task",
        "_timer",
    )

    def __init__(self, *, first: float, between: float, budget: Budget) -> None:
        """Seconds, infinite where only the budget ends it; that may be extended meanwhile."""
        self._first = first
        self._between = between
        self._budget = budget
        self._heard: float | None = None
        self._reason: Reason | None = None
        self._timer: set[Callable[[], None]] = set()

    def __enter__(self) -> Watch:
        self._task = task = current_task()
        self._cancelling = task.cancelling()
        self._loop = task.get_loop()
        self._arm(self._first)
        return self

    def heard(self) -> None:
        """Something came."""
        if self._heard is None and self._reason is None:
            self._arm(self._between)
        self._heard = time.monotonic()

    def hurry(self, between: float) -> None:
        """From now on, have this much patience between two things heard."""
        if between != self._between and self._reason is None:
            self._between = between
            self._arm(between)

    def _arm(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._timer.discard(self._look)
        self._set()

    def _set(self) -> None:
        seconds = min(self._due, self._budget.until) - time.monotonic()
        self._timer = call_about(self._loop, seconds, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._budget.until:
            self._end("late")
            return
        if self._heard is not None:
            self._due = self._heard + self._between
        if now >= self._due:
            self._end("silent" if self._heard is None else "stalled")
        else:
            self._set()

    def _end(self, reason: Reason) -> None:
        self._reason = reason
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.discard(self._look)
        if self._reason is None:
            return
        if (
            self._task.uncancel() <= self._cancelling
            and kind is not None
            and issubclass(kind, asyncio.CancelledError)
        ):
            raise WatchExpiredError(self._reason) from error
