"""What a batch counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from tilores_core.jobs.batch_output import Row
from tilores_core.jobs.batch_rows import REPEATED


@dataclass(slots=True)
class Totals:
    """`lines`: that were finished, of which `failed` ended with an error.

    `cached`: answered by a cache tier, `repeated`: by an earlier line, `unidentified`: told that nobody, or more than
    one, is meant. `attempts`: how often lines were tried; `cost` in US dollars, of what has a known price.
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

    def plain(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Totals:
        """From `plain`, also that of another version."""
        return cls(**{field.name: plain[field.name] for field in fields(cls) if field.name in plain})
