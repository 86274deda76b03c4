"""The tiers as one cache: promotion, lives, invalidation and its races, other replicas, failing tiers."""

from __future__ import annotations

import asyncio
import textwrap
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tilores_core.cache.breaker import CircuitBreaker
from tilores_core.cache.invalidation import EVERYTHING, invalidation, to_messages
from tilores_core.cache.keys import wire_key
from tilores_core.cache.policy import Life
from tilores_core.cache.tiered import Made, TieredCache
from tilores_core.cache.values import hit_of
from tilores_core.contracts import CacheEntry, CacheTier, TierStats
from tilores_core.errors import CacheError
from tilores_core.settings import CacheTable, NamespaceTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_plugins.cache.memory import MemoryTier, Settings

A, B = "answers:a", "answers:b"
STEADY = CacheTable(jitter=0.0)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SharedStore:
    return SharedStore(clock)


Build = Callable[..., TieredCache]


@pytest_asyncio.fixture
async def build(clock: Clock) -> AsyncIterator[Build]:
    async with AsyncExitStack() as stack:

        def make(*tiers: CacheTier, table: CacheTable = STEADY, **more: object) -> TieredCache:
            cache = TieredCache([(type(tier).__name__, tier) for tier in tiers], table=table, clock=clock, **more)  # type: ignore[arg-type]
            stack.push_async_callback(cache.aclose)
            return cache

        yield make


def memory(clock: Clock) -> MemoryTier:
    return MemoryTier(clock=clock)


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


# --- reading and storing ---


async def test_what_was_stored_is_in_every_tier(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    assert cache.peek(A) is None
    assert await cache.get(A) is None
    await cache.set(A, b"value", ttl=60, grace=30, tags=["one", "two"])
    hit = cache.peek(A)
    assert hit == hit_of(b"value", "l1", Life(clock.now, clock.now + 60, clock.now + 90), ("one", "two"))
    assert await cache.get(A) == hit
    assert set(store.entries) == {A}
    other = build(memory(clock), SharedTier(store))
    assert other.peek(A) is None
    assert await other.get(A) == replace(hit, tier="l2")
    assert other.peek(A) == hit, "promoted with its life and tags"
    assert await other.get_many([A, B, A]) == {A: hit}


async def test_three_tiers_promote_into_all_above(build: Build, clock: Clock, store: SharedStore) -> None:
    below = SharedStore(clock)
    await build(SharedTier(below)).set(A, b"value", ttl=60, tags=["one"])
    await build(SharedTier(below)).set(B, b"other", ttl=60)
    cache = build(memory(clock), SharedTier(store), SharedTier(below))
    found = await cache.get_many([A, B])
    assert {key: hit.tier for key, hit in found.items()} == {A: "l3", B: "l3"}
    assert store.entries[A].tags == ("one",)
    assert cache.peek(A) == replace(found[A], tier="l1")
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
    hit = cache.peek(A)
    assert hit is not None
    assert hit.stale(clock.now)
    clock.now += 5
    assert cache.peek(A) is None
    assert await cache.get(A) is None


async def test_jitter_shortens_the_life(build: Build, clock: Clock) -> None:
    cache = build(memory(clock), table=CacheTable(jitter=0.5), random=lambda: 0.5)
    await cache.set(A, b"value", ttl=100, grace=10)
    hit = cache.peek(A)
    assert hit is not None
    assert (hit.fresh_until - clock.now, hit.expires_at - clock.now) == (75, 85)


async def test_an_entry_made_earlier_lives_from_then(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    await cache.set(A, b"value", ttl=100, stored_at=clock.now - 40)
    hit = cache.peek(A)
    assert hit is not None
    assert hit.age(clock.now) == 40
    assert hit.expires_at == clock.now + 60
    await cache.set(B, b"value", ttl=100, stored_at=clock.now - 100)
    assert cache.peek(B) is None


async def test_without_a_tier_in_the_process_nothing_is_peeked(build: Build, store: SharedStore) -> None:
    cache = build(SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    assert cache.peek(A) is None
    cache.put_local(A, b"x", hit_of(b"x", "l1", Life(0, 1, 2), ()))
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
    hit = cache.peek(A)
    assert hit is not None
    assert hit.value == b"new"


# --- damaged entries ---


@pytest.mark.parametrize("data", [b"", b"short", b"\x00" * 21 + b"value", b"\x01" + b"\xff" * 40])
async def test_damaged_entries_are_misses(build: Build, clock: Clock, store: SharedStore, data: bytes) -> None:
    store.entries[A] = CacheEntry(data, clock.now + 60)
    cache = build(memory(clock), SharedTier(store))
    assert await cache.get(A) is None
    assert cache.peek(A) is None
    assert (await cache.stats())["tiers"]["l2"]["namespaces"]["answers"]["damaged"] == 1


async def test_an_entry_under_another_key_is_a_miss(build: Build, clock: Clock, store: SharedStore) -> None:
    await build(SharedTier(store)).set(A, b"value", ttl=60)
    store.entries[B] = store.entries[A]
    assert await build(memory(clock), SharedTier(store)).get(B) is None


# --- wire bytes ---


async def test_wire_bytes_live_and_go_with_their_answer(build: Build, clock: Clock, store: SharedStore) -> None:
    wire = wire_key(A, "openai")
    for remove in (
        lambda cache: cache.invalidate(keys=[A]),
        lambda cache: cache.invalidate(tags=["one"]),
        lambda cache: cache.invalidate(namespace="answers"),
        lambda cache: cache.set(A, b"new", ttl=60),
        lambda cache: cache.clear(),
    ):
        cache = build(memory(clock), SharedTier(store))
        await cache.set(A, b"value", ttl=60, grace=10, tags=["one"])
        answer = cache.peek(A)
        assert answer is not None
        cache.put_local(wire, b"HTTP", answer)
        assert cache.peek(wire) == replace(answer, value=b"HTTP")
        assert wire not in store.entries
        await remove(cache)
        assert cache.peek(wire) is None


async def test_wire_bytes_of_an_answer_that_is_gone_or_replaced_are_not_stored(build: Build, clock: Clock) -> None:
    cache = build(memory(clock))
    wire = wire_key(A, "openai")
    await cache.set(A, b"value", ttl=60)
    answer = cache.peek(A)
    assert answer is not None
    await cache.invalidate(keys=[A])
    cache.put_local(wire, b"HTTP", answer)
    assert cache.peek(wire) is None
    clock.now += 1
    await cache.set(A, b"new", ttl=60)
    cache.put_local(wire, b"HTTP", answer)
    assert cache.peek(wire) is None


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
            await cache._stack.hear(invalidation(tags=["one"]))
        case _:
            await cache._stack.distrust()
    gate.go_on.set()
    await reading
    assert cache.peek(A) is None


async def test_another_entry_is_promoted_all_the_same(build: Build, clock: Clock, store: SharedStore) -> None:
    gate = GatedTier(SharedTier(store))
    cache = build(memory(clock), gate)
    await build(SharedTier(store)).set(A, b"value", ttl=60, tags=["one"])
    reading = asyncio.create_task(cache.get(A))
    await gate.has_read.wait()
    await cache.invalidate(tags=["two"], keys=[B])
    gate.go_on.set()
    await reading
    assert cache.peek(A)


async def test_what_was_made_before_an_invalidation_is_not_stored_after_it(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    cache = build(memory(clock), SharedTier(store))
    mark = cache.mark()
    await cache.invalidate(tags=["one"])
    await cache.set(A, b"old", ttl=60, tags=["one"], since=mark)
    await cache.set(B, b"other", ttl=60, tags=["two"], since=mark)
    assert cache.peek(A) is None
    assert cache.peek(B)
    assert set(store.entries) == {B}
    assert (await cache.stats())["namespaces"]["answers"]["dropped"] == 1
    await cache.set(A, b"new", ttl=60, tags=["one"], since=cache.mark())
    assert cache.peek(A)


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
    assert cache.peek(A) is None
    assert not store.entries


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
    assert cache.peek(A) is None


# --- other replicas ---


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
        other.put_local(wire, b"HTTP", hit)
        assert other.peek(A)
        assert other.peek(wire)
        await (one.invalidate(**kind) if kind else one.clear())
        await settle()
        assert other.peek(A) is None
        assert other.peek(wire) is None
        assert bool(other.peek("schemas:a")) == (kind is not None)
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
    assert cache.peek(A) is None
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
    assert cache.peek(A) is None
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
    while not store.listeners:
        await asyncio.sleep(0.01)
    await settle()
    await cache.set(A, b"value", ttl=60)
    await other.invalidate(keys=[A])
    await settle()
    assert cache.peek(A) is None


async def test_a_value_stored_between_a_removal_and_its_message_goes_too(build: Build, clock: Clock) -> None:
    store = SharedStore(clock, deliver=False)
    one, other = (build(memory(clock), SharedTier(store)) for _ in range(2))
    for cache in (one, other):
        await cache.start()
    await settle()
    mark = other.mark()  # `other` reads its source now
    await one.invalidate(tags=["one"])
    await other.set(A, b"old", ttl=60, tags=["one"], since=mark)  # and has not heard of it yet
    assert A in store.entries
    store.deliver()
    await settle()
    assert other.peek(A) is None
    assert A not in store.entries


# --- failing tiers ---


def fast_breaker(clock: Callable[[], float]) -> Callable[[], CircuitBreaker]:
    return lambda: CircuitBreaker(clock=clock)


async def test_a_tier_that_refuses_writes_is_still_read(build: Build, clock: Clock, store: SharedStore) -> None:
    tier = SharedTier(store)
    other = build(memory(clock), tier)
    await other.set(A, b"value", ttl=60)

    class Full(SharedTier):
        async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
            raise CacheError("full")

    cache = build(Full(store), breaker=fast_breaker(clock))
    for _ in range(10):
        await cache.set("answers:other", b"value", ttl=60)
        assert await cache.get(A)
    tiers = (await cache.stats())["tiers"]["l1"]
    assert (tiers["write_breaker"], tiers["breaker"]) == ("open", "closed")


async def test_a_tier_that_is_down_costs_nothing_but_its_entries(
    build: Build, clock: Clock, store: SharedStore
) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    flaky.down = True
    await cache.set(A, b"value", ttl=60)
    assert cache.peek(A)
    for number in range(10):
        assert await cache.get(f"answers:none-{number}") is None
    assert flaky.calls == 4, "a write and three reads, then the breaker was open"
    stats = (await cache.stats())["tiers"]["l2"]
    assert stats["breaker"] == "open"
    assert stats["errors"] == 4
    assert stats["skipped"] == 7
    flaky.down = False
    clock.now += 1
    assert await cache.get(B) is None
    await cache.set(B, b"value", ttl=60)
    assert B in store.entries
    assert (await cache.stats())["tiers"]["l2"]["breaker"] == "closed"


async def test_statistics_close_no_breaker(build: Build, clock: Clock, store: SharedStore) -> None:
    class Talkative(FlakyTier):
        async def stats(self) -> TierStats:
            return TierStats(errors=self.calls, extra={"connected": False})

    talkative = Talkative(SharedTier(store))
    cache = build(memory(clock), talkative, breaker=fast_breaker(clock))
    talkative.down = True
    for _ in range(3):
        await cache.get(A)
    clock.now += 1
    for _ in range(3):
        stats = (await cache.stats())["tiers"]["l2"]
        assert (stats["breaker"], stats["extra"]) == ("half_open", {"connected": False})
        assert stats["errors"] == 3, "both count the same three"
    await cache.get(A)
    assert (await cache.stats())["tiers"]["l2"]["breaker"] == "open", "one try was enough"


async def test_a_tier_that_hangs_costs_its_deadline(build: Build, clock: Clock, store: SharedStore) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, table=CacheTable(tier_timeout_seconds=0.01), breaker=fast_breaker(clock))
    flaky.hanging = True
    for number in range(20):
        assert await cache.get(f"answers:{number}") is None
    assert flaky.calls == 3


async def test_a_cancelled_probe_does_not_keep_the_tier_out(build: Build, clock: Clock, store: SharedStore) -> None:
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    flaky.down = True
    for _ in range(3):
        await cache.get(A)
    flaky.down, flaky.hanging = False, True
    clock.now += 1
    probe = asyncio.create_task(cache.get(A))
    await settle()
    probe.cancel()
    await settle()
    flaky.hanging = False
    await cache.set(A, b"value", ttl=60)
    assert A in store.entries


async def test_a_strangers_broken_tiers_break_nothing(build: Build, clock: Clock, store: SharedStore) -> None:
    class Broken(MemoryTier):
        def peek(self, key: str) -> CacheEntry | None:
            raise KeyError(key)

        def put(self, key: str, entry: CacheEntry) -> None:
            raise RuntimeError

    cache = build(Broken(), SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    assert cache.peek(A) is None
    hit = await cache.get(A)
    assert hit is not None
    assert hit.tier == "l2"
    assert (await cache.stats())["tiers"]["l1"]["errors"] >= 3


async def test_what_a_dead_tier_could_not_remove_is_not_served_and_removed_later(
    build: Build, clock: Clock, store: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilores_core.cache.tiered._SETTLE_EVERY", 0.01)
    flaky = FlakyTier(SharedTier(store))
    cache = build(memory(clock), flaky, breaker=fast_breaker(clock))
    await cache.set(A, b"value", ttl=60, tags=["one"])
    await cache.set(B, b"value", ttl=60, tags=["two"])
    flaky.down = True
    await cache.invalidate(tags=["one"])
    assert cache.peek(A) is None
    assert A in store.entries
    assert (await cache.stats())["tiers"]["l2"]["owed_invalidations"] == 1
    flaky.down = False
    await cache._stack.tiers[0].remove(EVERYTHING)
    assert set(await cache.get_many([A, B])) == {B}, "it is back but has not been told yet"
    while A in store.entries:
        await asyncio.sleep(0.01)
    assert set(store.entries) == {B}
    await settle()
    assert (await cache.stats())["tiers"]["l2"]["owed_invalidations"] == 0


# --- statistics ---


async def test_statistics_by_tier_and_namespace(build: Build, clock: Clock, store: SharedStore) -> None:
    cache = build(memory(clock), SharedTier(store))
    await cache.set(A, b"value", ttl=60)
    for _ in range(200):
        cache.peek(A)
    await cache.get("schemas:none")
    await cache.get("schemas:none", peeked=True)
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

    async def make() -> Made:
        return Made(b"made")

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
    async with asyncio.timeout(20):
        await cache.aclose()
    assert tier.cancelled == 1
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
