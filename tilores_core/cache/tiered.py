"""Tiers as one cache: read the fastest first, store in all, make what is missing once.

    hit = cache.peek(key) or await cache.get(key, peeked=True)

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
from dataclasses import replace
from typing import Any, Never

from cachetools import TTLCache

from tilores_core.cache import policy
from tilores_core.cache.coherence import Coherence
from tilores_core.cache.counters import NamespaceCounters, as_plain
from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.invalidation import EVERYTHING, Invalidation, invalidation
from tilores_core.cache.keys import namespace_of
from tilores_core.cache.lease import TierLeases, made_elsewhere
from tilores_core.cache.policy import Life, Plan
from tilores_core.cache.stack import Stack
from tilores_core.cache.values import Hit, Made, hit_of
from tilores_core.contracts import CacheTier, SupportsBroadcast, SupportsLease
from tilores_core.errors import RequestError
from tilores_core.resilience import CircuitBreaker, InFlightCall, InFlightCalls, LeaseBackend
from tilores_core.settings import CacheTable

__all__ = ["Hit", "Made", "TieredCache"]

Maker = Callable[[], Awaitable[Made]]

NEGATIVE_SECONDS = 15.0
"""Life of "there is nothing" in a namespace that has no table of its own."""

MAX_WRITES_BEHIND = 256
"""Stores behind requests at one time; beyond it a request waits for its own, which slows down who writes too fast."""

MAX_REFRESHES = 64
"""Refreshes behind requests at one time; beyond it a stale entry is served and not renewed yet."""

_RETRY_AFTER_FAILURE = 1.0
_SECONDS_FOR_WRITES = 1.0
_SECONDS_TO_END = 5.0
_SETTLE_EVERY = 1.0


class TieredCache:
    """Tiers, fastest first, as (name, tier). The tiers belong to whoever built them and are not closed here.

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
    ) -> None:
        self._table = table
        self._clock = clock
        self._random = random
        self._stack = Stack(
            [
                GuardedTier(f"l{place}", name, tier, breaker=breaker, timeout=table.tier_timeout_seconds)
                for place, (name, tier) in enumerate(tiers, start=1)
            ],
            clock=clock,
            owing=self._settle_later,
            invalidated=self._on_invalidated,
        )
        self.peek: Callable[[str], Hit | None] = self._stack.peek
        """`peek(key)`: the entry in this process, stale ones too, or None. No I/O, no waiting, never raises."""
        self._name = uuid.uuid4().hex
        self._calls: InFlightCalls[Hit, Never] = InFlightCalls()
        self._refreshing = 0
        self._failed: TTLCache[str, None] = TTLCache(1024, _RETRY_AFTER_FAILURE, timer=time.monotonic)
        self._namespaces: defaultdict[str, NamespaceCounters] = defaultdict(NamespaceCounters)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._writes: set[asyncio.Task[Any]] = set()
        self._settling: set[str] = set()
        self._change_listeners: list[Callable[[str], None]] = []
        self._invalidation_listeners: list[Callable[[Invalidation], None]] = []
        self._coherence = self._find_coherence()
        self.leases: LeaseBackend | None = self._find_leases()
        """Leases among the processes that share a tier; None without such a tier."""

    @property
    def has_memory(self) -> bool:
        """A tier is in this process, so that `peek` can find something."""
        return self._stack.local is not None

    @property
    def has_shared(self) -> bool:
        """A tier is outside this process, so that `get` can find what `peek` did not."""
        return any(tier.local is None for tier in self._stack.tiers)

    # --- life ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to listen to what the other processes invalidate."""
        if self._coherence is not None:
            self._spawn(self._coherence.listen())

    async def aclose(self) -> None:
        """End what runs in the background. Who waits for a shared result gets `OverloadedError`."""
        await self._calls.aclose()
        if self._writes:  # what was promised to be stored behind a caller
            await asyncio.wait(set(self._writes), timeout=_SECONDS_FOR_WRITES)
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:  # a tier is a stranger's code, which may not want to end
            await asyncio.wait([asyncio.gather(*tasks, return_exceptions=True)], timeout=_SECONDS_TO_END)

    # --- reading ------------------------------------------------------------------------------------------

    async def get(self, key: str, *, peeked: bool = False) -> Hit | None:
        """The entry from the fastest tier that has it, stale ones too. `peeked`: `peek` has just said None."""
        found = await self._stack.read([key], skip_local=peeked)
        return found.get(key)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Hit]:
        """What is there of `keys`, each from the fastest tier that has it, with one call per tier."""
        return await self._stack.read(keys)

    async def refresh(self, keys: Sequence[str]) -> frozenset[str]:
        """Put what is newer in the shared tiers into the tier of this process; returns the keys a shared tier has."""
        return await self._stack.refresh(keys)

    # --- storing ------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """To be noted before reading what a value is made from, and given to `set` as `since`."""
        return self._stack.log.mark()

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

        `since`: a `mark`; the value is dropped if an invalidation after it would have removed the entry. `behind`: do
        not wait for the tiers outside this process, unless other replicas wait for the value (`lease`).
        """
        mark = self.mark() if since is None else since
        hit = hit_of(value, "miss", self._life(ttl, grace, stored_at), tuple(tags))
        await self._store(key, hit, mark, behind=behind)

    def put_local(self, key: str, value: bytes, like: Hit) -> None:
        """Into the tier of this process alone, with the life and tags of `like`.

        Under a wire key it is stored only while the entry it was made from is still there, in the same state: an
        invalidation that came in between has removed that one already and would not find this one.
        """
        self._stack.put_local(key, value, like)

    def hold_local(self, key: str) -> bool:
        """Let an entry begin its time in the tier of this process anew; False when it is not there."""
        return self._stack.hold_local(key)

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
        looked: bool = False,
    ) -> Hit:
        """The entry, made if it is missing, by one of all who ask at the same time.

        A stale entry is served at once and renewed behind the request. If making fails while an entry still lives,
        that one is served, marked stale (not with `no_cache`, and not for a `RequestError`). Otherwise what `make`
        raises reaches all who waited and is not kept. Times in seconds.
        """
        asked = policy.demand(max_age, no_cache)
        hit = None if no_cache else self.peek(key)
        plan = policy.decide(hit, asked=asked, now=self._clock())
        if hit is None or plan is Plan.MAKE:
            hit = await self._share(key, make, ttl, grace, asked, hit, looked=looked)
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
            return nullcontext()

        async def look() -> Hit | None:
            hit = await self.get(key, peeked=True)  # what another replica makes arrives below
            return hit if hit is not None and accept(hit) else None

        return made_elsewhere(self.leases, key, self._table.lease_seconds if seconds is None else seconds, look)

    # --- removing -----------------------------------------------------------------------------------------

    async def invalidate(
        self, *, keys: Sequence[str] = (), tags: Sequence[str] = (), namespace: str | None = None
    ) -> int:
        """Remove by key, by tag and by namespace, here and in all other processes.

        Returns how many entries the tier that had most of them removed. What a tier that is down could not remove is
        not served from it and is removed when it is back.
        """
        what = invalidation(keys, tags, namespace)
        return await self._invalidate(what) if what else 0

    async def clear(self) -> int:
        """Remove everything, here and in all other processes."""
        return await self._invalidate(EVERYTHING)

    def on_invalidation(self, listener: Callable[[Invalidation], None]) -> None:
        """Call `listener` with all that is invalidated, here or by another process, for what is kept elsewhere."""
        self._invalidation_listeners.append(listener)

    async def tagged(self, tags: Collection[str]) -> frozenset[str]:
        """The keys of the entries with one of the tags, in those tiers that can list them."""
        return frozenset[str]().union(*[await tier.tagged(tags) for tier in self._stack.tiers])

    def pending_tiers(self) -> tuple[str, ...]:
        """The names of the tiers that have invalidations to catch up with."""
        return tuple(tier.name for tier in self._stack.tiers if tier.owed)

    # --- telling ------------------------------------------------------------------------------------------

    def announce(self, topic: str) -> None:
        """Tell the other processes, where a tier can, that something changed which is kept elsewhere.

        Nobody waits for it, and it may get lost: for those who would find out by themselves, only later.
        """
        if self._coherence is not None:
            self._spawn(self._coherence.announce(topic))

    def on_announcement(self, listener: Callable[[str], None]) -> None:
        """`listener` is told the topics that others announce."""
        self._change_listeners.append(listener)

    async def stats(self) -> dict[str, Any]:
        """Counters since the start: by tier (`l1`, …) and namespace; see docs/cache.md."""
        told = self._coherence
        return {
            "tiers": {tier.label: await tier.stats() for tier in self._stack.tiers},
            "namespaces": {name: as_plain(counters) for name, counters in self._namespaces.items()},
            "in_flight": len(self._calls),
            "refreshing": self._refreshing,
            "invalidations": {
                "sent": told.sent if told else 0,
                "heard": told.heard if told else 0,
                "lost": told.lost if told else 0,
                "unreadable": told.unreadable if told else 0,
            },
        }

    async def probe(self, seconds: float) -> tuple[GuardedTier, ...]:
        """The tiers, each just asked whether it answers within so long; its `condition` has the outcome."""
        await asyncio.gather(*(tier.probe(seconds) for tier in self._stack.tiers))
        return tuple(self._stack.tiers)

    # --- inside: storing ----------------------------------------------------------------------------------

    async def _store(self, key: str, hit: Hit, mark: int, *, behind: bool) -> None:
        waited_for = self.leases is not None and self._table.single_flight_replicas
        defer = self._defer if behind and not waited_for else None
        if not await self._stack.store(key, hit, mark, defer=defer):
            self._namespaces[namespace_of(key)].dropped += 1

    async def _defer(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._writes) >= MAX_WRITES_BEHIND:
            await work
            return
        task = self._spawn(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def _life(self, ttl: float, grace: float, stored_at: float | None = None) -> Life:
        start = self._clock() if stored_at is None else stored_at
        return policy.life(start, ttl=ttl, grace=grace, jitter=self._table.jitter, roll=self._random())

    # --- inside: making -----------------------------------------------------------------------------------

    async def _share(
        self, key: str, make: Maker, ttl: float, grace: float, asked: float, fallback: Hit | None, *, looked: bool
    ) -> Hit:
        call = self._calls.get(key)
        if call is not None and self._may_join(key, call, asked):
            self._namespaces[namespace_of(key)].coalesced += 1
        else:
            mark = self.mark()
            call = self._calls.start(
                key,
                lambda _: self._obtain(key, make, ttl, grace, asked, fallback, mark, looked=looked),
                note=(asked, mark),
            )
        call.join()
        return await call.result()

    def _may_join(self, key: str, call: InFlightCall[Hit, Never], asked: float) -> bool:
        demand, mark = call.note
        # What started before an invalidation may have read what is outdated since; its tags are not known yet.
        return policy.may_join(demand, asked) and not self._stack.log.touched(mark, key, None)

    async def _obtain(
        self,
        key: str,
        make: Maker,
        ttl: float,
        grace: float,
        asked: float,
        fallback: Hit | None,
        mark: int,
        *,
        looked: bool,
    ) -> Hit:
        if asked == policy.NO_CACHE:
            return await self._make(key, make, ttl, grace, mark)

        def good(hit: Hit) -> bool:
            return policy.satisfies(asked, hit, self._clock())

        below = None if looked and self.has_memory else await self.get(key, peeked=True)
        if below is not None:
            if good(below):
                return below
            fallback = below if policy.newer(below, fallback) else fallback
        try:
            async with self.lease(key, accept=good) as hit:
                return hit or await self._make(key, make, ttl, grace, mark)
        except RequestError:
            raise
        except Exception:
            now = self._clock()
            if fallback is None or not policy.may_fall_back(fallback, asked=asked, now=now):
                raise
            self._namespaces[namespace_of(key)].served_on_error += 1
            return replace(fallback, fresh_until=min(fallback.fresh_until, now))

    async def _make(self, key: str, make: Maker, ttl: float, grace: float, mark: int) -> Hit:
        counters = self._namespaces[namespace_of(key)]
        try:
            made = await make()
        except Exception:
            counters.failed += 1
            self._failed[key] = None
            raise
        counters.made += 1
        if made.negative:
            life = self._life(min(ttl, self._negative_ttl(key)) if made.ttl is None else made.ttl, 0.0)
        else:
            life = self._life(ttl if made.ttl is None else made.ttl, grace)
        hit = hit_of(made.value, "miss", life, tuple(made.tags))
        if made.store:
            await self._store(key, hit, mark, behind=True)
        return hit

    def _negative_ttl(self, key: str) -> float:
        table = getattr(self._table, namespace_of(key), None)
        return float(getattr(table, "negative_ttl_seconds", NEGATIVE_SECONDS))

    def _refresh(self, key: str, make: Maker, ttl: float, grace: float) -> None:
        if key in self._calls or key in self._failed or self._refreshing >= MAX_REFRESHES:
            return
        mark = self.mark()
        self._namespaces[namespace_of(key)].refreshes += 1
        call = self._calls.start(key, lambda _: self._make(key, make, ttl, grace, mark), note=(0.0, mark))
        call.join()  # and never leave: it goes on without a caller
        self._refreshing += 1
        call.task.add_done_callback(self._refreshed)

    def _refreshed(self, _: asyncio.Task[Hit]) -> None:
        self._refreshing -= 1

    # --- inside: removing ---------------------------------------------------------------------------------

    async def _invalidate(self, what: Invalidation) -> int:
        # In a task of its own: a caller who goes away half way must not leave half of it.
        return await asyncio.shield(self._spawn(self._remove_everywhere(what)))

    async def _remove_everywhere(self, what: Invalidation) -> int:
        removed = await self._stack.remove(what)
        if self._coherence is not None:
            await self._coherence.tell(what)
        return removed

    def _settle_later(self, tier: GuardedTier) -> None:
        if tier.owed and tier.label not in self._settling:
            self._settling.add(tier.label)
            self._spawn(self._settle(tier))

    async def _settle(self, tier: GuardedTier) -> None:
        try:
            while tier.owed:
                await asyncio.sleep(_SETTLE_EVERY)
                for what in await tier.settle():
                    # Others may have taken it up again from this tier since they were told first, if they were.
                    if self._coherence is not None:
                        await self._coherence.tell(what)
        finally:
            self._settling.discard(tier.label)

    # --- inside: building ---------------------------------------------------------------------------------

    def _find_coherence(self) -> Coherence | None:
        for tier in self._stack.tiers:
            if isinstance(tier.tier, SupportsBroadcast):
                hear, lose = self._stack.hear, self._stack.distrust
                return Coherence(tier, tier.tier, name=self._name, hear=hear, lose=lose, changed=self._hear_change)
        return None

    def _on_invalidated(self, what: Invalidation) -> None:
        for listener in self._invalidation_listeners:
            listener(what)

    def _hear_change(self, topic: str) -> None:
        for listener in self._change_listeners:
            listener(topic)

    def _find_leases(self) -> LeaseBackend | None:
        for tier in self._stack.tiers:
            if isinstance(tier.tier, SupportsLease):
                return TierLeases(tier, tier.tier)
        return None

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
