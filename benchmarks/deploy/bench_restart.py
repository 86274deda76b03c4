"""Servers that are replaced one by one under load, behind a proxy that asks whether they are ready.

    python -m benchmarks.deploy.bench_restart --rate 200 --seconds 30 --restarts 4

Requests arrive at a fixed rate; every fourth is streamed, and every tenth asks the model again, which takes
--answer-ms. Meanwhile one server after the other gets SIGTERM, ends, and is started again. After that a batch runs in
the worker process, which is killed by SIGKILL in the middle, started again, ended by SIGTERM, and started again.
Printed are failed and cut requests by kind, how long each server took to end and to be ready, and whether the batch
is whole. Exit code 1 when a request failed, an answer was cut, a request reached a server that had ended, or a line
of the batch is missing or there twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.deploy.deploy_servers import HEADERS, TILORES, Server, environment, load

TOML = """schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "demo:simulated-1"
[chat]
drain_seconds = 1.0
shutdown_seconds = 20
[plugins.demo-model]
latency_ms = {answer_ms}
"""
CHECK_SECONDS = 0.1
WAIT_SECONDS = 120.0
_HOP = ("transfer-encoding", "content-length", "connection", "keep-alive", "host")


class Proxy:
    """Sends each request to the next ready server; a request that no server has taken goes to another one."""

    def __init__(self, servers: list[Server], http: aiohttp.ClientSession) -> None:
        self._servers, self._http, self._turn = servers, http, 0
        self.retried = 0

    async def watch(self) -> None:
        while True:
            await asyncio.gather(*(server.check(self._http) for server in self._servers))
            await asyncio.sleep(CHECK_SECONDS)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        for _ in range(20):
            server = self._next()
            if server is None:
                await asyncio.sleep(0.05)
                continue
            try:
                async with self._http.request(
                    request.method, server.url + request.path_qs, data=body, headers=_kept(request.headers)
                ) as reply:
                    out = web.StreamResponse(status=reply.status, headers=_kept(reply.headers))
                    await out.prepare(request)
                    async for piece in reply.content.iter_any():
                        await out.write(piece)
                    await out.write_eof()
                    return out
            except aiohttp.ClientConnectorError:
                self.retried += 1
        return web.Response(status=503, text="no server is ready")

    def _next(self) -> Server | None:
        ready = [server for server in self._servers if server.ready]
        self._turn += 1
        return ready[self._turn % len(ready)] if ready else None


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


async def batch(http: aiohttp.ClientSession, server: Server, lines: int) -> tuple[int, int]:
    """A batch whose worker process is killed, then ended, in the middle: its lines, and how many are different."""
    rows = ({"id": str(i), "question": f"Who is EDW_HAWTHORNE_001? ({i})"} for i in range(lines))
    body = "\n".join(json.dumps(row) for row in rows)
    headers = HEADERS | {"Content-Type": "application/x-ndjson"}
    async with http.post(f"{server.url}/admin/batch?concurrency=2", data=body, headers=headers) as reply:
        job = (await reply.json())["id"]
    command = [*TILORES, "worker"]
    for share, number in ((0.1, signal.SIGKILL), (0.4, signal.SIGTERM), (1.0, signal.SIGTERM)):
        with (server.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(command, cwd=server.folder, env=server.env, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while True:
                    async with http.get(f"{server.url}/admin/batch/{job}", headers=HEADERS) as reply:
                        found = await reply.json()
                    done = found["totals"].get("lines", 0)
                    if found["state"] in ("done", "failed") or (share < 1 and done >= share * lines):
                        break
                    await asyncio.sleep(0.1)
        finally:
            worker.send_signal(number)
            await asyncio.to_thread(worker.wait, 60)
        print(f"worker ended by {number.name} at {done} of {lines} lines: {found['state']}")
    async with http.get(f"{server.url}/admin/batch/{job}/results", headers=HEADERS) as reply:
        results = [json.loads(line) for line in (await reply.text()).splitlines()]
    return len(results), len({row["id"] for row in results if row.get("answer")})


async def run(given: argparse.Namespace, folder: Path) -> bool:
    (folder / "plugins.toml").write_text(TOML.format(answer_ms=given.answer_ms))
    servers = [Server(folder, name, environment(folder)) for name in ("one", "two")]
    seen: Counter[str] = Counter()
    timeout, connector = aiohttp.ClientTimeout(total=60), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        proxy = Proxy(servers, http)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            for server in servers:
                await server.start(http)
            watching = asyncio.create_task(proxy.watch())
            loading = asyncio.create_task(load(http, url, given.rate, given.seconds, seen))
            for number in range(given.restarts):
                await asyncio.sleep(1.0)
                await servers[number % 2].restart()
            during = loading.done()
            await loading
            watching.cancel()
            rows, different = await batch(http, servers[0], given.lines)
        finally:
            for server in servers:
                await asyncio.to_thread(server.stop)
            await runner.cleanup()
    failed = sum(count for what, count in seen.items() if what.startswith("failed"))
    for what, count in sorted(seen.items()):
        print(f"{what:<28} {count}")
    print(f"sent to a server that had ended: {proxy.retried}")
    for server in servers:
        ends = ", ".join(f"{end:.1f} s to end, {start:.1f} s until ready" for end, start in server.took)
        print(f"server {server.name}: {ends}")
    print(f"batch: {rows} of {given.lines} lines, {different} different with an answer")
    if during:
        print("the load ended before the restarts did: raise --seconds")
    return failed == proxy.retried == 0 and not during and rows == different == given.lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--answer-ms", type=int, default=300)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tilores-bench-"))
    try:
        sys.exit(0 if asyncio.run(run(given, folder)) else 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
