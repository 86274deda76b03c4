"""The tiering against a dictionary and a clock: whatever is done, it says what the dictionary says, or nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tilores_core.cache.tiered import Hit, TieredCache
from tilores_core.contracts import CacheTier
from tilores_core.resilience import CircuitBreaker
from tilores_core.settings import CacheTable
from tilores_core.testing.tiers import FlakyTier, SharedStore, SharedTier
from tilores_plugins.cache.memory import MemoryTier

KEYS = ["answers:a", "answers:b", "customers:a", "schemas:a"]
TAGS = ["one", "two", "three"]
LONG = 10_000.0  # the tiers' own limit on a life, out of the way

keys = st.sampled_from(KEYS)
tags = st.lists(st.sampled_from(TAGS), unique=True, max_size=2)
lives = st.integers(1, 50)


class Tiering(RuleBasedStateMachine):
    """With every tier sound, the cache equals the model. Once one has failed or evicted, it may know less, and from a
    tier that missed a write an older value of a key may come; never one that was invalidated, has expired, or was
    never stored under that key."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1_000_000.0
        self.model: dict[str, tuple[bytes, float, float, tuple[str, ...]]] = {}
        self.older: dict[str, list[tuple[bytes, float, float, tuple[str, ...]]]] = {}
        self.count = 0
        self.exact = True

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @initialize(
        kinds=st.sampled_from(
            [
                ("memory",),
                ("shared",),
                ("memory", "shared"),
                ("memory", "flaky"),
                ("memory", "shared", "shared"),
                ("memory", "flaky", "shared"),
                ("small", "shared"),
            ]
        )
    )
    def build(self, kinds: tuple[str, ...]) -> None:
        self.flaky: FlakyTier | None = None
        tiers: list[tuple[str, CacheTier]] = []
        for kind in kinds:
            tier: CacheTier
            if kind in ("memory", "small"):
                tier = MemoryTier(max_entries=2 if kind == "small" else 100, ttl_seconds=LONG, clock=lambda: self.now)
            else:
                tier = SharedTier(SharedStore(lambda: self.now))
                if kind == "flaky":
                    tier = self.flaky = FlakyTier(tier)
            tiers.append((kind, tier))
        self.tiers = [tier for _, tier in tiers]
        self.exact = True
        self.cache = TieredCache(
            tiers,
            table=CacheTable(jitter=0.0),
            clock=lambda: self.now,
            breaker=lambda: CircuitBreaker(clock=lambda: self.now),
        )

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.run(self.cache.aclose())
        self.run(self.loop.shutdown_asyncgens())
        self.loop.close()

    @rule(key=keys, ttl=lives, grace=st.integers(0, 20), names=tags)
    def store(self, key: str, ttl: int, grace: int, names: list[str]) -> None:
        self.count += 1
        self.run(self.cache.set(key, b"%d" % self.count, ttl=ttl, grace=grace, tags=names))
        if key in self.model:
            self.older.setdefault(key, []).append(self.model[key])
        self.model[key] = (b"%d" % self.count, self.now + ttl, self.now + ttl + grace, tuple(names))

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=keys)
    def get(self, key: str) -> None:
        self.check(key, self.run(self.cache.get(key)))

    @rule(chosen=st.lists(keys, max_size=6))
    def get_many(self, chosen: list[str]) -> None:
        found = self.run(self.cache.get_many(chosen))
        assert set(found) <= set(chosen)
        for key in chosen:
            self.check(key, found.get(key))

    @rule(key=keys)
    def peek(self, key: str) -> None:
        hit = self.cache.get_from_memory(key)
        if hit is not None:
            self.check(key, hit)

    @rule(
        chosen=st.lists(keys, max_size=2), names=tags, namespace=st.none() | st.sampled_from(["answers", "schemas"])
    )
    def invalidate(self, chosen: list[str], names: list[str], namespace: str | None) -> None:
        def gone(key: str, entry: tuple[Any, ...]) -> bool:
            return key in chosen or bool(set(names) & set(entry[3])) or key.partition(":")[0] == namespace

        self.run(self.cache.invalidate(keys=chosen, tags=names, namespace=namespace))
        self.model = {key: entry for key, entry in self.model.items() if not gone(key, entry)}
        self.older = {key: [one for one in old if not gone(key, one)] for key, old in self.older.items()}

    @rule()
    def clear(self) -> None:
        self.run(self.cache.clear())
        self.model.clear()
        self.older.clear()

    @precondition(lambda self: getattr(self, "flaky", None) is not None)
    @rule(down=st.booleans())
    def fail(self, down: bool) -> None:
        assert self.flaky is not None
        self.flaky.down = down
        self.exact = False

    @rule(place=st.integers(0, 2))
    def forget(self, place: int) -> None:
        """A tier above the last loses everything, as after a restart."""
        if place < len(self.tiers) - 1 and not isinstance(self.tiers[place], FlakyTier):
            self.run(self.tiers[place].clear())

    @invariant()
    def the_local_tier_is_never_wrong(self) -> None:
        if hasattr(self, "cache"):
            for key in KEYS:
                hit = self.cache._stack.look(self.cache._stack.tiers[0], key)
                if hit is not None:
                    self.check(key, hit)

    def check(self, key: str, hit: Hit | None) -> None:
        entry = self.model.get(key)
        if hit is None:
            assert not self.exact or entry is None or entry[2] <= self.now
            return
        said = (hit.value, hit.fresh_until, hit.expires_at, hit.tags)
        assert hit.expires_at > self.now
        assert said == entry or (not self.exact and said in self.older.get(key, []))


Tiering.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTiering = Tiering.TestCase
