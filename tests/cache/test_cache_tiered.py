"""The tiers as one cache: promotion, lives, invalidation and its races, statistics."""

from __future__ import annotations

import asyncio
import textwrap
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.cache.tiered_world import Build, memory
from tilores_core.cache.invalidation import invalidation
from tilores_core.cache.keys import wire_key
from tilores_core.cache.policy import Life
from tilores_core.cache.tiered import MakerResult, TieredCache
from tilores_core.cache.values import hit_of
from tilores_core.contracts import CacheEntry, TierStats
from tilores_core.settings import CacheTable, NamespaceTable
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import Clock, eventually, settle
from tilores_plugins.cache.memory import Settings

A, B = "answers:a", "answers:b"
STEADY = CacheTable(jitter=0.0)


# --- reading and storing ---


async def test_what_was_stored_is_in_every_tier(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    assert cache.get_from_memory(A) is None
    assert await cache.get(A) is None
    await cache.set(A, b"value", ttl=60, grace=30, tags=["one", "two"])
    hit = cache.get_from_memory(A)
    assert hit == hit_of(b"value", "l1", Life(clock.now, clock.now + 60, clock.now + 90), ("one", "two"))
    assert await cache.get(A) == hit
    assert set(store.entries) == {A}
    other = build(memory(clock), SharedTier(store))
    assert other.get_from_memory(A) is None
    assert await other.get(A) == replace(hit, tier="l2")
    assert other.get_from_memory(A) == hit, "promoted with its life and tags"
    assert await other.get_many([A, B, A]) == {A: hit}


async def test_three_tiers_promote_into_all_above(build: Build, clock: Clock, store: SharedStore) -> None:
    below = SharedStore(clock)
    await build(SharedTier(below)).set(A, b"value", ttl=60, tags=["one"])
    await build(SharedTier(below)).set(B, b"other", ttl=60)
    cache = build(memory(clock), SharedTier(store), SharedTier(below))
    found = await cache.get_many([A, B])
    assert {key: hit.tier for key, hit in found.items()} == {A: "l3", B: "l3"}
    assert store.entries[A].tags == ("one",)
    assert cache.get_from_memory(A) == replace(found[A], tier="l1")
    stats = await cache.stats()
    assert stats["tiers"]["l1"]["promotions"] == stats["tiers"]["l2"]["promotions"] == 2
    assert stats["tiers"]["l3"]["promotions"] == 0


async def test_a_promoted_entry_keeps_its_remaining_life(build: Build, clock: Clock, store: SharedStore) -> None:
    await build(SharedTier(store)).set(A, b"value", ttl=60, grace=10)
    clock.now += 50
    cache = build(memory(clock), SharedTier(store))
    hit = await cache.get(A)
    assert hit is not None
    assert hit.age(clock.now) == 50
    clock.now += 15
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert hit.stale(clock.now)
    clock.now += 5
    assert cache.get_from_memory(A) is None
    assert await cache.get(A) is None


async def test_jitter_shortens_the_life(build: Build, clock: Clock) -> None:
    cache = build(memory(clock), table=CacheTable(jitter=0.5), random=lambda: 0.5)
    await cache.set(A, b"value", ttl=100, grace=10)
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert (hit.fresh_until - clock.now, hit.expires_at - clock.now) == (75, 85)


async def test_an_entry_made_earlier_lives_from_then(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    await cache.set(A, b"value", ttl=100, stored_at=clock.now - 40)
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert hit.age(clock.now) == 40
    assert hit.expires_at == clock.now + 60
    await cache.set(B, b"value", ttl=100, stored_at=clock.now - 100)
    assert cache.get_from_memory(B) is None


async def test_a_clock_that_was_put_back_lengthens_no_life(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set("answers:q", b"value", ttl=60)
    clock.advance(-50)
    assert cache.get_from_memory("answers:q") is not None
    clock.advance(-3600)
    assert cache.get_from_memory("answers:q") is None
    assert await cache.get("answers:q") is None
    await cache.set("answers:q", b"new", ttl=60)
    assert (await cache.get("answers:q") or pytest.fail("gone")).value == b"new"
    clock.advance(3600)
    assert await cache.get("answers:q") is None


async def test_without_a_tier_in_the_process_nothing_is_peeked(build: Build, store: SharedStore) -> None:
    cache = build(SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    assert cache.get_from_memory(A) is None
    cache.put_in_memory(A, b"x", hit_of(b"x", "l1", Life(0, 1, 2), ()))
    hit = await cache.get(A)
    assert hit is not None
    assert hit.tier == "l1"
    empty = build()
    await empty.set(A, b"value", ttl=60)
    assert await empty.get(A) is None
    assert await empty.invalidate(keys=[A]) == 0


async def test_an_older_entry_from_below_does_not_replace_a_younger_one(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    gate = GatedTier(SharedTier(store))
    cache = build(memory(clock), gate)
    await build(SharedTier(store)).set(A, b"old", ttl=60)
    clock.now += 1
    reading = asyncio.create_task(cache.get(A))
    await gate.has_read.wait()
    await cache.set(A, b"new", ttl=60)
    gate.go_on.set()
    await reading
    hit = cache.get_from_memory(A)
    assert hit is not None
    assert hit.value == b"new"


# --- damaged entries ---


@pytest.mark.parametrize("data", [b"", b"short", b"\x00" * 21 + b"value", b"\x01" + b"\xff" * 40])
async def test_damaged_entries_are_misses(build: Build, clock: Clock, store: SharedStore, data: bytes) -> None:
    store.entries[A] = CacheEntry(data, clock.now + 60)
    cache = build(memory(clock), SharedTier(store))
    assert await cache.get(A) is None
    assert cache.get_from_memory(A) is None
    assert (await cache.stats())["tiers"]["l2"]["namespaces"]["answers"]["damaged"] == 1


async def test_an_entry_under_another_key_is_a_miss(build: Build, clock: Clock, store: SharedStore) -> None:
    await build(SharedTier(store)).set(A, b"value", ttl=60)
    store.entries[B] = store.entries[A]
    assert await build(memory(clock), SharedTier(store)).get(B) is None


# --- wire bytes ---


async def test_wire_bytes_live_and_go_with_their_answer(build: Build, clock: Clock, store: SharedStore) -> None:
    wire = wire_key(A, "openai")
    ways: list[Callable[[TieredCache], Awaitable[object]]] = [
        lambda cache: cache.invalidate(keys=[A]),
        lambda cache: cache.invalidate(tags=["one"]),
        lambda cache: cache.invalidate(namespace="answers"),
        lambda cache: cache.set(A, b"new", ttl=60),
        lambda cache: cache.clear(),
    ]
    for remove in ways:
        cache = build(memory(clock), SharedTier(store))
        await cache.set(A, b"value", ttl=60, grace=10, tags=["one"])
        answer = cache.get_from_memory(A)
        assert answer is not None
        cache.put_in_memory(wire, b"HTTP", answer)
        assert cache.get_from_memory(wire) == replace(answer, value=b"HTTP")
        assert wire not in store.entries
        await remove(cache)
        assert cache.get_from_memory(wire) is None


async def test_wire_bytes_of_an_answer_that_is_gone_or_replaced_are_not_stored(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    wire = wire_key(A, "openai")
    await cache.set(A, b"value", ttl=60)
    answer = cache.get_from_memory(A)
    assert answer is not None
    await cache.invalidate(keys=[A])
    cache.put_in_memory(wire, b"HTTP", answer)
    assert cache.get_from_memory(wire) is None
    clock.now += 1
    await cache.set(A, b"new", ttl=60)
    cache.put_in_memory(wire, b"HTTP", answer)
    assert cache.get_from_memory(wire) is None


# --- invalidation ---


async def test_invalidation_by_key_tag_and_namespace(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))

    async def fill() -> None:
        await cache.set(A, b"a", ttl=60, tags=["one"])
        await cache.set(B, b"b", ttl=60, tags=["one", "two"])
        await cache.set("schemas:a", b"s", ttl=60)

    async def left() -> set[str]:
        return set(await cache.get_many([A, B, "schemas:a"]))

    await fill()
    assert await cache.invalidate(keys=[A, "answers:none"]) == 1
    assert await left() == {B, "schemas:a"}
    await fill()
    assert await cache.invalidate(tags=["one"]) == 2
    assert await left() == {"schemas:a"}
    await fill()
    assert await cache.invalidate(namespace="answers", tags=["none"]) == 2
    assert await left() == {"schemas:a"}
    await fill()
    assert await cache.clear() == 3
    assert await left() == set()
    assert await cache.invalidate() == 0


class GatedTier:
    """Stops a read after it has read, or a write before it writes, until it is told to go on."""

    def __init__(self, inner: SharedTier) -> None:
        self.inner = inner
        self.has_read = asyncio.Event()
        self.go_on = asyncio.Event()
        self.hold_writes = False

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        found = await self.inner.get_many(keys)
        self.has_read.set()
        await self.go_on.wait()
        return found

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        if self.hold_writes:
            self.has_read.set()
            await self.go_on.wait()
        await self.inner.set_many(entries)

    async def delete(self, keys: Sequence[str]) -> int:
        return await self.inner.delete(keys)

    async def delete_tag(self, tag: str) -> int:
        return await self.inner.delete_tag(tag)

    async def clear(self, namespace: str | None = None) -> int:
        return await self.inner.clear(namespace)

    async def stats(self) -> TierStats:
        return await self.inner.stats()

    async def aclose(self) -> None:
        return None


@pytest.mark.parametrize("how", ["key", "tag", "namespace", "heard", "lost"])
async def test_what_was_read_before_an_invalidation_is_not_promoted_after_it(
    build: Build, clock: Clock, store: SharedStore, how: str
) -> None:
    gate = GatedTier(SharedTier(store))
    cache = build(memory(clock), gate)
    other = build(memory(clock), SharedTier(store))
    await other.set(A, b"old", ttl=60, tags=["one"])
    reading = asyncio.create_task(cache.get(A))
    await gate.has_read.wait()
    match how:
        case "key":
            await cache.invalidate(keys=[A])
        case "tag":
            await cache.invalidate(tags=["one"])
        case "namespace":
            await cache.invalidate(namespace="answers")
        case "heard":
            await cache._stack.on_remote_invalidation(invalidation(tags=["one"]))
        case _:
            await cache._stack.flush_local()
    gate.go_on.set()
    await reading
    assert cache.get_from_memory(A) is None


async def test_another_entry_is_promoted_all_the_same(build: Build, clock: Clock, store: SharedStore) -> None:
    gate = GatedTier(SharedTier(store))
    cache = build(memory(clock), gate)
    await build(SharedTier(store)).set(A, b"value", ttl=60, tags=["one"])
    reading = asyncio.create_task(cache.get(A))
    await gate.has_read.wait()
    await cache.invalidate(tags=["two"], keys=[B])
    gate.go_on.set()
    await reading
    assert cache.get_from_memory(A)


async def test_what_was_made_before_an_invalidation_is_not_stored_after_it(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    mark = cache.revision()
    await cache.invalidate(tags=["one"])
    await cache.set(A, b"old", ttl=60, tags=["one"], since=mark)
    await cache.set(B, b"other", ttl=60, tags=["two"], since=mark)
    assert cache.get_from_memory(A) is None
    assert cache.get_from_memory(B)
    assert set(store.entries) == {B}
    assert (await cache.stats())["namespaces"]["answers"]["dropped"] == 1
    await cache.set(A, b"new", ttl=60, tags=["one"], since=cache.revision())
    assert cache.get_from_memory(A)


async def test_a_write_that_an_invalidation_overtook_is_taken_back(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    gate = GatedTier(SharedTier(store))
    gate.hold_writes = True
    cache = build(memory(clock), gate)
    writing = asyncio.create_task(cache.set(A, b"old", ttl=60, tags=["one"]))
    await gate.has_read.wait()
    await cache.invalidate(tags=["one"])
    gate.go_on.set()
    await writing
    assert cache.get_from_memory(A) is None
    assert not store.entries


async def test_writes_behind_gather_for_a_moment_where_memory_has_them(
    build: Build, clock: Clock, store: SharedStore, pass_time: Callable[[float], None]
) -> None:
    for has_memory in (True, False):
        tiers = [memory(clock)] if has_memory else []
        cache = build(*tiers, SharedTier(store), write_pause=30.0)
        await cache.set(A, b"a", ttl=60, behind=True)
        await settle()
        assert bool(store.entries) is not has_memory
        pass_time(60.0)
        await eventually(lambda: A in store.entries)
        await cache.clear()


async def test_writes_behind_go_out_together_while_one_is_under_way_and_none_is_lost(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    gate = GatedTier(SharedTier(store))
    gate.hold_writes = True
    cache = build(memory(clock), gate)
    await cache.set(A, b"a", ttl=60, behind=True)
    await gate.has_read.wait()  # it is under way
    mark = cache.revision()
    await cache.invalidate(tags=["gone"])
    await cache.set(B, b"old", ttl=60, tags=["gone"], since=mark, behind=True)
    await cache.set("answers:c", b"old", ttl=60, behind=True)
    await cache.set("answers:c", b"new", ttl=60, behind=True)
    await cache.set("answers:d", b"d", ttl=60, tags=["gone"], since=cache.revision(), behind=True)
    assert not store.entries
    written: list[set[str]] = []
    inner = gate.inner.set_many

    async def counted(entries: Mapping[str, CacheEntry]) -> None:
        written.append(set(entries))
        await inner(entries)

    gate.inner.set_many = counted  # type: ignore[method-assign]
    gate.go_on.set()
    await eventually(lambda: len(store.entries) == 3)
    assert written == [{A}, {"answers:c", "answers:d"}]
    other = build(memory(clock), SharedTier(store))
    found = await other.get("answers:c")
    assert found is not None
    assert found.value == b"new"


async def test_a_caller_who_goes_away_leaves_no_half_invalidation(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set(A, b"value", ttl=60, tags=["one"])
    leaving = asyncio.create_task(cache.invalidate(tags=["one"]))
    await asyncio.sleep(0)
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    assert not store.entries
    assert cache.get_from_memory(A) is None


# --- statistics ---


async def test_statistics_by_tier_and_namespace(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    for _ in range(200):
        cache.get_from_memory(A)
    await cache.get("schemas:none")
    await cache.get_from_tiers("schemas:none")
    stats = await cache.stats()
    first, second = stats["tiers"]["l1"], stats["tiers"]["l2"]
    assert first["name"] == "MemoryTier"
    assert first["namespaces"]["answers"]["hits"] == 200
    assert first["namespaces"]["answers"]["entries"] == 1
    assert first["namespaces"]["schemas"]["misses"] == 1
    assert second["namespaces"]["schemas"]["misses"] == 2
    assert first["breaker"] is None
    assert second["breaker"] == "closed"
    assert first["p50_us"] > 0
    assert second["p99_us"] >= second["p50_us"] > 0
    assert first["bytes"] > 0


async def test_every_figure_is_documented(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set(A, b"value", ttl=60)

    async def make() -> MakerResult:
        return MakerResult(b"made")

    await cache.fetch(B, make, ttl=60)
    page = (Path(__file__).parents[2] / "docs" / "cache.md").read_text()

    def names(figures: object) -> set[str]:
        if not isinstance(figures, dict):
            return set()
        mine = {name for name in figures if name not in ("l1", "l2", "answers", "extra")}
        return mine.union(*(names(inner) for name, inner in figures.items() if name != "extra"))

    assert {name for name in names(await cache.stats()) if f"`{name}`" not in page} == set()


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cache.md").read_text()
    settings = {*CacheTable.model_fields, *NamespaceTable.model_fields, *Settings.model_fields}
    assert {name for name in settings if name not in page} == set()


def test_the_documented_settings_are_the_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cache.md").read_text()
    block = page[page.index("    [cache]") : page.index("## Keys")]
    written = tomllib.loads(textwrap.dedent(block))
    assert CacheTable(**{**written["cache"], "spectrums": {}}) == CacheTable()
    assert Settings(**written["plugins"]["memory"]) == Settings()
