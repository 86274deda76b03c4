"""Batches and pre-warming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Sample
from tilores_core.metrics.parts import queue_samples

_RESULTS = ("warmed", "failed", "kept")
_LINES = ("failed", "cached", "repeated", "unidentified")

Totals = Callable[[], Mapping[str, float]]
"""What `jobs.batch_totals.Totals.plain` says, which only grows."""


class BatchMeter:
    """The batches of this process: those at work are asked at a scrape, of those that ended the sums are kept."""

    def __init__(self) -> None:
        self._at_work: dict[int, Totals] = {}
        self._ended: Counter[str] = Counter()
        self._number = 0

    def begin(self, totals: Totals) -> Callable[[], None]:
        """A batch begins; call what is returned when it has ended, however it did."""
        self._number += 1
        number = self._number
        self._at_work[number] = totals

        def end() -> None:
            if self._at_work.pop(number, None) is not None:
                self._ended.update(totals())

        return end

    def samples(self) -> Iterator[Sample]:
        sums = Counter(self._ended)
        for totals in self._at_work.values():
            sums.update(totals())
        yield Sample(catalogue.BATCHES_RUNNING, (), len(self._at_work))
        if sums:
            for outcome in _LINES:
                yield Sample(catalogue.BATCH_LINES, (outcome,), sums[outcome])
            yield Sample(catalogue.BATCH_LINES, ("all",), sums["lines"])


def prewarm_samples(statistics: Mapping[str, Any]) -> Iterator[Sample]:
    """What `Prewarming.statistics` says."""
    yield Sample(catalogue.PREWARM_LEADING, (), float(bool(statistics["leading"])))
    for cause, figures in (("list", statistics["totals"]), ("call", statistics["calls"])):
        yield Sample(catalogue.PREWARM_CUSTOMERS, (cause,), figures["customers"])
        for result in _RESULTS:
            yield Sample(catalogue.PREWARM_ENTRIES, (cause, result), figures[result])
        for result, number in figures["skipped_because"].items():
            yield Sample(catalogue.PREWARM_ENTRIES, (cause, result), number)
    worth = statistics["worth"]
    yield Sample(catalogue.PREWARM_ANSWERS, (), worth["warmed_answers"])
    yield Sample(catalogue.PREWARM_USED, (), worth["used_answers"])
    yield Sample(catalogue.PREWARM_HITS, (), worth["hits"])
    yield from queue_samples("prewarm", waiting=statistics["calls"]["waiting"], dropped=0, failed=0)
