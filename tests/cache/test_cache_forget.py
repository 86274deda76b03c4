"""Forgetting a customer: in all tiers and replicas, by every record that is known, with a count of what went."""

from __future__ import annotations

from tests.cache.tiered_world import Build, memory
from tilores_core.cache.forget import forget_customer
from tilores_core.cache.keys import customer_key, customer_tags, fingerprint_key, wire_key
from tilores_core.cache.tiered import TieredCache
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, eventually, settle

MINE = ("answers:a", "answers:b", "mentions:a", customer_key("crm", "C-1"), fingerprint_key("crm", "C-1"))
OTHERS = ("answers:other", "mentions:other", customer_key("crm", "C-2"))


async def fill(cache: TieredCache) -> None:
    for key in MINE:
        await cache.set(key, b"C-1's", ttl=60, tags=customer_tags("C-1", ["r1", "r2"]))
    for key in OTHERS:
        await cache.set(key, b"C-2's", ttl=60, tags=customer_tags("C-2", ["r3"]))
    hit = cache.get_from_memory("answers:a")
    if hit is not None:
        cache.put_in_memory(wire_key("answers:a", "openai"), b"HTTP", hit)


async def test_customer_is_forgotten_in_all_tiers_and_counted_by_namespace(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    await fill(cache)
    assert cache.get_from_memory(wire_key("answers:a", "openai"))
    forgotten = await forget_customer(cache, "crm", "C-1")
    assert forgotten.pending == ()
    assert forgotten.removed == {"answers": 2, "mentions": 1, "customers": 1, "fingerprints": 1, "wire": 1}
    assert set(store.entries) == set(OTHERS)
    assert await cache.get_many([*MINE, wire_key("answers:a", "openai")]) == {}
    again = await forget_customer(cache, "crm", "C-1")
    assert (again.removed, again.pending) == ({}, ())


async def test_other_replicas_forget_the_customer_too(build: Build, clock: Clock, store: SharedStore) -> None:
    one, other = (build(memory(clock), SharedTier(store)) for _ in range(2))
    for cache in (one, other):
        await cache.start()
    await settle()
    await fill(one)
    hits = await other.get_many(MINE)
    other.put_in_memory(wire_key("answers:a", "openai"), b"HTTP", hits["answers:a"])
    await forget_customer(one, "crm", "C-1")
    await eventually(
        lambda: not (any(other.get_from_memory(key) for key in (*MINE, wire_key("answers:a", "openai"))))
    )
    assert await other.get_many(OTHERS) != {}


async def test_entries_made_before_a_merge_are_found_by_the_records(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set("answers:before", b"x", ttl=60, tags=customer_tags("C-old", ["r1"]))
    await cache.set("answers:cached", b"x", ttl=60, tags=customer_tags("C-older", ["r2"]))
    await cache.set(fingerprint_key("crm", "C-1"), b"x", ttl=60, tags=customer_tags("C-1", ["r2"]))
    forgotten = await forget_customer(cache, "crm", "C-1", record_ids=["r1"])
    assert forgotten.removed == {"answers": 2, "fingerprints": 1}
    assert store.entries == {}


async def test_tier_that_is_down_is_pending_serves_nothing_and_removes_when_it_is_back(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    tier = FlakyTier(SharedTier(store))
    cache = build(memory(clock), tier)
    await fill(cache)
    tier.down = True
    forgotten = await forget_customer(cache, "crm", "C-1")
    assert forgotten.pending == ("FlakyTier",)
    assert forgotten.removed["answers"] == 2, "those in memory"
    tier.down = False
    assert set(store.entries) >= set(MINE)
    assert set(await cache.get_many([*MINE, *OTHERS])) == set(OTHERS)
    await eventually(lambda: not (cache.pending_tiers()))
    assert set(store.entries) == set(OTHERS)


async def test_tier_that_cannot_list_keys_is_counted_as_other(build: Build, store: SharedStore) -> None:
    cache = build(FlakyTier(SharedTier(store)))
    await fill(cache)
    forgotten = await forget_customer(cache, "crm", "C-1")
    assert (forgotten.removed, forgotten.pending) == ({"other": 5}, ())
