"""Calls and cost per hour: warming must not become the largest part of the bill."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

_SLICE = 60.0
_SLICES = 60


class Budget(Protocol):
    def take(self) -> bool:
        """One call, if there is one left; to be given back when none was made."""
        ...

    def give_back(self) -> None: ...

    def spend(self, cost: float) -> None: ...


class HourlyBudget:
    """The last sixty minutes, minute by minute. `calls`, `cost` (US dollars): None for no limit.

    Cost is known only afterwards, so that what is in flight when the limit is reached may go beyond it.
    """

    def __init__(self, *, calls: int | None, cost: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = calls, cost
        self._clock = clock
        self._slices: deque[list[float]] = deque()  # [minute, calls, cost]

    def take(self) -> bool:
        calls, cost = self._limits
        used, spent = self.used()
        if (calls is not None and used >= calls) or (cost is not None and spent >= cost):
            return False
        self._current()[1] += 1
        return True

    def give_back(self) -> None:
        if self._slices:
            self._slices[-1][1] -= 1

    def spend(self, cost: float) -> None:
        self._current()[2] += cost

    def used(self) -> tuple[int, float]:
        """Calls and cost of the last hour."""
        self._forget()
        return int(sum(one[1] for one in self._slices)), sum(one[2] for one in self._slices)

    def as_plain(self) -> dict[str, float | int | None]:
        used, spent = self.used()
        calls, cost = self._limits
        return {"calls": used, "calls_per_hour": calls, "cost": round(spent, 6), "cost_per_hour": cost}

    def _current(self) -> list[float]:
        minute = self._clock() // _SLICE
        if not self._slices or self._slices[-1][0] != minute:
            self._slices.append([minute, 0, 0.0])
        return self._slices[-1]

    def _forget(self) -> None:
        oldest = self._clock() // _SLICE - _SLICES
        while self._slices and self._slices[0][0] <= oldest:
            self._slices.popleft()


class BothBudgets:
    """What neither of two refuses."""

    def __init__(self, first: Budget, second: Budget) -> None:
        self._first = first
        self._second = second

    def take(self) -> bool:
        if not self._first.take():
            return False
        if self._second.take():
            return True
        self._first.give_back()
        return False

    def give_back(self) -> None:
        self._first.give_back()
        self._second.give_back()

    def spend(self, cost: float) -> None:
        self._first.spend(cost)
        self._second.spend(cost)
