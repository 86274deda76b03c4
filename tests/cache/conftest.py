"""Tiered caches over a clock that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.cache.tiered_world import Build
from tilores_core.cache.tiered import TieredCache
from tilores_core.contracts import CacheTier
from tilores_core.settings import CacheTable
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import Clock

STEADY = CacheTable(jitter=0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SharedStore:
    return SharedStore(clock)


@pytest_asyncio.fixture
async def build(clock: Clock) -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        def make(*tiers: CacheTier, table: CacheTable = STEADY, **more: object) -> TieredCache:
            cache = TieredCache([(type(tier).__name__, tier) for tier in tiers], table=table, clock=clock, **more)  # type: ignore[arg-type]
            stack.push_async_callback(cache.aclose)
            return cache

        yield make
