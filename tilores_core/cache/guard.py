"""Wraps a tier with timeouts, circuit breakers and counters.

Calls never raise. Failed invalidations are kept and retried; matching entries count as misses until then.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from tilores_core.cache.counters import TierCounters, Times
from tilores_core.cache.invalidation import EVERYTHING, Invalidation
from tilores_core.contracts import CacheEntry, CacheTier, SupportsPeek, SupportsTagKeys, TierStats
from tilores_core.errors import CacheError
from tilores_core.logs import LastingFault
from tilores_core.resilience import CircuitBreaker, Condition, TimeLimit

log = structlog.get_logger(part="cache")

T = TypeVar("T")
MAX_PENDING = 256
_PROBE: Final = "health:probe"
# Removing by tag or namespace may walk over a whole store, in steps that the tier bounds itself.
_SECONDS_TO_REMOVE = 60.0


class _Failed:
    """The call failed; the reason is counted."""


FAILED: Final = _Failed()


class GuardedTier:
    """One tier with its breakers, deadline and counters. A tier in this process (`SupportsPeek`) needs no breaker.

    Writing has a breaker of its own: a store that is full or read-only refuses writes and goes on answering reads.
    """

    def __init__(
        self, label: str, name: str, tier: CacheTier, *, breaker: Callable[[], CircuitBreaker], timeout: float
    ) -> None:
        self.label = label
        self.name = name
        self.tier = tier
        self.local: SupportsPeek | None = tier if isinstance(tier, SupportsPeek) else None
        self.breaker = None if self.local is not None else breaker()
        self.write_breaker = None if self.local is not None else breaker()
        self.counters: defaultdict[str, TierCounters] = defaultdict(TierCounters)
        self.times = Times()
        self.pending_invalidations: list[Invalidation] = []
        self.errors = 0
        self.skipped = 0
        self.condition = Condition()
        self.fault: dict[str, str | None] = {}
        """`reason` and `fix` of the last failure."""
        self._faults = {
            reads: LastingFault("cache.breaker_opened", tier=name, calls="reads" if reads else "writes")
            for reads in (True, False)
        }
        self._timeout = timeout

    async def call(self, work: Callable[[], Awaitable[T]], *, seconds: float | None = None) -> T | _Failed:
        """Make a call that changes the tier, unless it is down or refuses changes. Raises only cancellation."""
        if self.breaker is not None and self.breaker.state == "open":  # a tier that cannot be read takes no writes
            self.skipped += 1
            return FAILED
        return await self._call(work, self.write_breaker, self._timeout if seconds is None else seconds)

    async def _call(
        self, work: Callable[[], Awaitable[T]], breaker: CircuitBreaker | None, seconds: float
    ) -> T | _Failed:
        if breaker is not None and not breaker.allow():
            self.skipped += 1
            return FAILED
        try:
            with TimeLimit(seconds):
                result = await work()
        except asyncio.CancelledError:
            if breaker is not None:
                breaker.abandon()
            raise
        except Exception as error:  # third-party code: whatever it raises costs no more than a miss
            self.note_failure(error, breaker)
            return FAILED
        if breaker is not None:
            was_closed = breaker.closed
            breaker.success()
            if not was_closed:
                self._faults[breaker is self.breaker].end()
        return result

    def note_failure(self, error: Exception, breaker: CircuitBreaker | None = None) -> None:
        """Count a failure; those of `peek` and `put`, which are called directly, have no breaker."""
        self.errors += 1
        self._record_failure(error)
        if breaker is None:
            return
        opened = breaker.opened
        writes = self.write_breaker
        # It can be neither written nor read: it is down.
        breaker.failure(certain=breaker is self.breaker and writes is not None and writes.state != "closed")
        if breaker.opened > opened:
            said = self.fault["reason"]
            if self._faults[breaker is self.breaker].is_new(str(said)):
                what = "reads" if breaker is self.breaker else "writes"
                log.warning("cache.breaker_opened", tier=self.name, calls=what, error=said, fix=self.fault["fix"])

    def _record_failure(self, error: Exception) -> None:
        kind = type(error).__name__
        self.condition.record_failure(kind)
        said, fix = (error.message, error.fix) if isinstance(error, CacheError) else (kind, None)
        self.fault = {"reason": said, "fix": fix}  # the text of another's error may hold anything

    async def read(self, keys: Sequence[str]) -> Mapping[str, CacheEntry] | None:
        """The entries of `keys`, without those that a pending invalidation matches; None when the tier fails."""
        started = time.perf_counter()
        entries = await self._call(partial(self.tier.get_many, keys), self.breaker, self._timeout)
        if isinstance(entries, _Failed):
            return None
        seconds = time.perf_counter() - started
        self.times.add(seconds)
        self.condition.record_success(seconds)
        if not self.pending_invalidations:
            return entries
        return {
            key: entry
            for key, entry in entries.items()
            if not any(what.matches(key, entry.tags) for what in self.pending_invalidations)
        }

    async def probe(self, seconds: float) -> bool:
        """Return whether it answers within `seconds`. Past the breaker; only `condition` records the result."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(seconds):
                await self.tier.get_many([_PROBE])
        except Exception as error:  # third-party code
            self._record_failure(error)
            return False
        self.condition.record_success(time.perf_counter() - started)
        return True

    async def write(self, entries: Mapping[str, CacheEntry]) -> bool:
        return not isinstance(await self.call(lambda: self.tier.set_many(entries)), _Failed)

    async def remove(self, what: Invalidation) -> int:
        """Remove all that `what` says; how many were there. What fails is pending, and not served meanwhile."""
        done, removed = await self._remove(what)
        if not done:
            self.add_pending(what)
        return removed

    def add_pending(self, what: Invalidation) -> None:
        if what not in self.pending_invalidations:
            self.pending_invalidations.append(what)
        if len(self.pending_invalidations) > MAX_PENDING:
            self.pending_invalidations[:] = [EVERYTHING]

    async def get_tagged(self, tags: Iterable[str]) -> set[str]:
        """The keys of the entries with one of the tags; none when the tier cannot list them or fails."""
        keys: set[str] = set()
        if isinstance(self.tier, SupportsTagKeys):
            for tag in tags:
                found = await self._call(partial(self.tier.tag_keys, tag), self.breaker, self._timeout)
                if not isinstance(found, _Failed):
                    keys.update(found)
        return keys

    async def retry_pending(self) -> list[Invalidation]:
        """Retry the pending invalidations until the first failure; returns those that were done."""
        done_now: list[Invalidation] = []
        while self.pending_invalidations:
            what = self.pending_invalidations[0]  # it stays in the list until it is done: readers look there
            done, _ = await self._remove(what)
            if not done:
                break
            if what in self.pending_invalidations:
                self.pending_invalidations.remove(what)
            done_now.append(what)
        return done_now

    async def stats(self) -> dict[str, Any]:
        own = await self._own_stats()
        namespaces: dict[str, dict[str, Any]] = {name: asdict(found) for name, found in self.counters.items()}
        extra = dict(own.extra)
        for name, figures in (extra.pop("namespaces", None) or {}).items():
            namespaces.setdefault(name, asdict(TierCounters())).update(figures)
        return {
            "name": self.name,
            "entries": own.entries,
            "bytes": own.bytes,
            "hits": sum(found.hits for found in self.counters.values()),
            "misses": sum(found.misses for found in self.counters.values()),
            "promotions": sum(found.promotions for found in self.counters.values()),
            "evictions": own.evictions,
            "expirations": own.expirations,
            "errors": max(self.errors, own.errors),  # the tier may have counted what it raised as well
            "skipped": self.skipped,
            "pending_invalidations": len(self.pending_invalidations),
            "breaker": self.breaker.state if self.breaker is not None else None,
            "breaker_opened": self.breaker.opened if self.breaker is not None else 0,
            "write_breaker": self.write_breaker.state if self.write_breaker is not None else None,
            "write_breaker_opened": self.write_breaker.opened if self.write_breaker is not None else 0,
            **self.times.quantiles(),
            "namespaces": namespaces,
            "extra": extra,
        }

    async def _own_stats(self) -> TierStats:
        # Past the breaker: a tier that is down may well answer this from its memory, which would close it.
        try:
            async with asyncio.timeout(self._timeout):
                return await self.tier.stats()
        except Exception:  # third-party code
            return TierStats()

    async def _remove(self, what: Invalidation) -> tuple[bool, int]:
        removed = 0
        for step in _steps(self.tier, what):
            count = await self.call(step, seconds=_SECONDS_TO_REMOVE)
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
