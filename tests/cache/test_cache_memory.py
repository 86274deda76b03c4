"""The `memory` tier: the suite every tier passes, and what is its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import ValidationError

from tilores_core import CacheEntry, PluginContext
from tilores_core.testing.cache import CacheTierSuite
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import Clock
from tilores_plugins.cache import memory
from tilores_plugins.cache.memory import MemoryTier, Settings


class TestMemoryTier(CacheTierSuite):
    supports_peek = True

    @pytest_asyncio.fixture
    async def tier(self) -> AsyncIterator[MemoryTier]:  # type: ignore[override]  # a fixture
        tier = memory.build(PluginContext(plugin_id="memory", settings=Settings(), data_dir=Path()))
        yield tier
        await tier.aclose()


class TestSharedTier(CacheTierSuite):
    """The shared tier of the other tests is held to the same rules."""

    supports_lease = True
    supports_broadcast = True
    supports_sharing = True

    @pytest.fixture
    def store(self) -> SharedStore:
        return SharedStore()

    @pytest.fixture
    def tier(self, store: SharedStore) -> SharedTier:
        return SharedTier(store)

    @pytest.fixture
    def other_tier(self, store: SharedStore) -> SharedTier:
        return SharedTier(store)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(tier: MemoryTier, key: str, clock: Clock, *tags: str, value: bytes = b"v", seconds: float = 60.0) -> None:
    tier.put(key, CacheEntry(value, clock.now + seconds, tags))


def test_the_spec_builds_a_tier_from_plugin_settings() -> None:
    (spec,) = memory.register_cache_backends()
    assert spec.name == "memory"
    assert spec.settings is Settings
    assert Settings().model_dump() == {"max_entries": 10_000, "max_bytes": 64 * 1024 * 1024, "ttl_seconds": 300.0}


@pytest.mark.parametrize("wrong", [{"max_entries": 0}, {"ttl_seconds": 0}, {"max_bytes": 10}, {"size": 1}])
def test_settings_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


async def test_the_least_recently_used_leaves_first(clock: Clock) -> None:
    tier = MemoryTier(max_entries=3, clock=clock)
    for key in "abc":
        put(tier, f"answers:{key}", clock)
    assert tier.peek("answers:a")
    put(tier, "answers:d", clock)
    assert tier.peek("answers:b") is None
    assert all(tier.peek(f"answers:{key}") for key in "acd")
    assert (await tier.stats()).evictions == 1


async def test_looking_at_statistics_is_not_use(clock: Clock) -> None:
    tier = MemoryTier(max_entries=2, clock=clock)
    put(tier, "answers:a", clock)
    put(tier, "answers:b", clock)
    await tier.stats()
    put(tier, "answers:c", clock)
    assert tier.peek("answers:a") is None
    assert tier.peek("answers:b")


async def test_bounded_by_bytes(clock: Clock) -> None:
    tier = MemoryTier(max_bytes=100_000, clock=clock)
    for number in range(200):
        put(tier, f"answers:{number}", clock, "tag", value=bytes(4000))
        assert ((await tier.stats()).bytes or 0) <= 100_000
    stats = await tier.stats()
    assert stats.entries is not None
    assert 15 < stats.entries < 25
    assert await tier.delete_tag("tag") == stats.entries
    assert (await tier.stats()).bytes == 0


async def test_a_value_above_its_share_is_dropped_with_what_it_replaces(clock: Clock) -> None:
    tier = MemoryTier(max_bytes=100_000, clock=clock)
    put(tier, "answers:a", clock)
    put(tier, "answers:b", clock)
    put(tier, "answers:a", clock, value=bytes(20_000))
    assert tier.peek("answers:a") is None
    assert tier.peek("answers:b")


async def test_a_long_life_is_cut_in_this_tier_and_returned_uncut(clock: Clock) -> None:
    tier = MemoryTier(ttl_seconds=300, clock=clock)
    put(tier, "answers:a", clock, seconds=3600)
    end = clock.now + 3600
    clock.now += 299
    assert tier.peek("answers:a") == CacheEntry(b"v", end)
    clock.now += 1
    assert tier.peek("answers:a") is None
    assert (await tier.stats()).expirations == 1


async def test_expired_entries_leave_though_nobody_asks_for_them(clock: Clock) -> None:
    tier = MemoryTier(clock=clock)
    for number in range(500):
        put(tier, f"answers:{number}", clock, f"tag-{number}", seconds=10)
    clock.now += 11
    for number in range(300):
        put(tier, "schemas:only", clock, seconds=10 + number)
    assert len(tier._entries) == 1
    assert not tier._tags
    stats = await tier.stats()
    assert stats.expirations == 500
    assert stats.extra["namespaces"]["answers"] == {"entries": 0, "bytes": 0, "evictions": 0, "expirations": 500}


async def test_counts_by_namespace_follow_the_entries(clock: Clock) -> None:
    tier = MemoryTier(max_entries=3, clock=clock)
    for key in ("answers:a", "answers:b", "schemas:a", "answers:b", "answers:c"):  # a is evicted
        put(tier, key, clock)
    await tier.delete(["answers:b"])
    one = {"entries": 1, "bytes": ((await tier.stats()).bytes or 0) // 2, "expirations": 0}
    answers, schemas = {**one, "evictions": 1}, {**one, "evictions": 0}
    assert (await tier.stats()).extra["namespaces"] == {"answers": answers, "schemas": schemas}
    await tier.clear()
    assert [counts["bytes"] for counts in (await tier.stats()).extra["namespaces"].values()] == [0, 0]


async def test_the_tag_index_empties_with_the_entries(clock: Clock) -> None:
    tier = MemoryTier(max_entries=10, clock=clock)
    for number in range(1000):
        put(tier, f"answers:{number % 25}", clock, f"tag-{number % 7}", "all", "all")
    assert sum(1 if isinstance(keys, str) else len(keys) for keys in tier._tags.values()) == 20
    assert await tier.delete_tag("all") == 10
    assert not tier._tags
    assert (await tier.stats()).bytes == 0


async def test_values_stored_in_bulk_are_copied_to_their_size(clock: Clock) -> None:
    tier = MemoryTier(clock=clock)
    value = b"x" * 1000
    await tier.set_many({"answers:a": CacheEntry(value, clock.now + 60, ("one",))})
    found = tier.peek("answers:a")
    assert found == CacheEntry(value, clock.now + 60, ("one",))
    assert found.value is not value


def test_threads(clock: Clock) -> None:
    tier = MemoryTier(max_entries=50, clock=clock)
    wrong: list[object] = []

    def work(seed: int) -> None:
        try:
            for turn in range(2000):
                number = (seed * 7919 + turn * 31) % 80
                put(tier, f"answers:{number}", clock, f"tag-{number % 5}", value=b"%d" % number)
                found = tier.peek(f"answers:{number}")
                if found is not None and found.value != b"%d" % number:
                    wrong.append(found)
                if turn % 50 == 0:
                    asyncio.run(tier.delete_tag(f"tag-{number % 5}"))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    indexed = {key for keys in tier._tags.values() for key in ([keys] if isinstance(keys, str) else keys)}
    assert indexed == set(tier._entries)


@pytest.mark.parametrize(
    ("setting", "kept"),
    [({"max_entries": 1}, 1), ({"max_bytes": 64 * 1024}, 0), ({"ttl_seconds": 0.001}, 0), ({}, 2)],
    ids=["max_entries", "max_bytes", "ttl_seconds", "defaults"],
)
async def test_each_setting_of_the_plugin_has_an_effect(setting: dict[str, Any], kept: int, tmp_path: Path) -> None:
    tier = memory.build(PluginContext(plugin_id="memory", settings=Settings(**setting), data_dir=tmp_path))
    large = CacheEntry(bytes(20_000), time.time() + 60)  # more than an eighth of the smallest max_bytes
    await tier.set_many({"answers:a": large, "answers:b": large})
    await asyncio.sleep(0.01)  # longer than the shortest ttl of the settings above
    assert len(await tier.get_many(["answers:a", "answers:b"])) == kept
