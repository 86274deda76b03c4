"""Record insights: functions over an entity's records, with the semantics of the service's own library."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.tilores_instance.conditions import Condition, Record, meets, sort_records
from tests.tilores_instance.paths import FieldError, number_of, text_of, time_of, value_at


def distinct(values: Iterable[Any], case_sensitive: bool) -> list[Any]:
    """Each value once, in its first spelling."""
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(text_of(value, case_sensitive), value)
    return list(seen.values())


def frequencies(
    values: Iterable[Any], top: int = -1, direction: str = "DESC", case_sensitive: bool = False
) -> list[Any]:
    """Rows of value, frequency and percentage (a fraction); values as often as each other keep their first order."""
    counts: dict[str, int] = {}
    spelling: dict[str, Any] = {}
    for value in values:
        key = text_of(value, case_sensitive)
        spelling.setdefault(key, value)
        counts[key] = counts.get(key, 0) + 1
    total = sum(counts.values())
    sign = 1 if direction == "ASC" else -1
    ranked = sorted(counts.items(), key=lambda item: sign * item[1])
    rows = [{"value": spelling[key], "frequency": n, "percentage": n / total} for key, n in ranked]
    return rows if top < 0 else rows[:top]


def confidence(values: Iterable[Any], case_sensitive: bool = False) -> float | None:
    """Sum of the squared fractions: 1.0 when all agree, None without values."""
    rows = frequencies(values, case_sensitive=case_sensitive)
    return sum(row["percentage"] ** 2 for row in rows) if rows else None


@dataclass(frozen=True, slots=True)
class Insights:
    """Each method is the field of `RecordInsights` with that name in snake case."""

    all: tuple[Record, ...]

    def records(self) -> tuple[Record, ...]:
        return self.all

    def filter(self, conditions: Sequence[Condition]) -> Insights:
        return Insights(tuple(record for record in self.all if meets(record, conditions)))

    def sort(self, criteria: Sequence[Mapping[str, Any]]) -> Insights:
        return Insights(tuple(sort_records(self.all, criteria)))

    def limit(self, count: int, offset: int = 0) -> Insights:
        if count < 0 or offset < 0:
            raise FieldError("count and offset must not be negative")
        return Insights(self.all[offset : offset + count])

    def group(self, fields: Sequence[str], case_sensitive: bool = False) -> list[Insights]:
        groups: dict[tuple[str | None, ...], list[Record]] = {}
        for record in self.all:
            groups.setdefault(_combination(record, fields, case_sensitive), []).append(record)
        return [Insights(tuple(records)) for records in groups.values()]

    def count(self) -> int:
        return len(self.all)

    def count_distinct(self, fields: Sequence[str], case_sensitive: bool = False) -> int:
        combinations = {_combination(record, fields, case_sensitive) for record in self.all}
        return sum(1 for one in combinations if any(part is not None for part in one))

    def first(self) -> Record | None:
        return self.all[0] if self.all else None

    def last(self) -> Record | None:
        return self.all[-1] if self.all else None

    def values(self, field: str) -> list[Any]:
        return [value for record in self.all if (value := value_at(record, field)) is not None]

    def values_distinct(self, field: str, case_sensitive: bool = False) -> list[Any]:
        return distinct(self.values(field), case_sensitive)

    def frequency_distribution(
        self, field: str, case_sensitive: bool = False, top: int = -1, direction: str = "DESC"
    ) -> list[Any]:
        return frequencies(self.values(field), top, direction, case_sensitive)

    def average(self, field: str) -> float | None:
        return statistics.fmean(numbers) if (numbers := self._numbers(field)) else None

    def max(self, field: str) -> float | None:
        return max(self._numbers(field), default=None)

    def median(self, field: str) -> float | None:
        return statistics.median(numbers) if (numbers := self._numbers(field)) else None

    def min(self, field: str) -> float | None:
        return min(self._numbers(field), default=None)

    def sum(self, field: str) -> float | None:
        return sum(numbers) if (numbers := self._numbers(field)) else None

    def standard_deviation(self, field: str) -> float | None:
        """Of the population: divided by n."""
        return statistics.pstdev(numbers) if (numbers := self._numbers(field)) else None

    def confidence(self, field: str, case_sensitive: bool = False) -> float | None:
        return confidence(self.values(field), case_sensitive)

    def newest(self, field: str) -> Record | None:
        timed = self._timed(field)
        return max(timed, key=lambda pair: pair[0])[1] if timed else None

    def oldest(self, field: str) -> Record | None:
        timed = self._timed(field)
        return min(timed, key=lambda pair: pair[0])[1] if timed else None

    def flatten(self, field: str) -> list[Any]:
        flat: list[Any] = []
        for value in self.values(field):
            if not isinstance(value, list):
                raise FieldError(f"invalid type while extracting array from path {field}")
            flat += [item for item in value if item is not None]
        return flat

    def flatten_distinct(self, field: str, case_sensitive: bool = False) -> list[Any]:
        return distinct(self.flatten(field), case_sensitive)

    def _numbers(self, field: str) -> list[float]:
        return [number for value in self.values(field) if (number := number_of(value)) is not None]

    def _timed(self, field: str) -> list[tuple[datetime, Record]]:
        """Records with that field and its instant; max and min keep the first of equal ones."""
        pairs = [(time_of(value_at(record, field)), record) for record in self.all]
        return [(instant, record) for instant, record in pairs if instant is not None]


def _combination(record: Record, fields: Sequence[str], case_sensitive: bool) -> tuple[str | None, ...]:
    found = (value_at(record, field) for field in fields)
    return tuple(None if value is None else text_of(value, case_sensitive) for value in found)
