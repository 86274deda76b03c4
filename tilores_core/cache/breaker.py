"""A circuit breaker: what fails several times in a row is left alone for a while, then tried by one caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Ask `allow()` before a call and report how it went with exactly one of `success`, `failure` or `abandon`.

    It opens after `failures` failures in a row. `pause` seconds later one caller may try (`half_open`); the others
    are refused until that one has reported. `clock` in seconds, by default monotonic.
    """

    def __init__(self, *, failures: int = 3, pause: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        if failures < 1 or pause <= 0:
            raise ValueError("a breaker needs at least one failure to open and a pause above zero")
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._in_a_row = 0
        self._closed = True
        self._try_at = 0.0
        self._trying = False
        self.opened = 0
        """How often it has opened."""

    @property
    def state(self) -> State:
        if self._closed:
            return "closed"
        return "half_open" if self._trying or self._clock() >= self._try_at else "open"

    def allow(self) -> bool:
        """May this caller make the call now?"""
        if self._closed:
            return True
        if self._trying or self._clock() < self._try_at:
            return False
        self._trying = True
        return True

    def success(self) -> None:
        # Calls that began before it opened may still end well; only the one that was let through to try closes it.
        if self._closed or self._trying:
            self._closed = True
            self._trying = False
            self._in_a_row = 0

    def failure(self, *, certain: bool = False) -> None:
        """`certain`: others have found it failing too, so this one is enough to open."""
        self._in_a_row += 1
        if self._closed and (certain or self._in_a_row >= self._limit):
            self._closed = False
            self.opened += 1
            self._try_at = self._clock() + self._pause
        elif self._trying:
            self._trying = False
            self._try_at = self._clock() + self._pause

    def abandon(self) -> None:
        """The call was cancelled: it says nothing about the other side, and the next caller may try."""
        self._trying = False
