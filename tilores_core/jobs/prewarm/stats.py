"""What warming has done, and what it may still cost."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Result = Literal["warmed", "fresh", "kept", "failed", "budget", "unnamed", "unknown", "too_many", "late", "outage"]
"""What became of one entry (a customer's records, or the answer to one question) or of one customer.

`warmed`: made or renewed. `fresh`: it lasts, nothing to do. `kept`: it could not be renewed, the old one stays.
`failed`: it is not there. The others were skipped: no `budget`; a question leaves something open that is not known
(`unnamed`); no customer fits (`unknown`); too many fit; too `late`; the source does not answer (`outage`).
"""

SKIPPED: tuple[Result, ...] = ("fresh", "budget", "unnamed", "unknown", "too_many", "late", "outage")


@dataclass(slots=True)
class WarmStats:
    """Counters of one round, or of all. `seconds`: from its beginning to its end."""

    results: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)  # by error code
    customers: int = 0
    seconds: float = 0.0
    ended_at: float | None = None

    def add(self, result: Result, *, times: int = 1, error: str | None = None) -> None:
        self.results[result] += times
        if error is not None:
            self.errors[error] += 1

    def include(self, other: WarmStats) -> None:
        self.results += other.results
        self.errors += other.errors
        self.customers += other.customers
        self.seconds += other.seconds
        self.ended_at = other.ended_at or time.time()

    @property
    def failed(self) -> int:
        return self.results["failed"]

    def as_plain(self) -> dict[str, Any]:
        """Return the figures as plain JSON. `success_rate`: of what was tried, what is there now as it should be;
        None when nothing was."""
        results = self.results
        tried = results["warmed"] + results["failed"] + results["kept"]
        return {
            "customers": self.customers,
            "warmed": results["warmed"],
            "failed": results["failed"],
            "kept": results["kept"],
            "skipped": sum(results[name] for name in SKIPPED),
            "skipped_because": {name: results[name] for name in SKIPPED if results[name]},
            "errors": dict(self.errors),
            "success_rate": round(results["warmed"] / tried, 4) if tried else None,
            "seconds": round(self.seconds, 3),
            "ended_at": self.ended_at,
        }


_SLICE: Final = 60.0
_SLICES: Final = 60


class HourlyBudget:
    """Calls of models and their cost in the last sixty minutes, minute by minute.

    Cost is known only afterwards, so what is in progress when the limit is reached may exceed it.
    """

    def __init__(
        self,
        *,
        calls: int | None,
        cost: float | None,
        within: HourlyBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with nothing spent. `calls`, `cost` (US dollars): None for no limit. `within`: a budget that is
        used up as well."""
        self._limits = calls, cost
        self._within = within
        self._clock = clock
        self._slices: deque[list[float]] = deque()  # [minute, calls, cost]

    def take(self) -> bool:
        """Take one call, if one is left; give it back when no model was called."""
        if self.is_spent:
            return False
        if self._within is not None and not self._within.take():
            return False
        self._current()[1] += 1
        return True

    def give_back(self) -> None:
        if self._slices:
            self._slices[-1][1] -= 1
        if self._within is not None:
            self._within.give_back()

    def spend(self, cost: float) -> None:
        self._current()[2] += cost
        if self._within is not None:
            self._within.spend(cost)

    def get_used(self) -> tuple[int, float]:
        """Calls and cost of the last hour."""
        oldest = self._clock() // _SLICE - _SLICES
        while self._slices and self._slices[0][0] <= oldest:
            self._slices.popleft()
        return int(sum(one[1] for one in self._slices)), sum(one[2] for one in self._slices)

    @property
    def is_spent(self) -> bool:
        """Whether the limits allow no call now."""
        (calls, cost), (used, spent) = self._limits, self.get_used()
        return (calls is not None and used >= calls) or (cost is not None and spent >= cost)

    def as_plain(self) -> dict[str, float | int | None]:
        used, spent = self.get_used()
        calls, cost = self._limits
        return {"calls": used, "calls_per_hour": calls, "cost": round(spent, 6), "cost_per_hour": cost}

    def _current(self) -> list[float]:
        minute = self._clock() // _SLICE
        if not self._slices or self._slices[-1][0] != minute:
            self._slices.append([minute, 0, 0.0])
        return self._slices[-1]
