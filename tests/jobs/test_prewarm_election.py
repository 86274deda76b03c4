"""One of several replicas follows the schedule: by the database, by a shared cache tier, and when its holder dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tilores_core.cache.tiered import TieredCache
from tilores_core.jobs.prewarm.plan import WarmList
from tilores_core.jobs.prewarm.schedule import LEASE, Leases, choose_leases, follow, lead
from tilores_core.settings import CacheTable
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import eventually, settle
from tilores_plugins.cache.memory import MemoryTier

SECONDS = 0.9


Make = Callable[[], Leases]


def shared_cache(shared: SharedStore) -> tuple[TieredCache, FlakyShared]:
    tier = FlakyShared(shared)
    return TieredCache([("memory", MemoryTier()), ("shared", tier)], table=CacheTable()), tier


class FlakyShared(SharedTier):
    """A shared tier whose leases cannot be reached while it is `down`."""

    down = False

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        if self.down:
            raise ConnectionError
        return await super().acquire(name, holder, seconds)


@pytest.fixture(params=["store", "tier"])
async def elections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Elections of replicas that share something."""
    stores: list[LazyStore] = []
    shared = SharedStore()

    def make() -> Leases:
        stores.append(LazyStore(store_address(None, tmp_path)))
        cache, _ = shared_cache(shared)
        if request.param == "store":
            cache = TieredCache([("memory", MemoryTier())], table=CacheTable())
        return choose_leases(None, cache, stores[-1])

    yield make
    assert bool(stores[0].opened) == (request.param == "store")
    for store in stores:
        await store.aclose()


@asynccontextmanager
async def replica(
    leases: Leases, working: set[int], number: int, seconds: float = SECONDS
) -> AsyncIterator[asyncio.Task[None]]:
    async def work() -> None:
        working.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            working.discard(number)

    task = asyncio.create_task(lead(leases, work, seconds=seconds, pause=0.05))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_replica_works_and_another_follows_it(elections: Make) -> None:
    for _ in range(3):  # a machine that stands still loses the lease, and rightly so
        if await take_turns(elections):
            return
    pytest.fail("it is not renewed")


async def take_turns(elections: Make) -> bool:
    """Whether the first one worked until it was ended."""
    working: set[int] = set()
    async with replica(elections(), working, 1) as first:
        await eventually(lambda: bool(working))
        async with replica(elections(), working, 2):
            await asyncio.sleep(SECONDS)  # it is renewed meanwhile
            kept = working == {1}
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await eventually(lambda: working == {2})
    return kept


async def test_who_loses_the_lease_stops_and_may_win_it_again(tmp_path: Path) -> None:
    shared, working = SharedStore(), set[int]()
    cache, tier = shared_cache(shared)
    leases = choose_leases(None, cache, LazyStore(store_address(None, tmp_path)))
    async with replica(leases, working, 1, seconds=0.15):
        await eventually(lambda: working == {1})
        shared.leases[LEASE] = ("another", time.time() + 1000)
        await eventually(lambda: not working)
        del shared.leases[LEASE]
        await eventually(lambda: working == {1})
        tier.down = True
        await eventually(lambda: not working)
        tier.down = False
        await eventually(lambda: working == {1})


async def test_database_that_was_named_decides_rather_than_a_shared_tier(tmp_path: Path) -> None:
    store = LazyStore(store_address(None, tmp_path))
    cache, _ = shared_cache(SharedStore())
    assert await choose_leases(None, cache, store)() is cache.leases
    assert store.opened is None
    try:
        assert await choose_leases("postgresql://x", cache, store)() is (await store.get()).leases
    finally:
        await store.aclose()


async def test_a_schedule_runs_each_list_at_its_own_interval_and_never_twice_at_once() -> None:
    begun: list[str] = []
    over = asyncio.Event()

    async def run(one: WarmList) -> None:
        begun.append(one.name)
        if one.name == "slow":
            await over.wait()

    lists = [(WarmList.model_construct(name=name, customers=[]), 0.02) for name in ("quick", "slow")]
    task = asyncio.create_task(follow(lists, run, at_once=True))
    await eventually(lambda: begun.count("quick") >= 5)
    assert begun.count("slow") == 1
    over.set()
    await eventually(lambda: begun.count("slow") >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_schedule_may_begin_later() -> None:
    ran: list[str] = []

    async def run(one: WarmList) -> None:
        ran.append(one.name)

    began = time.monotonic()
    lists = [(WarmList.model_construct(name="one", customers=[]), 0.3)]
    task = asyncio.create_task(follow(lists, run, at_once=False))
    await settle()
    assert ran == []
    await eventually(lambda: ran)
    assert time.monotonic() - began >= 0.29
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
