"""Lines of the output: an answer, a customer's records, or why there is neither; their sums, and how fast."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tilores_core.contracts import Answer, Customer, CustomerOutcome
from tilores_core.errors import TiloresError, error_code
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_output import Row

REPEATED: Final = "batch"
"""What stands for the cache tier where an earlier line of the same batch had asked the same."""


def answer_row(line_id: str, answer: Answer, *, attempts: int, seconds: float) -> dict[str, Any]:
    """Make the row of an answer. `cost` in US dollars, None when no price is known."""
    return {
        "id": line_id,
        "answer": answer.text,
        "model": answer.model,
        "customer": answer.customer.kind,
        "customer_id": answer.customer.customer_id,
        "spectrum": answer.spectrum,
        "finish_reason": answer.finish_reason,
        "cost": answer.cost,
        **_end(answer.cache_tier, attempts, seconds),
    }


def records_row(
    line_id: str, outcome: CustomerOutcome, customer: Customer | None, *, attempts: int, seconds: float
) -> dict[str, Any]:
    """For a line without a question: the records of the customer that it names. It tells of no cache tier."""
    records = customer.records if customer is not None else ()
    return {
        "id": line_id,
        "customer": outcome.kind,
        "customer_id": outcome.customer_id,
        "records": [
            {"id": record.id, "system": record.system, "updated_at": record.updated_at, "fields": dict(record.fields)}
            for record in records
        ],
        **_end(None, attempts, seconds),
    }


def error_row(line_id: str, error: Exception, *, attempts: int, seconds: float) -> dict[str, Any]:
    """Only what our own errors say: the words of others may quote anything."""
    if isinstance(error, TiloresError):
        shown = {"code": error_code(error), "message": error.message, "fix": error.fix}
    else:
        shown = {"code": "internal", "message": f"unforeseen: {type(error).__name__}", "fix": None}
    return {"id": line_id, "error": shown, **_end(None, attempts, seconds)}


def problem_row(line: BatchLine) -> dict[str, Any]:
    """A line that cannot be understood."""
    shown = {"code": "invalid_request", "message": line.problem, "fix": "correct the line and run it again"}
    return {"id": line.id, "error": shown, **_end(None, 0, 0.0)}


def repeat_row(line_id: str, first: Row) -> dict[str, Any]:
    """What an earlier line that asked the same was given. It was paid there."""
    row = {**first, "id": line_id, **_end(REPEATED, 0, 0.0)}
    return {**row, "cost": 0.0} if "cost" in row else row


def input_row(line: BatchLine) -> Mapping[str, Any]:
    """The line as an input has it, so that it can be run again."""
    row = {"id": line.id, "question": line.question, **asdict(line.identifiers), "model": line.model}
    row["problem"] = line.problem  # not a column that is read: it is for correcting the line
    return {name: value for name, value in row.items() if value is not None}


def _end(cache: str | None, attempts: int, seconds: float) -> dict[str, Any]:
    """What every row ends in."""
    return {"cache": cache, "attempts": attempts, "latency_ms": round(seconds * 1000, 3)}


@dataclass(slots=True)
class Totals:
    """Counts of lines that have a row.

    `lines`: how many, of which `failed` ended with an error.

    `cached`: answered by a cache tier, `repeated`: by an earlier line, `unidentified`: no customer, or more than one,
    is meant. `attempts`: how often lines were tried; `cost` in US dollars, of what has a known price.
    """

    lines: int = 0
    failed: int = 0
    cached: int = 0
    repeated: int = 0
    unidentified: int = 0
    attempts: int = 0
    cost: float = 0.0

    def count(self, row: Row) -> None:
        """A finished line."""
        self.lines += 1
        self.attempts += row["attempts"]
        if "error" in row:
            self.failed += 1
            return
        tier = row["cache"]
        if tier == REPEATED:
            self.repeated += 1
        elif tier is not None and tier != "miss":
            self.cached += 1
        if row["customer"] in ("none", "several"):
            self.unidentified += 1
        self.cost += row.get("cost") or 0.0

    def add(self, other: Totals) -> None:
        for name, value in other.plain().items():
            setattr(self, name, getattr(self, name) + value)

    def plain(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Totals:
        """From `plain`, also that of another version."""
        return cls(**{field.name: plain[field.name] for field in fields(cls) if field.name in plain})


_BLOCK: Final = 1024 * 1024
_LOOKS: Final = 30


def count_lines(path: Path) -> int:
    """About how many lines there are: quickly, with empty ones and a header among them. It reads the disk."""
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """At one moment. `of`: lines in all, None while not counted; `rate`: lines a second, recently."""

    totals: Totals
    of: int | None
    seconds: float
    rate: float

    @property
    def eta(self) -> float | None:
        """Seconds that are left at this rate."""
        if self.of is None or self.rate <= 0:
            return None
        return max(0, self.of - self.totals.lines) / self.rate

    def plain(self) -> dict[str, Any]:
        plain = {**self.totals.plain(), "of": self.of, "seconds": round(self.seconds, 3), "rate": round(self.rate, 1)}
        return {**plain, "eta_s": None if self.eta is None else round(self.eta, 1)}


class Speed:
    """Looks at totals from time to time; the rate is that of the last looks."""

    def __init__(self, totals: Totals, clock: Callable[[], float] = time.monotonic) -> None:
        self._totals = totals
        self._clock = clock
        self._begun = clock()
        self._seen: deque[tuple[float, int]] = deque([(self._begun, totals.lines)], maxlen=_LOOKS)

    def look(self, of: int | None) -> ProgressSnapshot:
        now = self._clock()
        before, lines = self._seen[0]
        self._seen.append((now, self._totals.lines))
        rate = (self._totals.lines - lines) / (now - before) if now > before else 0.0
        return ProgressSnapshot(self._totals, of, now - self._begun, rate)
