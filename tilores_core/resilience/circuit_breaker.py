"""A circuit breaker, and the record of whether an outside service works."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Stops calls to a service that failed several times in a row, then lets one caller try it again.

    Ask `allow()` before a call and report the result with exactly one of `success`, `failure` or `abandon`. It opens
    after `failures` failures in a row. `pause` seconds later one caller may try (`half_open`); the others are refused
    until that caller has reported. `clock` in seconds, by default monotonic.
    """

    def __init__(self, *, failures: int = 3, pause: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        if failures < 1 or pause <= 0:
            raise ValueError("a breaker needs at least one failure to open and a pause above zero")
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._in_a_row = 0
        self.closed = True
        """All calls are allowed; what `state` says in words."""
        self._try_at = 0.0
        self._trying = False
        self.opened = 0
        """How often it has opened."""

    @property
    def state(self) -> State:
        if self.closed:
            return "closed"
        return "half_open" if self._trying or self._clock() >= self._try_at else "open"

    def allow(self) -> bool:
        """Return whether this caller may make the call now."""
        if self.closed:
            return True
        if self._trying or self._clock() < self._try_at:
            return False
        self._trying = True
        return True

    def success(self, *, since_opened: bool = False) -> None:
        """Close it. Calls that started before it opened may still succeed and do not close it; the trial call does,
        and one that was made while it was open (`since_opened`)."""
        if self.closed or self._trying or since_opened:
            self.closed = True
            self._trying = False
            self._in_a_row = 0

    def failure(self, *, certain: bool = False) -> None:
        """Count a failure. `certain`: the service is known to fail in other ways too, so one failure opens it."""
        self._in_a_row += 1
        if self.closed and (certain or self._in_a_row >= self._limit):
            self.closed = False
            self.opened += 1
            self._try_at = self._clock() + self._pause
        elif self._trying:
            self._trying = False
            self._try_at = self._clock() + self._pause

    def abandon(self) -> None:
        """Report a cancelled call: it says nothing about the service, so the next caller may try."""
        self._trying = False


class Condition:
    """Whether an outside service works, since when, and its last error.

    Call `worked` or `failed` after each call. Times are seconds since the epoch; `seconds` is the duration of the
    last successful call. `error` is an error's code or class, never its text, which may quote customers' data.
    """

    __slots__ = ("_clock", "_reported_at", "error", "error_at", "failing", "seconds", "since")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.failing = False
        self.since = clock()
        self.error: str | None = None
        self.error_at: float | None = None
        self.seconds: float | None = None
        self._reported_at = 0.0

    @property
    def age(self) -> float:
        """Seconds since the last report."""
        return self._clock() - self._reported_at

    def record_success(self, seconds: float) -> None:
        self.seconds = seconds
        self._reported_at = self._clock()
        if self.failing:
            self.failing = False
            self.since = self._clock()

    def record_failure(self, error: str) -> None:
        self.error = error
        self.error_at = self._reported_at = self._clock()
        if not self.failing:
            self.failing = True
            self.since = self.error_at
