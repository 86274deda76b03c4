"""Random choices that are the same in every Python.

Only `random.Random.random()` promises the same sequence for a seed in later versions, so everything here is
made of it; `choice`, `randint` and `shuffle` promise nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Throws from one seed, in order."""

    def __init__(self, seed: str) -> None:
        self._next = random.Random(seed).random  # noqa: S311 - demo data, nothing secret

    def chance(self, probability: float) -> bool:
        return self._next() < probability

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + int(self._next() * (most - least + 1))

    def amount(self, least: float, most: float) -> float:
        """A sum of money with two decimals."""
        return round(least + self._next() * (most - least), 2)

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self._next() * len(values))]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """Return `count` different values, in random order."""
        left = list(values)
        return [left.pop(int(self._next() * len(left))) for _ in range(min(count, len(left)))]

    def pick_weighted(self, weights: dict[str, int]) -> str:
        point = self._next() * sum(weights.values())
        for name, weight in weights.items():
            point -= weight
            if point < 0:
                return name
        return name

    def day(self, first: date, last: date) -> date:
        """A day, both ends included; `first` when the span is empty."""
        return first + timedelta(days=self.between(0, max(0, (last - first).days)))

    def fill(self, pattern: str) -> str:
        """`#` becomes a digit, `@` a capital that no postcode confuses."""
        return "".join(
            str(self.between(0, 9)) if c == "#" else self.pick("ABEHNRTW") if c == "@" else c for c in pattern
        )
