"""Making what is missing: once, for all who ask, and what is served meanwhile or instead."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tilores_core.cache import tiered
from tilores_core.cache.tiered import MakerResult, TieredCache
from tilores_core.contracts import CacheTier
from tilores_core.errors import InvalidRequestError, OverloadedError, SourceUnavailableError
from tilores_core.settings import CacheTable, NamespaceTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, settle
from tilores_plugins.cache.memory import MemoryTier

A = "customers:a"
STEADY = CacheTable(jitter=0.0)
SHARED = CacheTable(jitter=0.0, single_flight_replicas=True, lease_seconds=60.0)


class Source:
    """Counts its calls, answers with their number, waits or fails when told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.running = 0
        self.cancelled = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.negative = False
        self.store = True
        self.tags: tuple[str, ...] = ("one",)

    async def __call__(self) -> MakerResult:
        self.calls += 1
        number = self.calls
        self.running += 1
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            return MakerResult(b"%d" % number, tags=self.tags, negative=self.negative, store=self.store)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def source() -> Source:
    return Source()


Build = Callable[..., TieredCache]


@pytest_asyncio.fixture
async def build(clock: Clock) -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        def make(*tiers: CacheTier, table: CacheTable = STEADY) -> TieredCache:
            chosen = tiers or (MemoryTier(clock=clock),)
            cache = TieredCache([("tier", tier) for tier in chosen], table=table, clock=clock)
            stack.push_async_callback(cache.aclose)
            return cache

        yield make


# --- one call for all ---


@pytest.mark.parametrize("tiers", ["memory", "shared", "memory and shared"])
async def test_a_thousand_at_once_make_one_call(build: Build, clock: Clock, source: Source, tiers: str) -> None:
    chosen: list[CacheTier] = [MemoryTier(clock=clock)] if "memory" in tiers else []
    if "shared" in tiers:
        chosen.append(SharedTier(SharedStore(clock)))
    cache = build(*chosen)
    hits = await asyncio.gather(*(cache.fetch(A, source, ttl=60) for _ in range(1000)))
    assert source.calls == 1
    assert {hit.value for hit in hits} == {b"1"}
    assert {hit.tier for hit in hits} == {"miss"}
    assert (await cache.stats())["namespaces"]["customers"]["coalesced"] == 999
    assert (await cache.fetch(A, source, ttl=60)).tier == "l1"


async def test_different_keys_do_not_wait_for_each_other(build: Build, source: Source) -> None:
    cache = build()
    hits = await asyncio.gather(*(cache.fetch(f"customers:{number}", source, ttl=60) for number in range(10)))
    assert len({hit.value for hit in hits}) == 10


async def test_a_failure_reaches_all_who_wait_and_is_not_kept(build: Build, source: Source) -> None:
    cache = build()
    source.error = SourceUnavailableError("down")
    results = await asyncio.gather(*(cache.fetch(A, source, ttl=60) for _ in range(100)), return_exceptions=True)
    assert source.calls == 1
    assert all(isinstance(result, SourceUnavailableError) for result in results)
    source.error = None
    assert (await cache.fetch(A, source, ttl=60)).value == b"2"


async def test_one_who_goes_away_takes_nobody_along(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    tasks = [asyncio.create_task(cache.fetch(A, source, ttl=60)) for _ in range(10)]
    await settle()
    for task in tasks[:9]:  # the one that began it among them
        task.cancel()
    await settle()
    assert all(task.cancelled() for task in tasks[:9])
    source.gate.set()
    assert (await tasks[9]).value == b"1"
    assert source.cancelled == 0


async def test_when_all_have_gone_the_work_is_cancelled(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    tasks = [asyncio.create_task(cache.fetch(A, source, ttl=60)) for _ in range(10)]
    await settle()
    for task in tasks:
        task.cancel()
    await settle()
    assert (source.running, source.cancelled) == (0, 1)
    source.gate.set()
    assert (await cache.fetch(A, source, ttl=60)).value == b"2"


async def test_who_comes_while_the_work_is_being_cancelled_begins_anew(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    first = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    first.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert (await cache.fetch(A, source, ttl=60)).value == b"2"


async def test_a_deadline_of_one_waiter_is_its_own(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    patient = asyncio.create_task(cache.fetch(A, source, ttl=60))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.fetch(A, source, ttl=60)
    source.gate.set()
    assert (await patient).value == b"1"


async def test_at_the_end_who_waits_is_told(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    waiting = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    await cache.aclose()
    with pytest.raises(OverloadedError):
        await waiting
    with pytest.raises(OverloadedError):
        await cache.fetch(A, source, ttl=60)


async def test_the_work_sees_the_context_of_who_began_it(build: Build) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    request.set("first")

    async def make() -> MakerResult:
        return MakerResult(request.get().encode())

    assert (await build().fetch(A, make, ttl=60)).value == b"first"


# --- what was demanded ---


async def test_max_age(build: Build, clock: Clock, source: Source) -> None:
    cache = build(MemoryTier(clock=clock), SharedTier(SharedStore(clock)))
    await cache.fetch(A, source, ttl=60)
    clock.now += 10
    assert (await cache.fetch(A, source, ttl=60, max_age=10)).value == b"1"
    assert (await cache.fetch(A, source, ttl=60, max_age=9)).value == b"2"
    assert (await cache.fetch(A, source, ttl=60)).value == b"2"


async def test_a_younger_entry_below_is_good_enough(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    one, other = (build(MemoryTier(clock=clock), SharedTier(store)) for _ in range(2))
    await one.fetch(A, source, ttl=60)
    clock.now += 10
    await other.fetch(A, source, ttl=60, max_age=1)
    hit = await one.fetch(A, source, ttl=60, max_age=5)
    assert (hit.value, hit.tier) == (b"2", "l2")
    assert (await one.fetch(A, source, ttl=60)).value == b"2", "it replaced the older one"


async def test_no_cache_makes_anew_and_stores(build: Build, source: Source) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60)
    assert (await cache.fetch(A, source, ttl=60, no_cache=True)).value == b"2"
    assert (await cache.fetch(A, source, ttl=60)).value == b"2"


async def test_no_cache_does_not_join_what_was_begun_before_it(build: Build, source: Source) -> None:
    cache = build()
    source.gate.clear()
    first = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    second = asyncio.create_task(cache.fetch(A, source, ttl=60, no_cache=True))
    await settle()
    third = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    source.gate.set()
    assert [(await task).value for task in (first, second, third)] == [b"1", b"2", b"2"]


async def test_a_stricter_demand_does_not_join_a_laxer_one(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    await build(SharedTier(store)).fetch(A, source, ttl=60)
    clock.now += 30
    cache = build(MemoryTier(clock=clock), SharedTier(store))
    lax, strict = await asyncio.gather(cache.fetch(A, source, ttl=60), cache.fetch(A, source, ttl=60, max_age=5))
    assert (lax.value, strict.value) == (b"1", b"2")


# --- after an invalidation ---


async def test_what_was_begun_before_an_invalidation_is_neither_joined_nor_stored(
    build: Build, source: Source
) -> None:
    cache = build()
    source.gate.clear()
    before = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    await cache.invalidate(tags=["one"])
    after = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    source.gate.set()
    assert (await before).value == b"1"
    assert (await after).value == b"2"
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert hit.value == b"2"


# --- stale ---


async def test_a_stale_entry_is_served_at_once_and_renewed_once(build: Build, clock: Clock, source: Source) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60, grace=30)
    clock.now += 60
    source.gate.clear()
    hits = [await cache.fetch(A, source, ttl=60, grace=30) for _ in range(20)]
    assert {hit.value for hit in hits} == {b"1"}
    assert all(hit.stale(clock.now) for hit in hits)
    await settle()
    assert source.calls == 2
    source.gate.set()
    await settle()
    hit = await cache.fetch(A, source, ttl=60, grace=30)
    assert (hit.value, hit.stale(clock.now)) == (b"2", False)
    stats = (await cache.stats())["namespaces"]["customers"]
    assert (stats["refreshes"], stats["served_stale"]) == (1, 20)


async def test_a_stale_entry_from_below_is_renewed_too(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    await build(SharedTier(store)).fetch(A, source, ttl=60, grace=30)
    clock.now += 60
    cache = build(MemoryTier(clock=clock), SharedTier(store))
    assert (await cache.fetch(A, source, ttl=60, grace=30)).value == b"1"
    await settle()
    assert (await cache.fetch(A, source, ttl=60, grace=30)).value == b"2"


async def test_a_refresh_goes_on_when_its_request_has_gone(build: Build, clock: Clock, source: Source) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60, grace=30)
    clock.now += 60
    source.gate.clear()
    await cache.fetch(A, source, ttl=60, grace=30)
    await settle()
    joining = asyncio.create_task(cache.fetch(A, source, ttl=60, grace=30, max_age=1))
    await settle()
    joining.cancel()
    await settle()
    source.gate.set()
    await settle()
    assert (source.calls, source.cancelled) == (2, 0)
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert hit.value == b"2"


async def test_refreshes_are_bounded(
    build: Build, clock: Clock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiered, "MAX_REFRESHES", 3)
    cache = build()
    keys = [f"customers:{number}" for number in range(10)]
    for key in keys:
        await cache.fetch(key, source, ttl=60, grace=30)
    clock.now += 60
    source.gate.clear()
    for key in keys:
        await cache.fetch(key, source, ttl=60, grace=30)
    await settle()
    assert source.running == 3
    source.gate.set()


async def test_a_failing_refresh_is_not_tried_with_every_request(build: Build, clock: Clock, source: Source) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60, grace=30)
    clock.now += 60
    source.error = SourceUnavailableError("down")
    for _ in range(20):
        hit = await cache.fetch(A, source, ttl=60, grace=30)
        assert (hit.value, hit.stale(clock.now)) == (b"1", True)
        await settle()
    assert source.calls == 2


async def test_when_making_fails_what_is_there_is_served_marked_stale(
    build: Build, clock: Clock, source: Source
) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60)
    clock.now += 10
    source.error = SourceUnavailableError("down")
    hit = await cache.fetch(A, source, ttl=60, max_age=5)
    assert (hit.value, hit.age(clock.now), hit.stale(clock.now)) == (b"1", 10, True)
    with pytest.raises(SourceUnavailableError):
        await cache.fetch(A, source, ttl=60, no_cache=True)
    assert (await cache.stats())["namespaces"]["customers"]["served_on_error"] == 1
    clock.now += 60
    with pytest.raises(SourceUnavailableError):
        await cache.fetch(A, source, ttl=60)


async def test_a_wrong_request_is_not_papered_over(build: Build, clock: Clock, source: Source) -> None:
    cache = build()
    await cache.fetch(A, source, ttl=60)
    clock.now += 10
    source.error = InvalidRequestError("wrong")
    with pytest.raises(InvalidRequestError):
        await cache.fetch(A, source, ttl=60, max_age=5)


# --- what is kept ---


async def test_nothing_is_kept_briefly(build: Build, clock: Clock, source: Source) -> None:
    table = CacheTable(jitter=0.0, customers=NamespaceTable(ttl_seconds=300, negative_ttl_seconds=7))
    cache = build(table=table)
    source.negative = True
    for key, seconds in (("customers:a", 7), ("mentions:a", 15)):
        hit = await cache.fetch(key, source, ttl=300, grace=100)
        assert hit.expires_at == clock.now + seconds
    assert (await cache.fetch("customers:b", source, ttl=3)).expires_at == clock.now + 3


async def test_a_maker_may_set_the_life_or_keep_it_out(build: Build, clock: Clock, source: Source) -> None:
    cache = build()

    async def brief() -> MakerResult:
        return MakerResult(b"balance", ttl=5)

    assert (await cache.fetch(A, brief, ttl=300)).expires_at == clock.now + 5
    source.store = False
    hits = await asyncio.gather(*(cache.fetch("customers:b", source, ttl=60) for _ in range(10)))
    assert (source.calls, {hit.value for hit in hits}) == (1, {b"1"})
    assert cache.get_from_memory("customers:b") is None


# --- across replicas ---


async def test_two_replicas_make_one_call(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    replicas = [build(MemoryTier(clock=clock), SharedTier(store), table=SHARED) for _ in range(2)]
    hits = await asyncio.gather(*(replicas[number % 2].fetch(A, source, ttl=60) for number in range(1000)))
    assert source.calls == 1
    assert {hit.value for hit in hits} == {b"1"}
    assert {hit.tier for hit in hits} == {"miss", "l2"}
    assert not store.leases


async def test_switched_off_each_replica_makes_its_own(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    replicas = [build(MemoryTier(clock=clock), SharedTier(store)) for _ in range(2)]
    await asyncio.gather(*(cache.fetch(A, source, ttl=60) for cache in replicas))
    assert source.calls == 2


async def test_when_the_holder_fails_the_next_one_tries(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    one, other = (build(MemoryTier(clock=clock), SharedTier(store), table=SHARED) for _ in range(2))
    source.error = SourceUnavailableError("down")
    source.gate.clear()
    first = asyncio.create_task(one.fetch(A, source, ttl=60))
    await settle()
    second = asyncio.create_task(other.fetch(A, source, ttl=60))
    await settle()
    assert source.running == 1
    source.gate.set()
    with pytest.raises(SourceUnavailableError):
        await first
    source.error = None
    assert (await second).value == b"2"


async def test_a_dead_holder_costs_at_most_its_lease(build: Build, clock: Clock, source: Source) -> None:
    store = SharedStore(clock)
    store.leases[A] = ("a replica that died", clock.now + 5)
    cache = build(MemoryTier(clock=clock), SharedTier(store), table=SHARED)
    waiting = asyncio.create_task(cache.fetch(A, source, ttl=60))
    await settle()
    assert source.calls == 0
    clock.now += 5
    assert (await waiting).value == b"1"


async def test_a_holder_at_work_keeps_its_lease(
    build: Build, source: Source, pass_time: Callable[[float], None]
) -> None:
    store = SharedStore(lambda: time.monotonic())  # the lease is shorter than the work
    table = CacheTable(single_flight_replicas=True, lease_seconds=30.0)
    one, other = (
        TieredCache([("memory", MemoryTier()), ("shared", SharedTier(store))], table=table) for _ in range(2)
    )
    source.gate.clear()
    tasks = [asyncio.create_task(cache.fetch(A, source, ttl=60)) for cache in (one, other)]
    await settle()
    for _ in range(12):  # four times the lease
        pass_time(10.0)
        await settle()
    source.gate.set()
    assert {(await task).value for task in tasks} == {b"1"}
    for cache in (one, other):
        await cache.aclose()


async def test_without_the_tier_there_is_no_waiting_for_a_lease(build: Build, clock: Clock, source: Source) -> None:
    class FlakyShared(FlakyTier, SharedTier):
        def __init__(self, store: SharedStore) -> None:
            FlakyTier.__init__(self, SharedTier(store))
            self.store = store

        async def acquire(self, name: str, holder: str, seconds: float) -> bool:
            await self._fail()
            return await super().acquire(name, holder, seconds)

    store = SharedStore(clock)
    store.leases[A] = ("another", clock.now + 1000)
    tier = FlakyShared(store)
    tier.down = True
    cache = build(MemoryTier(clock=clock), tier, table=SHARED)
    assert (await cache.fetch(A, source, ttl=60)).value == b"1"


async def test_lease_as_the_engine_uses_it_hands_over_what_another_replica_made(build: Build, clock: Clock) -> None:
    store = SharedStore(clock)
    one, other = (build(MemoryTier(clock=clock), SharedTier(store), table=SHARED) for _ in range(2))
    async with one.lease(A) as mine:
        assert mine is None
        assert A in store.leases

        async def wait() -> bytes:
            async with other.lease(A) as theirs:
                assert theirs is not None
                return theirs.value

        waiting = asyncio.create_task(wait())
        await settle()
        assert not waiting.done()
        await one.set(A, b"value", ttl=60)
    assert await waiting == b"value"
    assert not store.leases
    async with build().lease(A) as free:
        assert free is None


@pytest.mark.parametrize("seconds", [5.0, 50.0])
async def test_lease_outlives_its_holder_by_the_lease_seconds_of_the_settings(
    build: Build, clock: Clock, seconds: float
) -> None:
    store = SharedStore(clock)
    table = CacheTable(single_flight_replicas=True, lease_seconds=seconds)
    async with build(SharedTier(store), table=table).lease(A):
        assert store.leases[A][1] == clock.now + seconds


@pytest.mark.parametrize("seconds", [0.02, 30.0])
async def test_hanging_tier_costs_the_tier_timeout_of_the_settings(build: Build, seconds: float) -> None:
    tier = FlakyTier(SharedTier(SharedStore()))
    tier.hanging = True
    cache = build(tier, table=CacheTable(tier_timeout_seconds=seconds))
    asking = asyncio.create_task(cache.get(A))
    done, _ = await asyncio.wait({asking}, timeout=60 if seconds < 1 else 0.2)
    assert bool(done) == (seconds < 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
