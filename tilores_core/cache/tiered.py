"""Tiers as one cache: read the fastest first, store in all, make what is missing once.

    hit = cache.get_from_memory(key) or await cache.get_from_tiers(key)

A hit is served by `peek`: the tier in this process, no I/O, nothing awaited. For one event loop.
"""

from __future__ import annotations

import asyncio
import random as _random
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict
from typing import Any, Never

from cachetools import TTLCache
from msgspec.structs import replace

from tilores_core.cache import policy
from tilores_core.cache.counters import NamespaceCounters
from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.invalidation import EVERYTHING, invalidation
from tilores_core.cache.invalidator import Invalidator
from tilores_core.cache.keys import namespace_of
from tilores_core.cache.lease import TierLeases, wait_for_replica
from tilores_core.cache.policy import Life, Plan
from tilores_core.cache.stack import Stack, Writes
from tilores_core.cache.values import Hit, MakerResult, hit_of
from tilores_core.contracts import CacheTier, SupportsLease
from tilores_core.errors import RequestError
from tilores_core.resilience import CircuitBreaker, InFlightCall, InFlightCalls, LeaseBackend
from tilores_core.settings import CacheTable

__all__ = ["Hit", "MakerResult", "TieredCache"]

Maker = Callable[[], Awaitable[MakerResult]]

NEGATIVE_SECONDS = 15.0
"""Life of "there is nothing" in a namespace that has no table of its own."""

MAX_WRITES_BEHIND = 256
"""Stores behind requests at one time; beyond it a request waits for its own, which slows down who writes too fast."""

MAX_REFRESHES = 64
"""Refreshes behind requests at one time; beyond it a stale entry is served and not renewed yet."""

_RETRY_AFTER_FAILURE = 1.0
_SECONDS_FOR_WRITES = 1.0
_SECONDS_TO_END = 5.0
_NO_LEASE = nullcontext()


class TieredCache:
    """Tiers, fastest first, as (name, tier). The caller built them and closes them.

    A failing tier costs its deadline at most, then its breaker keeps it out of the way; nothing here raises because
    of a tier. Keys as `tilores_core.cache.keys` makes them. `clock` in seconds since the epoch.
    """

    def __init__(
        self,
        tiers: Sequence[tuple[str, CacheTier]],
        *,
        table: CacheTable,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = _random.random,
        breaker: Callable[[], CircuitBreaker] = CircuitBreaker,
        write_pause: float = 0.0,
    ) -> None:
        """Join the tiers. `write_pause`: seconds in which writes that no request waits for gather, to go out
        together."""
        self._table = table
        self._write_pause = write_pause
        self._clock = clock
        self._random = random
        self._stack = Stack(
            [
                GuardedTier(f"l{place}", name, tier, breaker=breaker, timeout=table.tier_timeout_seconds)
                for place, (name, tier) in enumerate(tiers, start=1)
            ],
            clock=clock,
        )
        self.get_from_memory: Callable[[str], Hit | None] = self._stack.get_from_memory
        """`get_from_memory(key)`: the entry in this process, stale ones too, or None. No I/O, never raises."""
        self.get_many = self._stack.read
        """`get_many(keys)`: what is there of them, each from the fastest tier that has it, with one call per tier.
        `skip_local`: memory is not asked."""
        self.put_in_memory = self._stack.put_in_memory
        self.touch = self._stack.touch
        self.refresh = self._stack.refresh
        self.share = self._stack.share
        self.has_memory = self._stack.local is not None
        """A tier is in this process, so that `get_from_memory` can find something."""
        self.has_shared = any(tier.local is None for tier in self._stack.tiers)
        """A tier is outside this process, so that `get_from_tiers` can find something."""
        self.revision = self._stack.log.revision
        """`revision()`: to be noted before reading what a value is made from, and given to `set` as `since`."""
        self._calls: InFlightCalls[Hit, Never] = InFlightCalls()
        self._refreshing = 0
        self._failed: TTLCache[str, None] = TTLCache(1024, _RETRY_AFTER_FAILURE, timer=time.monotonic)
        self._namespaces: defaultdict[str, NamespaceCounters] = defaultdict(NamespaceCounters)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writes: set[asyncio.Task[Any]] = set()
        self._waiting: dict[str, Writes] = {}
        self._invalidator = Invalidator(self._stack, name=uuid.uuid4().hex, spawn=self._spawn)
        self.announce = self._invalidator.announce
        self.on_announcement = self._invalidator.on_announcement
        self.on_invalidation = self._invalidator.on_invalidation
        self.leases: LeaseBackend | None = next(
            (TierLeases(tier, tier.tier) for tier in self._stack.tiers if isinstance(tier.tier, SupportsLease)), None
        )
        """Leases among the processes that share a tier; None without such a tier."""

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to listen to what the other processes invalidate."""
        self._invalidator.start()

    async def aclose(self) -> None:
        """End what runs in the background. Callers that wait for a shared result get `OverloadedError`."""
        await self._calls.aclose()
        if self._writes:  # stores that callers did not wait for
            await asyncio.wait(set(self._writes), timeout=_SECONDS_FOR_WRITES)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:  # a tier is third-party code and may not end
            await asyncio.wait([asyncio.gather(*tasks, return_exceptions=True)], timeout=_SECONDS_TO_END)

    # --- reading ------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Hit | None:
        """The entry from the fastest tier that has it, stale ones too."""
        return (await self._stack.read([key])).get(key)

    async def get_from_tiers(self, key: str) -> Hit | None:
        """As `get`, after `get_from_memory` found nothing: memory is not asked again."""
        return (await self._stack.read([key], skip_local=True)).get(key)

    # --- storing ------------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: bytes,
        *,
        ttl: float,
        grace: float = 0.0,
        tags: Sequence[str] = (),
        stored_at: float | None = None,
        since: int | None = None,
        behind: bool = False,
    ) -> None:
        """Store in every tier: fresh for `ttl` seconds (less the jitter), then stale for `grace` more.

        `since`: a `revision`; the value is dropped if an invalidation after it would have removed the entry.
        `behind`: do not wait for the tiers outside this process, unless other replicas wait for the value (`lease`).
        """
        revision = self.revision() if since is None else since
        await self._store(key, value, self._life(ttl, grace, stored_at), tuple(tags), revision, behind=behind)

    # --- making -------------------------------------------------------------------------------------------

    async def fetch(
        self,
        key: str,
        make: Maker,
        *,
        ttl: float,
        grace: float = 0.0,
        max_age: float | None = None,
        no_cache: bool = False,
        skip_tiers: bool = False,
    ) -> Hit:
        """The entry, made if it is missing, by one of all who ask at the same time.

        A stale entry is served at once and renewed behind the request. If making fails while an entry still lives,
        that one is served, marked stale (not with `no_cache`, and not for a `RequestError`). Otherwise what `make`
        raises reaches all who waited and is not kept. Times in seconds.
        """
        asked = policy.demand(max_age, no_cache)
        hit = None if no_cache else self.get_from_memory(key)
        plan = policy.decide(hit, asked=asked, now=self._clock())
        if hit is None or plan is Plan.MAKE:
            hit = await self._share(key, make, ttl, grace, asked, hit, skip_tiers=skip_tiers)
            plan = policy.decide(hit, asked=asked, now=self._clock())
        if plan is Plan.SERVE_AND_REFRESH and hit.tier != "miss":
            self._namespaces[namespace_of(key)].served_stale += 1
            self._refresh(key, make, ttl, grace)
        return hit

    def lease(
        self, key: str, seconds: float | None = None, *, accept: Callable[[Hit], bool] = lambda _: True
    ) -> AbstractAsyncContextManager[Hit | None]:
        """`async with cache.lease(key) as hit`: let one of all replicas make `key`.

        `hit`: what another replica has made meanwhile and `accept` takes. None: make and store it inside the block.
        Without `single_flight_replicas`, or without a tier that has leases, it is None at once.
        """
        if self.leases is None or not self._table.single_flight_replicas:
            return _NO_LEASE

        async def look() -> Hit | None:
            hit = await self.get_from_tiers(key)  # what another replica makes arrives below
            return hit if hit is not None and accept(hit) else None

        return wait_for_replica(self.leases, key, self._table.lease_seconds if seconds is None else seconds, look)

    # --- removing -----------------------------------------------------------------------------------------

    async def invalidate(
        self, *, keys: Sequence[str] = (), tags: Sequence[str] = (), namespace: str | None = None
    ) -> int:
        """Remove by key, by tag and by namespace, here and in all other processes.

        Returns how many entries the tier that had most of them removed. What a tier that is down could not remove is
        not served from it and is removed when it is back.
        """
        what = invalidation(keys, tags, namespace)
        return await self._invalidator.invalidate(what) if what else 0

    async def clear(self) -> int:
        """Remove everything, here and in all other processes."""
        return await self._invalidator.invalidate(EVERYTHING)

    async def get_tagged(self, tags: Collection[str]) -> frozenset[str]:
        """The keys of the entries with one of the tags, in those tiers that can list them."""
        return frozenset[str]().union(*[await tier.get_tagged(tags) for tier in self._stack.tiers])

    def pending_tiers(self) -> tuple[str, ...]:
        """The names of the tiers that have invalidations to retry."""
        return tuple(tier.name for tier in self._stack.tiers if tier.pending_invalidations)

    # --- figures ------------------------------------------------------------------------------------------

    async def stats(self) -> dict[str, Any]:
        """Counters since the start: by tier (`l1`, …) and namespace; see docs/cache.md."""
        return {
            "tiers": {tier.label: await tier.stats() for tier in self._stack.tiers},
            "namespaces": {name: asdict(counters) for name, counters in self._namespaces.items()},
            "in_flight": len(self._calls),
            "refreshing": self._refreshing,
            "invalidations": self._invalidator.stats(),
        }

    async def probe(self, seconds: float) -> tuple[GuardedTier, ...]:
        """The tiers, each just asked whether it answers within so long; its `condition` has the outcome."""
        await asyncio.gather(*(tier.probe(seconds) for tier in self._stack.tiers))
        return tuple(self._stack.tiers)

    # --- inside: storing ----------------------------------------------------------------------------------

    async def _store(
        self, key: str, value: bytes, life: Life, tags: tuple[str, ...], revision: int, *, behind: bool
    ) -> None:
        waited_for = self.leases is not None and self._table.single_flight_replicas
        defer = self._defer if behind and not waited_for else None
        if not await self._stack.store(key, value, life, tags, revision, defer=defer):
            self._namespaces[namespace_of(key)].dropped += 1

    async def _defer(self, tier: GuardedTier, key: str, hit: Hit, revision: int) -> None:
        """Write it in the background, in one call with what comes within a moment or during the write before it."""
        waiting = self._waiting.get(tier.name)
        if waiting is not None and len(waiting) >= MAX_WRITES_BEHIND:
            await self._stack.write(tier, {key: (hit, revision)})
            return
        if waiting is None:
            waiting = self._waiting[tier.name] = {}
            task = self._spawn(self._write_behind(tier, waiting))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)
        waiting[key] = hit, revision

    async def _write_behind(self, tier: GuardedTier, waiting: Writes) -> None:
        try:
            if self._write_pause and self.has_memory:  # without memory what was just stored would not be found
                await asyncio.sleep(self._write_pause)
            while waiting:
                writes = dict(waiting)
                waiting.clear()
                await self._stack.write(tier, writes)
        finally:
            del self._waiting[tier.name]

    def _life(self, ttl: float, grace: float, stored_at: float | None = None) -> Life:
        start = self._clock() if stored_at is None else stored_at
        return policy.life(start, ttl=ttl, grace=grace, jitter=self._table.jitter, roll=self._random())

    # --- inside: making -----------------------------------------------------------------------------------

    async def _share(
        self, key: str, make: Maker, ttl: float, grace: float, asked: float, fallback: Hit | None, *, skip_tiers: bool
    ) -> Hit:
        call = self._calls.get(key)
        if call is not None and self._may_join(key, call, asked):
            self._namespaces[namespace_of(key)].coalesced += 1
        else:
            revision = self.revision()
            call = self._calls.start(
                key,
                lambda _: self._obtain(key, make, ttl, grace, asked, fallback, revision, skip_tiers=skip_tiers),
                note=(asked, revision),
            )
        call.join()
        return await call.result()

    def _may_join(self, key: str, call: InFlightCall[Hit, Never], asked: float) -> bool:
        demand, revision = call.note
        # What started before an invalidation may have read what is outdated since; its tags are not known yet.
        return policy.may_join(demand, asked) and not self._stack.log.has_invalidated(revision, key, None)

    async def _obtain(
        self,
        key: str,
        make: Maker,
        ttl: float,
        grace: float,
        asked: float,
        fallback: Hit | None,
        revision: int,
        *,
        skip_tiers: bool,
    ) -> Hit:
        if asked == policy.NO_CACHE:
            return await self._make(key, make, ttl, grace, revision)

        def good(hit: Hit) -> bool:
            return policy.satisfies(asked, hit, self._clock())

        below = None if skip_tiers and self.has_memory else await self.get_from_tiers(key)
        if below is not None:
            if good(below):
                return below
            fallback = below if policy.newer(below, fallback) else fallback
        try:
            async with self.lease(key, accept=good) as hit:
                return hit or await self._make(key, make, ttl, grace, revision)
        except RequestError:
            raise
        except Exception:
            now = self._clock()
            if fallback is None or not policy.may_fall_back(fallback, asked=asked, now=now):
                raise
            self._namespaces[namespace_of(key)].served_on_error += 1
            return replace(fallback, fresh_until=min(fallback.fresh_until, now))

    async def _make(self, key: str, make: Maker, ttl: float, grace: float, revision: int) -> Hit:
        counters = self._namespaces[namespace_of(key)]
        try:
            made = await make()
        except Exception:
            counters.failed += 1
            self._failed[key] = None
            raise
        counters.made += 1
        if made.negative:
            table = getattr(self._table, namespace_of(key), None)
            longest = getattr(table, "negative_ttl_seconds", NEGATIVE_SECONDS)
            life = self._life(min(ttl, longest) if made.ttl is None else made.ttl, 0.0)
        else:
            life = self._life(ttl if made.ttl is None else made.ttl, grace)
        hit = hit_of(made.value, "miss", life, tuple(made.tags))
        if made.store:
            await self._store(key, hit.value, life, hit.tags, revision, behind=True)
        return hit

    def _refresh(self, key: str, make: Maker, ttl: float, grace: float) -> None:
        if key in self._calls or key in self._failed or self._refreshing >= MAX_REFRESHES:
            return
        revision = self.revision()
        self._namespaces[namespace_of(key)].refreshes += 1
        call = self._calls.start(key, lambda _: self._make(key, make, ttl, grace, revision), note=(0.0, revision))
        call.join()  # and never leave: it goes on without a caller
        self._refreshing += 1
        call.task.add_done_callback(self._on_refreshed)

    def _on_refreshed(self, _: asyncio.Task[Hit]) -> None:
        self._refreshing -= 1

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
