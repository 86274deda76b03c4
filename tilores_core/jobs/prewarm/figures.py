"""What is told of warming: how much, how well, how long."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

Result = Literal["warmed", "fresh", "kept", "failed", "budget", "unnamed", "unknown", "too_many", "late", "outage"]
"""What became of one entry (a customer's records, or the answer to one question) or of one customer.

`warmed`: made or renewed. `fresh`: it lasts, nothing to do. `kept`: it could not be renewed, the old one stays.
`failed`: it is not there. The others were skipped: no `budget`; a question leaves something open that is not known
(`unnamed`); nobody fits (`unknown`); too many fit; too `late`; the source does not answer (`outage`).
"""

SKIPPED: tuple[Result, ...] = ("fresh", "budget", "unnamed", "unknown", "too_many", "late", "outage")


@dataclass(slots=True)
class Figures:
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

    def include(self, other: Figures) -> None:
        self.results += other.results
        self.errors += other.errors
        self.customers += other.customers
        self.seconds += other.seconds
        self.ended_at = other.ended_at or time.time()

    @property
    def failed(self) -> int:
        return self.results["failed"]

    def as_plain(self) -> dict[str, Any]:
        """`success_rate`: of what was tried, what is there now as it should be; None when nothing was."""
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
