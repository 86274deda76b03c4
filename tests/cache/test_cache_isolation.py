"""Nobody gets another's answer: random interleavings of customers, scopes and replicas."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tilores_core import CacheTier
from tilores_core.cache.codec import decode, encode
from tilores_core.cache.keys import answer_key, conversation_digest, fingerprint_key, wire_key
from tilores_core.cache.tiered import MakerResult, TieredCache
from tilores_core.settings import CacheTable
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_plugins.cache.memory import MemoryTier

CUSTOMERS = ["EDW_HAWTHORNE_001", "EDW_HAWTHORNE_002"]
SCOPES = ["desk", "back office"]
QUESTIONS = ["What is the address?", "And the balance?"]

steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "ask", "change", "wait"]),
        st.integers(0, 1),
        st.sampled_from(CUSTOMERS),
        st.sampled_from(SCOPES),
        st.sampled_from(QUESTIONS),
    ),
    min_size=5,
    max_size=40,
)


class World:
    """Two replicas over one store, and a source whose customers change."""

    def __init__(self, seed: int, key_of: Callable[..., str] = answer_key) -> None:
        self.key_of = key_of
        self.now = 1_000_000.0
        self.random = random.Random(seed)
        self.store = SharedStore(lambda: self.now)
        self.replicas = [self.replica() for _ in range(2)]
        self.version = dict.fromkeys(CUSTOMERS, 0)
        self.settled = dict.fromkeys(CUSTOMERS, 0)

    def replica(self) -> TieredCache:
        tiers: list[tuple[str, CacheTier]] = [
            ("memory", MemoryTier(max_entries=8, clock=lambda: self.now)),
            ("shared", SharedTier(self.store)),
        ]
        table = CacheTable(single_flight_replicas=self.random.random() < 0.5, lease_seconds=60.0)
        return TieredCache(tiers, table=table, clock=lambda: self.now, random=self.random.random)

    async def pause(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def ask(self, place: int, customer: str, scope: str, question: str) -> None:
        """What the engine does: the fingerprint, then the answer, then its wire bytes."""
        cache = self.replicas[place]
        at_least = self.settled[customer]

        async def read_fingerprint() -> MakerResult:
            fingerprint = f"{customer} version {self.version[customer]}"
            await self.pause()
            return MakerResult(encode(fingerprint), tags=[f"record:{customer}"])

        fingerprint = decode(
            (await cache.fetch(fingerprint_key("demo", customer), read_fingerprint, ttl=50, grace=20)).value
        )
        key = self.key_of(
            conversation=conversation_digest([{"role": "user", "content": question}]),
            model="demo:simulated-1",
            parameters={},
            prompt_version="p",
            fingerprint=fingerprint,
            scope=scope,
            schema_hash="s",
        )
        answer = {"to": scope, "about": fingerprint, "question": question}
        wire = wire_key(key, "openai")
        sent = cache.get_from_memory(wire)
        if sent is None:

            async def answer_it() -> MakerResult:
                await self.pause()
                return MakerResult(encode(answer), tags=[f"record:{customer}"])

            hit = await cache.fetch(key, answer_it, ttl=100, grace=50)
            await self.pause()
            cache.put_in_memory(wire, json.dumps(decode(hit.value)).encode(), hit)
            assert decode(hit.value) == answer
        else:
            assert json.loads(sent.value) == answer
        assert int(fingerprint.rsplit(" ", 1)[1]) >= at_least, "older than a change that everybody had heard of"
        assert fingerprint.startswith(customer + " ")

    async def change(self, place: int, customer: str) -> None:
        self.version[customer] += 1
        version = self.version[customer]
        await self.replicas[place].invalidate(tags=[f"record:{customer}"])
        for _ in range(30):  # the message travels
            await asyncio.sleep(0)
        self.settled[customer] = max(self.settled[customer], version)

    async def play(self, script: list[tuple[Any, ...]]) -> None:
        for cache in self.replicas:
            await cache.start()
        for _ in range(5):
            await asyncio.sleep(0)
        running: list[asyncio.Task[None]] = []
        for what, place, customer, scope, question in script:
            if what == "ask":
                running.append(asyncio.create_task(self.ask(place, customer, scope, question)))
            elif what == "change":
                running.append(asyncio.create_task(self.change(place, customer)))
            else:
                self.now += self.random.randrange(60)
            await self.pause()
        try:
            await asyncio.gather(*running)
        finally:
            for cache in self.replicas:
                await cache.aclose()
        self.nothing_is_filed_wrongly()

    def nothing_is_filed_wrongly(self) -> None:
        """Also what lies there unread belongs where it lies."""
        for cache in self.replicas:
            tier = cache._stack.tiers[0].tier
            assert isinstance(tier, MemoryTier)
            for key in list(tier._entries):
                if key.startswith("wire:"):
                    wire, origin = cache.get_from_memory(key), cache.get_from_memory(key.split(":", 2)[2])
                    assert wire is None or origin is None or json.loads(wire.value) == decode(origin.value)


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_nobody_gets_anothers_answer(script: list[tuple[Any, ...]], seed: int) -> None:
    asyncio.run(World(seed).play(script))


def test_the_property_can_fail() -> None:
    """With a key that leaves the scope out, the same play finds it."""
    world = World(1, key_of=lambda **parts: answer_key(**{**parts, "scope": ""}))
    play = world.play([("ask", 0, CUSTOMERS[0], scope, QUESTIONS[0]) for scope in SCOPES])
    with pytest.raises(AssertionError):
        asyncio.run(play)
