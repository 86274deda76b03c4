"""How other processes hear of a removal: pub/sub beside RESP3 client tracking, on one redis-server started here.

    python -m benchmarks.cache.bench_coherence [--rounds 5] [--messages 200] [--writes 3000] [--listeners 4]

Latency: from the removal to the moment a listener on another connection knows. CPU: what `--writes` ordinary stores
(no removal at all) cost the server and the listeners, since broadcast tracking reports every one of them.
Tracking is the broadcast mode (`CLIENT TRACKING ON BCAST PREFIX …`): the other mode reports only keys that were read
on the listening connection itself, and a tier reads on another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection

PREFIX = "tilores:entry:"
VALUE = bytes(1000)
Hear = Callable[[], None]
Listener = Callable[[int, Hear], Coroutine[Any, Any, None]]


async def pubsub(port: int, hear: Hear) -> None:
    connection = Connection(port=port, protocol=2)
    await connection.connect()  # type: ignore[no-untyped-call]
    await connection.send_command("SUBSCRIBE", "tilores:messages")
    await connection.read_response()
    while True:
        await connection.read_response(timeout=float("inf"))
        hear()


async def tracking(port: int, hear: Hear) -> None:
    connection = Connection(port=port, protocol=3)

    async def invalidated(_: Any) -> None:
        hear()

    connection._parser.set_invalidation_push_handler(invalidated)  # type: ignore[attr-defined]  # of RESP3
    await connection.connect()  # type: ignore[no-untyped-call]
    await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", PREFIX)
    await connection.read_response()
    while True:
        await connection.read_response(timeout=float("inf"), push_request=True)


async def latency(client: Redis, port: int, way: Listener, messages: int) -> list[float]:
    heard = asyncio.Event()
    listener = asyncio.create_task(way(port, heard.set))
    await asyncio.sleep(0.1)
    times = []
    for _ in range(messages):
        await client.set(f"{PREFIX}a", VALUE)
        await asyncio.sleep(0.002)
        heard.clear()
        begin = time.perf_counter()
        if way is pubsub:
            await client.publish("tilores:messages", b"removed")
        else:
            await client.unlink(f"{PREFIX}a")
        await heard.wait()
        times.append(time.perf_counter() - begin)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    return times


async def cost(client: Redis, port: int, way: Listener, writes: int, listeners: int) -> tuple[float, float, int]:
    """CPU seconds of the server and of this process (writer and listeners), and how often listeners were woken."""
    woken = 0

    def hear() -> None:
        nonlocal woken
        woken += 1

    tasks = [asyncio.create_task(way(port, hear)) for _ in range(listeners)]
    await asyncio.sleep(0.1)
    server, ours = await server_cpu(client), time.process_time()
    for number in range(writes):
        await client.set(f"{PREFIX}{number % 500}", VALUE)
    await asyncio.sleep(0.1)
    used = (await server_cpu(client) - server, time.process_time() - ours, woken)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return used


async def server_cpu(client: Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


async def measure(asked: argparse.Namespace) -> None:
    client = Redis(port=asked.port)
    ways: dict[str, Listener] = {"pub/sub": pubsub, "tracking, BCAST": tracking}
    times: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            times[name] += await latency(client, asked.port, way, asked.messages)
            costs[name].append(await cost(client, asked.port, way, asked.writes, asked.listeners))
    await client.aclose()
    print(f"{'':18}{'p50, ms':>9}{'p99, ms':>9}{'max, ms':>9}   {asked.writes} stores, {asked.listeners} listeners:")
    for name in ways:
        ordered = sorted(times[name])
        p50, p99 = ordered[len(ordered) // 2] * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3
        server, ours, woken = (statistics.median(column) for column in zip(*costs[name], strict=True))
        print(
            f"{name:18}{p50:>9.3f}{p99:>9.3f}{ordered[-1] * 1e3:>9.3f}   server CPU {server:.3f} s,"
            f" clients' CPU {ours:.3f} s, woken {woken:.0f} times"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--writes", type=int, default=3000)
    parser.add_argument("--listeners", type=int, default=4)
    parser.add_argument("--port", type=int, default=6398)
    asked = parser.parse_args()
    cores = os.cpu_count() or 1
    command = [shutil.which("redis-server") or "redis-server", "--port", str(asked.port), "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--save", ""],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {cores - 1}),
        cwd=tempfile.gettempdir(),
    )
    try:
        time.sleep(0.5)
        os.sched_setaffinity(0, {0})
        asyncio.run(measure(asked))
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
