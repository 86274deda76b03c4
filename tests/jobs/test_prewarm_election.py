"""One of several replicas follows the schedule: by the database, by a shared cache tier, and when its holder dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.jobs.prewarm_world import until
from tilores_core.errors import CacheError
from tilores_core.jobs.prewarm.election import (
    Election,
    StoreElection,
    TierElection,
    choose_election,
    lead,
)
from tilores_core.jobs.prewarm.plan import WarmList
from tilores_core.jobs.prewarm.schedule import follow
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_plugins.cache.memory import MemoryTier

SECONDS = 0.9


class LeaseTier:
    """A lease that a test can take away."""

    def __init__(self) -> None:
        self.holder: str | None = None
        self.down = False

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        if self.down:
            raise CacheError("the tier is down")
        self.holder = self.holder or holder
        return self.holder == holder

    async def release(self, name: str, holder: str) -> None:
        if self.holder == holder:
            self.holder = None


Make = Callable[[], Election]


@pytest.fixture(params=["store", "tier"])
async def elections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Elections of replicas that share something."""
    stores: list[LazyStore] = []
    tier = LeaseTier()

    def make() -> Election:
        if request.param == "tier":
            return TierElection(tier, seconds=SECONDS)
        stores.append(LazyStore(store_address(None, tmp_path)))
        return StoreElection(stores[-1], seconds=SECONDS)

    yield make
    for store in stores:
        await store.aclose()


@asynccontextmanager
async def replica(election: Election, working: set[int], number: int) -> AsyncIterator[asyncio.Task[None]]:
    async def work() -> None:
        working.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            working.discard(number)

    task = asyncio.create_task(lead(election, work, pause=0.05))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_replica_works_and_another_follows_it(elections: Make) -> None:
    working: set[int] = set()
    async with replica(elections(), working, 1) as first:
        await until(lambda: working == {1})
        async with replica(elections(), working, 2):
            await asyncio.sleep(SECONDS)  # it is renewed meanwhile
            assert working == {1}
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await until(lambda: working == {2})


async def test_who_loses_the_lease_stops_and_may_win_it_again() -> None:
    tier, working = LeaseTier(), set[int]()
    async with replica(TierElection(tier, seconds=0.15), working, 1):
        await until(lambda: working == {1})
        tier.holder = "another"
        await until(lambda: not working)
        tier.holder = None
        await until(lambda: working == {1})
        tier.down = True
        await until(lambda: not working)
        tier.down = False
        tier.holder = None
        await until(lambda: working == {1})


async def test_what_decides_is_shared_by_the_replicas(tmp_path: Path) -> None:
    store = LazyStore(store_address(None, tmp_path))
    memory, shared = MemoryTier(), SharedTier(SharedStore())
    assert isinstance(choose_election(None, [memory, shared], store), TierElection)
    assert isinstance(choose_election("postgresql://x", [memory, shared], store), StoreElection)
    assert isinstance(choose_election(None, [memory], store), StoreElection)
    assert store.opened is None


async def test_a_schedule_runs_each_list_at_its_own_interval_and_never_twice_at_once() -> None:
    ran: list[str] = []
    running = 0

    async def run(one: WarmList) -> None:
        nonlocal running
        if one.name == "slow":
            running += 1
            assert running == 1
            await asyncio.sleep(2.2)
            running -= 1
        ran.append(one.name)

    lists = [(WarmList(name="quick", customers=()), 1.0), (WarmList(name="slow", customers=()), 1.0)]
    task = asyncio.create_task(follow(lists, run, at_once=True))
    await asyncio.sleep(2.6)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert ran.count("quick") == 3
    assert ran.count("slow") == 1


async def test_a_schedule_may_begin_later() -> None:
    ran: list[str] = []

    async def run(one: WarmList) -> None:
        ran.append(one.name)

    task = asyncio.create_task(follow([(WarmList(name="one", customers=()), 1.0)], run, at_once=False))
    await asyncio.sleep(0.5)
    assert ran == []
    await until(lambda: ran == ["one"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
