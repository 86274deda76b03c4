"""What replicas hear of each other's invalidations through a shared tier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.cache.tiered_world import Build, memory
from tilores_core.cache.invalidation import EVERYTHING, to_messages
from tilores_core.cache.keys import wire_key
from tilores_core.settings import CacheTable
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, eventually, settle

A, B = "answers:a", "answers:b"
STEADY = CacheTable(jitter=0.0)


async def test_another_replica_hears_it(build: Build, clock: Clock, store: SharedStore) -> None:
    one, other = (build(memory(clock), SharedTier(store)) for _ in range(2))
    for cache in (one, other):
        await cache.start()
    await settle()
    wire = wire_key(A, "openai")
    for kind in ({"keys": [A]}, {"tags": ["one"]}, {"namespace": "answers"}, None):
        await one.set(A, b"value", ttl=60, tags=["one"])
        await one.set("schemas:a", b"value", ttl=60)
        hit = await other.get(A)
        await other.get("schemas:a")
        assert hit is not None
        other.put_in_memory(wire, b"HTTP", hit)
        assert other.get_from_memory(A)
        assert other.get_from_memory(wire)
        await (one.invalidate(**kind) if kind else one.clear())
        await settle()
        assert other.get_from_memory(A) is None
        assert other.get_from_memory(wire) is None
        assert bool(other.get_from_memory("schemas:a")) == (kind is not None)
    stats = await other.stats()
    assert stats["invalidations"]["heard"] >= 4
    assert (await one.stats())["invalidations"]["heard"] == 0, "its own messages it does not act on"


async def test_a_lost_connection_empties_the_local_tier_and_no_other(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.start()
    await settle()
    await cache.set(A, b"value", ttl=60)
    store.lose_connection()
    await settle()
    assert cache.get_from_memory(A) is None
    assert set(store.entries) == {A}


async def test_a_message_of_a_newer_version_empties_the_local_tier(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.start()
    await settle()
    await cache.set(A, b"value", ttl=60)
    store.publish(to_messages("another", EVERYTHING)[0].replace(b'"v":1', b'"v":9'))
    await settle()
    assert cache.get_from_memory(A) is None
    assert (await cache.stats())["invalidations"]["unreadable"] == 1


async def test_a_listener_that_breaks_begins_anew(build: Build, clock: Clock, store: SharedStore) -> None:
    class Breaking(SharedTier):
        turns = 0

        async def messages(self) -> AsyncIterator[bytes | None]:
            self.turns += 1
            if self.turns == 1:
                raise OSError("gone")
            if self.turns == 2:
                return
            async for message in super().messages():
                yield message

    cache, other = build(memory(clock), Breaking(store)), build(memory(clock), SharedTier(store))
    await cache.start()
    await eventually(lambda: store.listeners)
    await settle()
    await cache.set(A, b"value", ttl=60)
    await other.invalidate(keys=[A])
    await settle()
    assert cache.get_from_memory(A) is None


async def test_a_value_stored_between_a_removal_and_its_message_goes_too(build: Build, clock: Clock) -> None:
    store = SharedStore(clock, deliver=False)
    one, other = (build(memory(clock), SharedTier(store)) for _ in range(2))
    for cache in (one, other):
        await cache.start()
    await settle()
    mark = other.revision()  # `other` reads its source now
    await one.invalidate(tags=["one"])
    await other.set(A, b"old", ttl=60, tags=["one"], since=mark)  # and has not heard of it yet
    assert A in store.entries
    store.deliver()
    await settle()
    assert other.get_from_memory(A) is None
    assert A not in store.entries


async def test_a_listener_that_does_not_want_to_end_does_not_keep_the_cache_from_closing(
    build: Build, clock: Clock, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stubborn(SharedTier):
        cancelled = 0

        async def messages(self) -> AsyncIterator[bytes | None]:
            while self.cancelled < 2:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    self.cancelled += 1
            yield None

    monkeypatch.setattr("tilores_core.cache.tiered._SECONDS_TO_END", 0.1)
    tier = Stubborn(store)
    cache = build(memory(clock), tier)
    await cache.start()
    await settle()
    async with asyncio.timeout(60):
        await cache.aclose()
    assert tier.cancelled == 1
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


class MuteTier(SharedTier):
    """Removes entries, but sends no messages while it is `mute`."""

    mute = False

    async def publish(self, message: bytes) -> None:
        if self.mute:
            raise ConnectionError
        await super().publish(message)


async def test_message_that_could_not_be_sent_is_sent_later(
    build: Build, clock: Clock, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilores_core.cache.invalidator._RETRY_SECONDS", 0.01)
    tier = MuteTier(store)
    one, other = build(memory(clock), tier), build(memory(clock), SharedTier(store))
    for cache in (one, other):
        await cache.start()
    await settle()
    await one.set(A, b"value", ttl=60)
    assert await other.get(A)
    tier.mute = True
    await one.invalidate(keys=[A])
    assert one.pending_tiers() == ("MuteTier",)
    assert other.get_from_memory(A), "it has no message yet"
    tier.mute = False
    await eventually(lambda: not (other.get_from_memory(A) or one.pending_tiers()))
