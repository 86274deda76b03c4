"""A plugin's part of the cache: its values, their life, and what is never pickled."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from tests.cache.tiered_world import Build, memory
from tilores_core.cache.forget import forget_customer
from tilores_core.cache.namespace_cache import RESERVED_NAMESPACES, NamespaceCache
from tilores_core.cache.tiered import TieredCache
from tilores_core.errors import CacheError, SourceUnavailableError
from tilores_core.settings import CacheTable, NamespaceTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, settle

STEADY = CacheTable(jitter=0.0)


def part(cache: TieredCache, namespace: str = "rates", *, table: CacheTable = STEADY, **more: Any) -> NamespaceCache:
    return NamespaceCache(cache, namespace, **{"owner": "acme", "table": table, "ttl": 60.0, **more})


class Loader:
    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.calls = 0
        self.error: Exception | None = None

    async def __call__(self) -> Any:
        self.calls += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.value


async def test_value_is_read_by_another_replica_until_its_ttl(build: Build, clock: Clock, store: SharedStore) -> None:
    one, other = (part(build(memory(clock), SharedTier(store))) for _ in range(2))
    assert await one.get("EUR") is None
    assert await one.get("EUR", 0.0) == 0.0
    await one.set("EUR", {"rate": 1.1, "since": [2024, None]})
    assert await other.get("EUR") == {"rate": 1.1, "since": [2024, None]}
    await one.set("USD", 1, ttl=10)
    clock.now += 11
    assert await other.get("USD") is None
    assert await other.get("EUR") is not None
    clock.now += 50
    assert await other.get("EUR") is None


async def test_deleted_value_is_gone_in_all_replicas(build: Build, clock: Clock, store: SharedStore) -> None:
    caches = [build(memory(clock), SharedTier(store)) for _ in range(2)]
    for cache in caches:
        await cache.start()
    await settle()
    one, other = map(part, caches)
    await one.set("EUR", 1)
    assert await other.get("EUR") == 1
    await one.delete("EUR")
    async with asyncio.timeout(60):
        while await other.get("EUR") is not None:
            await asyncio.sleep(0)


async def test_plugins_do_not_see_each_other_s_values(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    await part(cache).set("EUR", 1)
    assert await part(cache, owner="other").get("EUR") is None
    assert await part(cache, "prices").get("EUR") is None
    assert await cache.invalidate(namespace="rates") == 1
    assert await part(cache).get("EUR") is None


@pytest.mark.parametrize("name", [*RESERVED_NAMESPACES, "", "Rates", "a:b", "x" * 41])
async def test_namespace_that_plugins_cannot_use_is_refused(build: Build, clock: Clock, name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        part(build(memory(clock)), name)


async def test_namespace_without_a_ttl_is_refused_unless_the_settings_have_one(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    with pytest.raises(ValueError, match="ttl"):
        part(cache, ttl=None)
    for seconds in (50, 100):
        table = CacheTable(jitter=0.0, schemas=NamespaceTable(ttl_seconds=seconds))
        schemas = part(cache, "schemas", table=table, ttl=None)
        await schemas.set("instance", seconds)
        clock.now += 49
        assert await schemas.get("instance") == seconds
        clock.now += 2
        assert await schemas.get("instance") == (None if seconds == 50 else 100)


async def test_load_is_shared_and_its_value_kept(build: Build, clock: Clock) -> None:
    rates, load = part(build(memory(clock))), Loader([1, 2])
    assert await asyncio.gather(*(rates.get_or_load("EUR", load) for _ in range(5))) == [[1, 2]] * 5
    assert await rates.get_or_load("EUR", load) == [1, 2]
    assert load.calls == 1
    clock.now += 61
    await rates.get_or_load("EUR", load)
    assert load.calls == 2


@pytest.mark.parametrize("seconds", [5, 20])
async def test_nothing_is_kept_for_the_negative_ttl_of_the_settings(build: Build, clock: Clock, seconds: int) -> None:
    table = CacheTable(jitter=0.0, schemas=NamespaceTable(ttl_seconds=60, negative_ttl_seconds=seconds))
    schemas, load = part(build(memory(clock), table=table), "schemas", table=table, ttl=None), Loader(None)
    for _ in range(2):
        assert await schemas.get_or_load("x", load) is None
    assert load.calls == 1
    clock.now += 6
    await schemas.get_or_load("x", load)
    assert load.calls == (2 if seconds == 5 else 1)


async def test_expired_value_is_served_while_loading_fails_for_stale_seconds(build: Build, clock: Clock) -> None:
    table = CacheTable(jitter=0.0, schemas=NamespaceTable(ttl_seconds=10, stale_seconds=30))
    schemas, load = part(build(memory(clock)), "schemas", table=table, ttl=None), Loader("old")
    await schemas.get_or_load("x", load)
    load.error = SourceUnavailableError("down")
    clock.now += 20
    assert await schemas.get_or_load("x", load) == "old"
    clock.now += 21
    with pytest.raises(SourceUnavailableError):
        await schemas.get_or_load("x", load)


async def test_tiers_that_are_down_cost_a_load_and_no_error(build: Build, clock: Clock, store: SharedStore) -> None:
    tier = FlakyTier(SharedTier(store))
    tier.down = True
    rates, load = part(build(tier)), Loader(7)
    await rates.set("EUR", 1)
    assert await rates.get("EUR") is None
    assert await rates.get_or_load("EUR", load) == 7


# --- pickle ---


async def test_value_json_cannot_hold_is_refused_without_pickle(build: Build, clock: Clock) -> None:
    rates = part(build(memory(clock)), secret="a secret")
    with pytest.raises(TypeError, match="date"):
        await rates.set("day", date(2026, 1, 1))
    with pytest.raises(TypeError, match="date"):
        await rates.get_or_load("day", Loader(date(2026, 1, 1)))


async def test_value_json_cannot_hold_is_pickled_and_signed_with_the_secret_key(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    one, other = (part(build(SharedTier(store)), pickle=True, secret="a secret") for _ in range(2))
    await one.set("day", {date(2026, 1, 1): (1, 2)})
    assert await other.get("day") == {date(2026, 1, 1): (1, 2)}
    load = Loader((1, 2))
    assert await one.get_or_load("pair", load) == await other.get_or_load("pair", load) == (1, 2)
    assert load.calls == 1


@pytest.mark.parametrize("secret", [None, "", "another secret"])
async def test_pickled_value_is_never_read_without_its_secret_key(
    build: Build, store: SharedStore, secret: str | None
) -> None:
    await part(build(SharedTier(store)), pickle=True, secret="a secret").set("pair", (1, 2))
    reader = part(build(SharedTier(store)), pickle=True, secret=secret)
    assert await reader.get("pair") is None
    load = Loader([3])
    assert await reader.get_or_load("pair", load) == [3]
    assert load.calls == 1
    assert await part(build(SharedTier(store)), secret="a secret").get("pair") == [3]


async def test_value_is_never_pickled_without_a_secret_key_and_the_error_names_it(build: Build, clock: Clock) -> None:
    rates = part(build(memory(clock)), pickle=True)
    await rates.set("plain", {"a": 1})
    for attempt in (rates.set("pair", (1, 2)), rates.get_or_load("pair", Loader((1, 2)))):
        with pytest.raises(CacheError) as caught:
            await attempt
        assert "TILORES_SECRET_KEY" in str(caught.value.fix)


# --- customers ---


async def test_value_about_a_customer_goes_when_the_customer_is_forgotten(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    notes = part(cache, "notes")
    await notes.set("a", "about C-1", customer_id="C-1")
    await notes.get_or_load("b", Loader("about C-1"), customer_id="C-1")
    await notes.set("c", "about C-2", customer_id="C-2")
    forgotten = await forget_customer(cache, "demo", "C-1")
    assert (forgotten.removed, forgotten.pending) == ({"notes": 2}, ())
    assert [await notes.get(key) for key in "abc"] == [None, None, "about C-2"]
