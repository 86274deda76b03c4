"""The instance's schema in the cache: read once for all processes, again after its ttl and when it is invalidated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.sources.tilores_client import connected, introspections
from tests.tilores_instance import TiloresInstance
from tilores_core import PluginServices
from tilores_core.cache.namespace_cache import NamespaceCache
from tilores_core.cache.tiered import TieredCache
from tilores_core.settings import CacheTable, NamespaceTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_core.testing.waiting import eventually
from tilores_plugins.cache.memory import MemoryTier
from tilores_plugins.sources.tilores import schemas

Replica = Callable[[], tuple[TieredCache, PluginServices]]


@pytest.fixture
def ttl() -> float:
    return 3600.0


@pytest.fixture
def down() -> bool:
    return False


@pytest.fixture
async def replica(ttl: float, down: bool, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    monkeypatch.setattr(schemas, "_BETWEEN_LOOKS", 0.02)
    store, table = SharedStore(), CacheTable(schemas=NamespaceTable(ttl_seconds=ttl))
    async with AsyncExitStack() as stack:

        def make() -> tuple[TieredCache, PluginServices]:
            shared = FlakyTier(SharedTier(store))
            shared.down = down
            tiers = [("shared", shared)] if down else [("memory", MemoryTier()), ("shared", SharedTier(store))]
            cache = TieredCache(tiers, table=table)  # type: ignore[arg-type]
            stack.push_async_callback(cache.aclose)
            services = PluginServices()
            services.open(cache=partial(NamespaceCache, cache, table=table))
            return cache, services.of("tilores")

        yield make


async def until(condition: Callable[[], bool]) -> None:
    await eventually(lambda: condition())


async def test_processes_share_one_schema(instance: TiloresInstance, tmp_path: Path, replica: Replica) -> None:
    for name in ("one", "two", "three"):
        async with connected(instance, tmp_path / name, replica()[1]) as source:
            assert (await source.schema()).hash
    assert introspections(instance) == 1


async def test_invalidated_schema_is_read_again_by_a_running_process(
    instance: TiloresInstance, tmp_path: Path, replica: Replica
) -> None:
    cache, services = replica()
    async with connected(instance, tmp_path, services) as source:
        before = (await source.schema()).hash
        async with TiloresInstance(version="0.60", port=0) as other:
            instance.service = other.service
            assert (await source.schema()).hash == before
            await cache.invalidate(namespace="schemas")

            async def is_read_again() -> bool:
                return (await source.schema()).hash != before

            await eventually(is_read_again)
    assert introspections(instance) == 2


@pytest.mark.parametrize("ttl", [0.1])
async def test_schema_is_read_again_after_the_ttl_of_the_settings(
    instance: TiloresInstance, tmp_path: Path, replica: Replica
) -> None:
    async with connected(instance, tmp_path, replica()[1]) as source:
        await source.schema()
        await until(lambda: introspections(instance) >= 3)


async def test_period_of_the_plugin_s_own_table_goes_before_the_ttl(
    instance: TiloresInstance, tmp_path: Path, replica: Replica
) -> None:
    async with connected(instance, tmp_path, replica()[1], schema_refresh_hours=0.1 / 3600) as source:
        await source.schema()
        await until(lambda: introspections(instance) >= 3)


@pytest.mark.parametrize("down", [True])
async def test_cache_that_keeps_nothing_does_not_make_it_ask_at_every_look(
    instance: TiloresInstance, tmp_path: Path, replica: Replica
) -> None:
    async with connected(instance, tmp_path, replica()[1]) as source:
        await source.schema()
        await until(lambda: introspections(instance) == 2)
        await asyncio.sleep(0.2)  # ten looks
    assert introspections(instance) == 2
