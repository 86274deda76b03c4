"""Warmed entries between two processes whose Redis is slow, hangs or does not answer for a while: none is lost."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cache.redis.proxies import Proxy
from tests.redis_server import RedisServer, needs_redis
from tilores_core import CacheError, PluginContext
from tilores_core.cache.tiered import TieredCache
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.publish import EntrySync, PublishedEntries
from tilores_core.resilience import CircuitBreaker
from tilores_core.settings import CacheTable
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing import eventually
from tilores_plugins.cache.memory import MemoryTier
from tilores_plugins.cache.redis.build import BACKGROUND_SECONDS, build
from tilores_plugins.cache.redis.settings import RedisSettings
from tilores_plugins.cache.redis.tier import RedisTier

pytestmark = needs_redis
PATIENCE = 30.0
SLOW = 0.3
"""Seconds; longer than the limits of `SHORT`."""
SHORT = {"connect_timeout_ms": 100, "command_timeout_ms": 100}


def redis_tier(proxy: Proxy, folder: Path, *, background: bool = False) -> RedisTier:
    settings = RedisSettings.model_validate({"url": proxy.url, **SHORT})
    return build(PluginContext(plugin_id="redis", settings=settings, data_dir=folder, background=background))


@dataclass
class Process:
    """A cache and the store, as one process has them; its Redis is behind a proxy of its own."""

    proxy: Proxy
    cache: TieredCache
    store: LazyStore


@dataclass
class Pair:
    worker: Process
    web: Process

    def __post_init__(self) -> None:
        self.hits: dict[str, int] = {}
        self.published = PublishedEntries(self.worker.store, self.worker.cache)
        self.sync = EntrySync(self.web.store, WarmedEntries(self.web.cache, self.hits, most_pinned=100))

    async def warm(self, key: str) -> None:
        await self.worker.cache.set(key, b"warmed", ttl=600.0, tags=("customer:1",))
        self.published.watch(key)

    def value(self, key: str) -> bytes | None:
        hit = self.web.cache.get_from_memory(key)
        return hit.value if hit is not None else None


@pytest_asyncio.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(RedisServer(tmp_path / "redis"))

        async def process() -> Process:
            proxy = await stack.enter_async_context(Proxy(server.port))
            tier = redis_tier(proxy, tmp_path)
            stack.push_async_callback(tier.aclose)
            cache = TieredCache(
                [("memory", MemoryTier()), ("redis", tier)],
                table=CacheTable(jitter=0.0),
                breaker=lambda: CircuitBreaker(pause=0.05),
            )
            stack.push_async_callback(cache.aclose)
            store = LazyStore(store_address(None, tmp_path), announce=lambda _: None)
            stack.push_async_callback(store.aclose)
            return Process(proxy, cache, store)

        yield Pair(await process(), await process())


async def test_entries_that_a_slow_redis_did_not_take_are_written_again(pair: Pair) -> None:
    pair.worker.proxy.delay = SLOW
    for number in range(5):  # more than the breaker takes
        await pair.warm(f"answers:{number}")
    assert await pair.published.flush({}) == 5
    await pair.sync.sync()
    assert pair.value("answers:0") is None, "nothing is published that is not there"
    pair.worker.proxy.delay = 0.0
    assert await pair.published.settle(dict, PATIENCE) == 0
    await pair.sync.sync()
    assert [pair.value(f"answers:{number}") for number in range(5)] == [b"warmed"] * 5
    assert pair.hits == {f"answers:{number}": 0 for number in range(5)}


async def test_run_says_how_many_entries_did_not_get_into_redis_in_time(pair: Pair) -> None:
    pair.worker.proxy.delay = SLOW
    await pair.warm("answers:1")
    assert await pair.published.settle(dict, 0.0) == 1


async def test_entries_that_the_web_process_could_not_read_are_fetched_when_redis_answers(pair: Pair) -> None:
    await pair.warm("answers:1")
    assert await pair.published.flush({}) == 0
    pair.web.proxy.delay = SLOW
    pair.sync.start(at_once=True)
    try:
        await eventually(lambda: pair.web.proxy.accepted, "it does not try")
        await pair.sync.sync()
        assert pair.value("answers:1") is None
        pair.web.proxy.delay = 0.0
        await eventually(lambda: pair.value("answers:1") == b"warmed", "it is not tried again", PATIENCE)
        assert pair.hits == {"answers:1": 0}
    finally:
        await pair.sync.aclose()


async def test_entry_that_was_invalidated_is_not_written_into_redis_again(pair: Pair) -> None:
    await pair.warm("answers:1")
    await pair.worker.cache.invalidate(tags=["customer:1"])
    assert await pair.published.flush({}) == 0
    await pair.sync.sync()
    assert pair.value("answers:1") is None


async def test_newer_entry_replaces_an_older_one_in_redis(pair: Pair) -> None:
    now = time.time()
    await pair.worker.cache.set("answers:1", b"old", ttl=600.0, stored_at=now - 60)
    pair.worker.proxy.delay = SLOW
    await pair.worker.cache.set("answers:1", b"new", ttl=600.0, stored_at=now)
    pair.worker.proxy.delay = 0.0
    pair.published.pin(["answers:1"])
    assert await pair.published.settle(dict, PATIENCE) == 0
    await pair.sync.sync()
    assert pair.value("answers:1") == b"new"


async def test_process_without_callers_gives_redis_more_time(pair: Pair, tmp_path: Path) -> None:
    assert BACKGROUND_SECONDS > SLOW
    pair.worker.proxy.delay = SLOW
    impatient = redis_tier(pair.worker.proxy, tmp_path)
    patient = redis_tier(pair.worker.proxy, tmp_path, background=True)
    try:
        with pytest.raises(CacheError):
            await impatient.get_many(["answers:1"])
        for attempt in range(5):  # a machine that stands still takes its time away as well
            with suppress(CacheError):
                assert await patient.get_many(["answers:1"]) == {}
                break
            assert attempt < 4
    finally:
        await impatient.aclose()
        await patient.aclose()
