"""Whether something outside works, since when, and what it failed with last."""

from __future__ import annotations

import time
from collections.abc import Callable


class Condition:
    """Told how each call went. Times are seconds since the epoch, `seconds` the duration of the last good call.

    `error` is an error's code or class, never its text: that may quote anything.
    """

    __slots__ = ("_clock", "_told_at", "error", "error_at", "failing", "seconds", "since")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.failing = False
        self.since = clock()
        self.error: str | None = None
        self.error_at: float | None = None
        self.seconds: float | None = None
        self._told_at = 0.0

    @property
    def age(self) -> float:
        """Seconds since the last call that it was told of."""
        return self._clock() - self._told_at

    def worked(self, seconds: float) -> None:
        self.seconds = seconds
        self._told_at = self._clock()
        if self.failing:
            self.failing = False
            self.since = self._clock()

    def failed(self, error: str) -> None:
        self.error = error
        self.error_at = self._told_at = self._clock()
        if not self.failing:
            self.failing = True
            self.since = self.error_at
