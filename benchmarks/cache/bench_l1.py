"""A hit in the process: through the tiering, against cachetools' LRUCache under a lock, and other libraries.

    python -m benchmarks.cache.bench_l1

Peers (cashews, aiocache, gptcache: requirements.txt beside this file) take part when they are installed. Also:
memory per entry of 1 KB.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import importlib.util
import random
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cachetools import LRUCache, TTLCache

from benchmarks.cache.rounds import compare, report
from tilores_core.cache.policy import life
from tilores_core.cache.tiered import TieredCache
from tilores_core.cache.values import hit_of, to_memory_hit
from tilores_core.settings import CacheTable
from tilores_plugins.cache.memory import MemoryTier

ENTRIES = 10_000
VALUE = bytes(random.Random(1).randbytes(1024))
KEYS = ["answers:" + hashlib.sha256(b"%d" % number).hexdigest() for number in range(ENTRIES)]
ORDER = random.Random(7).sample(KEYS, ENTRIES)


def tags_of(number: int) -> list[str]:
    """Two records of a customer about whom four questions were asked."""
    return [f"record:crm:{number // 4:08}", f"record:billing:{number // 4:08}"]


async def filled() -> TieredCache:
    cache = TieredCache([("memory", MemoryTier(max_entries=ENTRIES))], table=CacheTable())
    for number, key in enumerate(KEYS):
        await cache.set(key, VALUE, ttl=3600, tags=tags_of(number))
    return cache


def locked_lru() -> Callable[[], int]:
    cache: LRUCache[str, bytes] = LRUCache(ENTRIES)
    lock = threading.Lock()
    for key in KEYS:
        cache[key] = VALUE

    def get(key: str) -> bytes | None:
        with lock:
            return cache.get(key)

    return lambda: each(get)


def locked_ttl() -> Callable[[], int]:
    cache: TTLCache[str, bytes] = TTLCache(ENTRIES, 3600)
    lock = threading.Lock()
    for key in KEYS:
        cache[key] = VALUE

    def get(key: str) -> bytes | None:
        with lock:
            return cache.get(key)

    return lambda: each(get)


def each(get: Callable[[str], Any]) -> int:
    for key in ORDER:
        if get(key) is None:
            raise RuntimeError(key)
    return len(ORDER)


def each_async(loop: asyncio.AbstractEventLoop, get: Callable[[str], Any]) -> Callable[[], int]:
    async def work() -> int:
        for key in ORDER:
            if await get(key) is None:
                raise RuntimeError(key)
        return len(ORDER)

    return lambda: loop.run_until_complete(work())


def peers(loop: asyncio.AbstractEventLoop) -> tuple[dict[str, Callable[[], int]], Callable[[], None]]:
    """Those that are installed, filled, and what closes them."""
    found: dict[str, Callable[[], int]] = {}
    closing: list[Callable[[], Any]] = []
    if importlib.util.find_spec("cashews"):
        from cashews import Cache

        cashews = Cache()
        cashews.setup(f"mem://?size={ENTRIES * 2}")

        async def fill_cashews() -> None:
            for key in KEYS:
                await cashews.set(key, VALUE, expire=3600)

        loop.run_until_complete(fill_cashews())
        found["cashews mem://"] = each_async(loop, cashews.get)
        closing.append(lambda: loop.run_until_complete(cashews.close()))
    if importlib.util.find_spec("aiocache"):
        from aiocache import SimpleMemoryCache

        aiocache = SimpleMemoryCache()

        async def fill_aiocache() -> None:
            for key in KEYS:
                await aiocache.set(key, VALUE)

        loop.run_until_complete(fill_aiocache())
        found["aiocache memory"] = each_async(loop, aiocache.get)
    if importlib.util.find_spec("gptcache"):
        found["GPTCache exact match, map manager"] = gptcache()

    def close() -> None:
        for one in closing:
            one()

    return found, close


def gptcache() -> Callable[[], int]:
    """As its users ask it: the prompt is the key, and only the same prompt is a hit."""
    from gptcache import Cache
    from gptcache.adapter.api import get, put
    from gptcache.manager.factory import get_data_manager
    from gptcache.processor.pre import get_prompt

    cache = Cache()
    with tempfile.TemporaryDirectory() as folder:
        manager = get_data_manager(data_path=str(Path(folder) / "map"), max_size=ENTRIES * 2)
    manager.flush = lambda: None  # it writes all of it to that file when the process ends
    cache.init(pre_embedding_func=get_prompt, data_manager=manager)
    text = VALUE.hex()[:1024]  # of bytes it makes one answer each
    for key in KEYS:
        put(key, text, cache_obj=cache)
    return lambda: each(lambda key: get(key, cache_obj=cache))


def bytes_per_entry() -> float:
    tier = MemoryTier(max_entries=ENTRIES)
    now = time.time()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(ENTRIES):
        key = "answers:" + hashlib.sha256(b"%d" % number).hexdigest()  # made anew: its own memory counts
        lived = life(now + number, ttl=3600, grace=60, jitter=0.1, roll=0.5)
        tier.put(key, to_memory_hit(hit_of(VALUE, "miss", lived, tuple(tags_of(number))), "l1"))
    del key, lived
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    counted = asyncio.run(tier.stats()).bytes
    print(f"  counted by the tier itself: {(counted or 0) / ENTRIES:.0f} bytes")
    return used / ENTRIES


def main() -> None:
    loop = asyncio.new_event_loop()
    cache = loop.run_until_complete(filled())
    others, close_others = peers(loop)
    base = "LRUCache.get under a lock"
    candidates = {
        base: locked_lru(),
        "TieredCache.peek": lambda: each(cache.get_from_memory),
        "await TieredCache.get": each_async(loop, cache.get),
        "TTLCache.get under a lock": locked_ttl(),
        **others,
    }
    report("A hit in the process, 1 KB", compare(candidates), base, ("TieredCache.peek", 3))
    print("\nMemory of an entry of 1 KB with two tags")
    used = bytes_per_entry()
    print(f"  measured: {used:.0f} bytes, at most 1900 wanted: {'yes' if used <= 1900 else 'NO'}")
    loop.run_until_complete(cache.aclose())
    close_others()
    loop.close()


if __name__ == "__main__":
    main()
