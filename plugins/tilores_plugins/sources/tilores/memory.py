"""What is remembered of earlier answers, in bounds: records of entities, and by what customers were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from tilores_core import Customer
from tilores_plugins.sources.tilores.search_parameters import Given

_ENTITIES = 20_000
_RECORDS = 8
_COMBINATIONS = 64
_HOPELESS = 5  # searches without a hit


class SeenRecords:
    """Record ids of entities seen: an entity that was merged away is found again by its records."""

    def __init__(self) -> None:
        self._seen: LRUCache[str, tuple[str, ...]] = LRUCache(_ENTITIES)

    def note(self, customer: Customer) -> None:
        ids = [record.id for record in customer.records]
        step = max(1, len(ids) // _RECORDS)
        self._seen[customer.id] = tuple(ids[::step][:_RECORDS])

    def of(self, entity_id: str) -> tuple[str, ...]:
        return self._seen.get(entity_id, ())


@dataclass(slots=True)
class _Count:
    asked: int = 0
    found: int = 0


class ParameterStats:
    """Which sets of parameters find customers: the instance's rules cannot be read, but learned."""

    def __init__(self) -> None:
        self._counts: LRUCache[tuple[str, ...], _Count] = LRUCache(_COMBINATIONS)

    def note(self, given: Iterable[str], *, found: bool) -> None:
        count = self._counts.setdefault(tuple(sorted(given)), _Count())
        count.asked += 1
        count.found += found

    def sort_by_success(self, variants: Sequence[Given]) -> list[Given]:
        """Sets that never found anybody go behind, if another one did."""
        counts = [self._counts.get(tuple(sorted(given)), _Count()) for given in variants]
        if not any(count.found for count in counts):
            return list(variants)
        hopeless = [count.asked >= _HOPELESS and not count.found for count in counts]
        return [variants[place] for place in sorted(range(len(variants)), key=hopeless.__getitem__)]

    def successful(self) -> list[tuple[str, ...]]:
        """Those that found a customer, the most successful first."""
        hits = [(names, count.found) for names, count in self._counts.items() if count.found]
        return [names for names, _ in sorted(hits, key=lambda item: -item[1])]
