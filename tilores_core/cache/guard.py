"""A tier as the tiering uses it: no call lasts long, none raises, and what could not be removed is still owed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from tilores_core.cache.breaker import CircuitBreaker
from tilores_core.cache.counters import TierCounters, Times, as_plain
from tilores_core.cache.invalidation import EVERYTHING, Invalidation
from tilores_core.contracts import CacheEntry, CacheTier, SupportsPeek, TierStats

logger = logging.getLogger("tilores_core.cache")

T = TypeVar("T")
MAX_OWED = 256


class _Failed:
    """The tier did not do it; the reason is counted."""


FAILED: Final = _Failed()


class GuardedTier:
    """One tier with its breaker, deadline and counters. A tier in this process (`SupportsPeek`) needs no breaker."""

    def __init__(self, label: str, name: str, tier: CacheTier, *, breaker: CircuitBreaker, timeout: float) -> None:
        self.label = label
        self.name = name
        self.tier = tier
        self.local: SupportsPeek | None = tier if isinstance(tier, SupportsPeek) else None
        self.breaker = None if self.local is not None else breaker
        self.counters: defaultdict[str, TierCounters] = defaultdict(TierCounters)
        self.times = Times()
        self.owed: list[Invalidation] = []
        self.errors = 0
        self.skipped = 0
        self._timeout = timeout

    async def call(self, work: Callable[[], Awaitable[T]]) -> T | _Failed:
        """Do it unless the breaker is open. Never raises but for cancellation."""
        breaker = self.breaker
        if breaker is not None and not breaker.allow():
            self.skipped += 1
            return FAILED
        try:
            async with asyncio.timeout(self._timeout):
                result = await work()
        except asyncio.CancelledError:
            if breaker is not None:
                breaker.abandon()
            raise
        except Exception as error:  # a tier is a stranger's code: whatever it raises costs no more than a miss
            self.note_failure(error)
            return FAILED
        if breaker is not None:
            breaker.success()
        return result

    def note_failure(self, error: Exception) -> None:
        """Also for the calls that do not go through `call`: peek and put."""
        self.errors += 1
        if self.breaker is None:
            return
        opened = self.breaker.opened
        self.breaker.failure()
        if self.breaker.opened > opened:
            logger.warning("cache tier %s is left alone for now (%s)", self.name, type(error).__name__)

    async def read(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        """What is there of `keys`; nothing when the tier fails, and nothing that it was to remove but could not."""
        started = time.perf_counter()
        entries = await self.call(lambda: self.tier.get_many(keys))
        if isinstance(entries, _Failed):
            return {}
        self.times.add(time.perf_counter() - started)
        if not self.owed:
            return entries
        return {
            key: entry
            for key, entry in entries.items()
            if not any(what.matches(key, entry.tags) for what in self.owed)
        }

    async def write(self, entries: Mapping[str, CacheEntry]) -> bool:
        return not isinstance(await self.call(lambda: self.tier.set_many(entries)), _Failed)

    async def remove(self, what: Invalidation) -> int:
        """Remove all that `what` says; how many were there. What fails is owed and refused to readers meanwhile."""
        done, removed = await self._remove(what)
        if not done:
            self.owed.append(what)
            if len(self.owed) > MAX_OWED:
                self.owed[:] = [EVERYTHING]
        return removed

    async def settle(self) -> list[Invalidation]:
        """Try again what is owed, until the first failure; what has been done now."""
        settled: list[Invalidation] = []
        while self.owed:
            what = self.owed[0]  # it stays in the list until it is done: readers look there
            done, _ = await self._remove(what)
            if not done:
                break
            if what in self.owed:
                self.owed.remove(what)
            settled.append(what)
        return settled

    async def stats(self) -> dict[str, Any]:
        inner = await self.call(self.tier.stats)
        own = TierStats() if isinstance(inner, _Failed) else inner
        namespaces: dict[str, dict[str, Any]] = {name: as_plain(found) for name, found in self.counters.items()}
        extra = dict(own.extra)
        for name, figures in (extra.pop("namespaces", None) or {}).items():
            namespaces.setdefault(name, as_plain(TierCounters())).update(figures)
        return {
            "name": self.name,
            "entries": own.entries,
            "bytes": own.bytes,
            "hits": sum(found.hits for found in self.counters.values()),
            "misses": sum(found.misses for found in self.counters.values()),
            "promotions": sum(found.promotions for found in self.counters.values()),
            "evictions": own.evictions,
            "expirations": own.expirations,
            "errors": self.errors + own.errors,
            "skipped": self.skipped,
            "owed_invalidations": len(self.owed),
            "breaker": self.breaker.state if self.breaker is not None else None,
            "breaker_opened": self.breaker.opened if self.breaker is not None else 0,
            **self.times.quantiles(),
            "namespaces": namespaces,
            "extra": extra,
        }

    async def _remove(self, what: Invalidation) -> tuple[bool, int]:
        removed = 0
        for step in _steps(self.tier, what):
            count = await self.call(step)
            if isinstance(count, _Failed):
                return False, removed
            removed += count
        return True, removed


def _steps(tier: CacheTier, what: Invalidation) -> list[Callable[[], Awaitable[int]]]:
    if what.everything:
        return [lambda: tier.clear()]
    steps: list[Callable[[], Awaitable[int]]] = [
        lambda namespace=namespace: tier.clear(namespace)  # type: ignore[misc]  # the default binds it early
        for namespace in what.namespaces
    ]
    if what.keys:
        steps.append(lambda: tier.delete(list(what.keys)))
    steps += [lambda tag=tag: tier.delete_tag(tag) for tag in what.tags]  # type: ignore[misc]
    return steps
