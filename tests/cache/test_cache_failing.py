"""Tiers that refuse, hang, die or break the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.cache.tiered_world import Build, memory
from tilores_core.cache.invalidation import EVERYTHING
from tilores_core.contracts import CacheEntry, TierStats
from tilores_core.errors import CacheError
from tilores_core.resilience import CircuitBreaker
from tilores_core.settings import CacheTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, eventually, settle
from tilores_plugins.cache.memory import MemoryTier

A, B = "answers:a", "answers:b"
STEADY = CacheTable(jitter=0.0)


def fast_breaker(clock: Callable[[], float]) -> Callable[[], CircuitBreaker]:
    return lambda: CircuitBreaker(clock=clock)


async def test_a_tier_that_refuses_writes_is_still_read(build: Build, clock: Clock, store: SharedStore) -> None:
    tier = SharedTier(store)
    other = build(memory(clock), tier)
    await other.set(A, b"value", ttl=60)

    class Full(SharedTier):
        async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
            raise CacheError("full")

    cache = build(Full(store), breaker=fast_breaker(clock))
    for _ in range(10):
        await cache.set("answers:other", b"value", ttl=60)
        assert await cache.get(A)
    tiers = (await cache.stats())["tiers"]["l1"]
    assert (tiers["write_breaker"], tiers["breaker"]) == ("open", "closed")


async def test_a_tier_that_is_down_costs_nothing_but_its_entries(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    flaky.down = True
    await cache.set(A, b"value", ttl=60)
    assert cache.get_from_memory(A)
    for number in range(10):
        assert await cache.get(f"answers:none-{number}") is None
    assert flaky.calls == 4, "a write and three reads, then the breaker was open"
    stats = (await cache.stats())["tiers"]["l2"]
    assert stats["breaker"] == "open"
    assert stats["errors"] == 4
    assert stats["skipped"] == 7
    flaky.down = False
    clock.now += 1
    assert await cache.get(B) is None
    await cache.set(B, b"value", ttl=60)
    assert B in store.entries
    assert (await cache.stats())["tiers"]["l2"]["breaker"] == "closed"


async def test_statistics_close_no_breaker(build: Build, clock: Clock, store: SharedStore) -> None:
    class Talkative(FlakyTier):
        async def stats(self) -> TierStats:
            return TierStats(errors=self.calls, extra={"connected": False})

    talkative = Talkative(SharedTier(store))
    cache = build(memory(clock), talkative, breaker=fast_breaker(clock))
    talkative.down = True
    for _ in range(3):
        await cache.get(A)
    clock.now += 1
    for _ in range(3):
        stats = (await cache.stats())["tiers"]["l2"]
        assert (stats["breaker"], stats["extra"]) == ("half_open", {"connected": False})
        assert stats["errors"] == 3, "both count the same three"
    await cache.get(A)
    assert (await cache.stats())["tiers"]["l2"]["breaker"] == "open", "one try was enough"


async def test_a_tier_that_hangs_costs_its_deadline(build: Build, clock: Clock, store: SharedStore) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, table=CacheTable(tier_timeout_seconds=0.01), breaker=fast_breaker(clock))
    flaky.hanging = True
    for number in range(20):
        assert await cache.get(f"answers:{number}") is None
    assert flaky.calls == 3


async def test_a_cancelled_probe_does_not_keep_the_tier_out(build: Build, clock: Clock, store: SharedStore) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    flaky.down = True
    for _ in range(3):
        await cache.get(A)
    flaky.down, flaky.hanging = False, True
    clock.now += 1
    probe = asyncio.create_task(cache.get(A))
    await settle()
    probe.cancel()
    await settle()
    flaky.hanging = False
    await cache.set(A, b"value", ttl=60)
    assert A in store.entries


async def test_a_strangers_broken_tiers_break_nothing(build: Build, clock: Clock, store: SharedStore) -> None:
    class Broken(MemoryTier):
        def peek(self, key: str) -> CacheEntry | None:
            raise KeyError(key)

        def put(self, key: str, entry: CacheEntry) -> None:
            raise RuntimeError

    cache = build(Broken(), SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    assert cache.get_from_memory(A) is None
    hit = await cache.get(A)
    assert hit is not None
    assert hit.tier == "l2"
    assert (await cache.stats())["tiers"]["l1"]["errors"] >= 3


async def test_what_a_dead_tier_could_not_remove_is_not_served_and_removed_later(
    build: Build, clock: Clock, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilores_core.cache.invalidator._RETRY_SECONDS", 0.01)
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    await cache.set(A, b"value", ttl=60, tags=["one"])
    await cache.set(B, b"value", ttl=60, tags=["two"])
    flaky.down = True
    await cache.invalidate(tags=["one"])
    assert cache.get_from_memory(A) is None
    assert A in store.entries
    assert (await cache.stats())["tiers"]["l2"]["pending_invalidations"] == 1
    flaky.down = False
    await cache._stack.tiers[0].remove(EVERYTHING)
    assert set(await cache.get_many([A, B])) == {B}, "it is back but has not been told yet"
    await eventually(lambda: A not in store.entries)
    assert set(store.entries) == {B}
    await settle()
    assert (await cache.stats())["tiers"]["l2"]["pending_invalidations"] == 0
