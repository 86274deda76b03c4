"""Look-ups in the customer source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Sample
from tilores_core.metrics.histogram import SOURCE_BOUNDS, Histogram

_MOST_OUTCOMES = 40


class SourceMeter:
    """Told by the customer look-up."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._seconds = Histogram(SOURCE_BOUNDS)

    def looked_up(self, outcome: str, seconds: float) -> None:
        """`outcome`: ok or an error code."""
        if outcome not in self._outcomes and len(self._outcomes) >= _MOST_OUTCOMES:
            outcome = "other"
        self._outcomes[outcome] += 1
        self._seconds.add(seconds)

    def samples(self) -> Iterator[Sample]:
        for outcome, number in self._outcomes.items():
            yield Sample(catalogue.SOURCE_LOOKUPS, (outcome,), number)
        yield Sample(catalogue.SOURCE_SECONDS, (), self._seconds.value)
