"""A hit in Redis: ours beside redis-py, aiocache and cashews, on one redis-server started here.

    python -m benchmarks.cache.bench_l2 [--rounds 7] [--gets 4000] [--loop uvloop|asyncio] [--json FILE]

Every way returns the same JSON value of about 1 KB, decoded. Rounds are interleaved (each way once, then again), the
server runs on the last core and this process on the first, and what is printed is the median of the rounds and its
ratio. Libraries that are not installed are left out: see requirements.txt beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

Get = Callable[[int], Awaitable[Any]]

KEYS = 200
DOCUMENT = {"text": "The balance of the account is 1204.50. " * 22, "model": "demo:simulated-1", "usage": [311, 96]}
VALUE = orjson.dumps(DOCUMENT)
IN_FLIGHT = 64


async def bare(path: str) -> tuple[Get, Callable[[], Awaitable[None]]]:
    import redis.asyncio

    client = (
        redis.asyncio.Redis(unix_socket_path=path) if path.startswith("/") else redis.asyncio.Redis.from_url(path)
    )
    for number in range(KEYS):
        await client.set(f"bare:{number}", VALUE, ex=3600)

    async def get(number: int) -> Any:
        return orjson.loads(await client.get(f"bare:{number}") or b"")

    return get, client.aclose


async def ours(path: str) -> tuple[Get, Callable[[], Awaitable[None]]]:
    from tilores_core import CacheEntry, PluginContext
    from tilores_plugins.cache.redis.build import build
    from tilores_plugins.cache.redis.settings import RedisSettings

    settings = RedisSettings.model_validate({"url": path, "connect_timeout_ms": 1000, "command_timeout_ms": 1000})
    tier = build(PluginContext(plugin_id="redis", settings=settings, data_dir=Path(tempfile.gettempdir())))
    end = time.time() + 3600
    await tier.set_many(
        {f"answer:{n}": CacheEntry(VALUE, end, (f"customer:{n}", f"record:{n}")) for n in range(KEYS)}
    )

    async def get(number: int) -> Any:
        key = f"answer:{number}"
        return orjson.loads((await tier.get_many((key,)))[key].value)

    return get, tier.aclose


async def aiocache(path: str) -> tuple[Get, Callable[[], Awaitable[None]]]:
    from aiocache import Cache
    from aiocache.serializers import NullSerializer

    port = int(path.rsplit(":", 1)[1])

    class Bytes(NullSerializer):  # type: ignore[misc]
        DEFAULT_ENCODING = None

    cache = Cache(Cache.REDIS, endpoint="127.0.0.1", port=port, serializer=Bytes(encoding=None))
    for number in range(KEYS):
        await cache.set(f"aio:{number}", VALUE, ttl=3600)

    async def get(number: int) -> Any:
        return orjson.loads(await cache.get(f"aio:{number}"))

    return get, cache.close


async def cashews(path: str) -> tuple[Get, Callable[[], Awaitable[None]]]:
    from cashews.wrapper import Cache

    cache = Cache()
    cache.setup(f"{path}/0", client_side=False)
    for number in range(KEYS):
        await cache.set(f"cashews:{number}", VALUE, expire=3600)

    async def get(number: int) -> Any:
        return orjson.loads(await cache.get(f"cashews:{number}"))

    return get, cache.close


WAYS = {"redis-py GET + orjson": bare, "tilores redis tier": ours, "aiocache": aiocache, "cashews": cashews}


async def one_at_a_time(get: Get, gets: int) -> float:
    begin = time.perf_counter()
    for number in range(gets):
        await get(number % KEYS)
    return (time.perf_counter() - begin) / gets


async def many_at_a_time(get: Get, gets: int) -> float:
    numbers = iter(range(gets))

    async def worker() -> None:
        for number in numbers:
            await get(number % KEYS)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.perf_counter() - begin) / gets


async def measure(url: str, rounds: int, gets: int) -> dict[str, dict[str, list[float]]]:
    chosen = {n: w for n, w in WAYS.items() if n.startswith(("redis", "tilores")) or importlib.util.find_spec(n)}
    ready = {name: await way(url) for name, way in chosen.items()}
    times: dict[str, dict[str, list[float]]] = {name: {"one": [], "many": [], "cpu": []} for name in ready}
    for get, _ in ready.values():
        if await get(0) != DOCUMENT:
            raise SystemExit("a wrong value")
        await one_at_a_time(get, gets // 4)
    for _ in range(rounds):
        for name, (get, _) in ready.items():
            cpu = time.process_time()
            times[name]["one"].append(await one_at_a_time(get, gets))
            times[name]["cpu"].append((time.process_time() - cpu) / gets)
            times[name]["many"].append(await many_at_a_time(get, gets * 2))
    for _, close in ready.values():
        await close()
    return times


def show(times: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    medians = {
        name: {what: statistics.median(rows) * 1e6 for what, rows in got.items()} for name, got in times.items()
    }
    base = medians["redis-py GET + orjson"]
    print(f"{'':24}{'one, us':>10}{'ratio':>8}{'CPU, us':>10}{'64, us':>10}{'ratio':>8}{'64, gets/s':>12}")
    for name, got in medians.items():
        one, many = got["one"] / base["one"], got["many"] / base["many"]
        print(
            f"{name:24}{got['one']:>10.1f}{one:>8.2f}{got['cpu']:>10.1f}{got['many']:>10.1f}{many:>8.2f}"
            f"{1e6 / got['many']:>12,.0f}"
        )
    return medians


def pin(cores: set[int]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--gets", type=int, default=4000)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--port", type=int, default=6399)
    parser.add_argument("--json", help="write the medians here")
    asked = parser.parse_args()
    cores = os.cpu_count() or 1
    server = subprocess.Popen(
        [
            shutil.which("redis-server") or "redis-server",
            "--port",
            str(asked.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: pin({cores - 1}),
        cwd=tempfile.gettempdir(),
    )
    try:
        time.sleep(0.5)
        pin({0})
        url = f"redis://127.0.0.1:{asked.port}"
        run: Any = asyncio.run
        if asked.loop == "uvloop":
            import uvloop

            run = uvloop.run
        print(f"{len(VALUE)} bytes, {asked.rounds} rounds of {asked.gets} gets, {asked.loop}")
        medians = show(run(measure(url, asked.rounds, asked.gets)))
    finally:
        server.terminate()
        server.wait(10)
    if asked.json:
        Path(asked.json).write_text(json.dumps(medians, indent=2))


if __name__ == "__main__":
    main()
