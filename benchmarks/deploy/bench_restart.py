"""Servers that are replaced one by one under load, behind a proxy that asks whether they are ready.

    python benchmarks/deploy/bench_restart.py --rate 200 --seconds 20 --restarts 4

Requests arrive at a fixed rate; every fourth is streamed, and some ask the model again, which takes --answer-ms.
Meanwhile one server after the other gets SIGTERM, ends, and is started again. After that a batch is killed by SIGKILL
and resumed. Printed are failed and cut requests by kind, how long each server took to end and to be ready, and
whether the batch is whole. Exit code 1 when a request failed, an answer was cut, or a line of the batch is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

KEY = "bench-secret-of-no-value"
HEADERS = {"Authorization": f"Bearer {KEY}"}
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
_HOP = ("transfer-encoding", "content-length", "connection", "keep-alive")


@dataclass
class Server:
    folder: Path
    name: str
    env: dict[str, str]
    port: int = 0
    ready: bool = False
    process: subprocess.Popen[bytes] | None = None
    took: list[tuple[float, float]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        self.port = self.port or free_port()
        command = [tilores(), "serve", "--port", str(self.port), "--no-worker"]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=log, stderr=log)

    async def restart(self) -> None:
        """SIGTERM, wait for the end, start again, wait until ready."""
        assert self.process is not None
        begun = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait)
        ended = time.perf_counter()
        self.launch()
        while not self.ready:
            await asyncio.sleep(0.05)
        self.took.append((ended - begun, time.perf_counter() - ended))


class Proxy:
    """Sends each request to the next ready server; a request that no server has taken goes to another one."""

    def __init__(self, servers: list[Server], http: aiohttp.ClientSession) -> None:
        self._servers, self._http, self._turn = servers, http, 0
        self.retried = 0

    async def watch(self) -> None:
        while True:
            await asyncio.gather(*(self._check(server) for server in self._servers))
            await asyncio.sleep(CHECK_SECONDS)

    async def _check(self, server: Server) -> None:
        try:
            async with self._http.get(f"{server.url}/health/ready", timeout=aiohttp.ClientTimeout(1)) as reply:
                server.ready = reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            server.ready = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        for _ in range(20):
            server = self._next()
            if server is None:
                await asyncio.sleep(0.05)
                continue
            try:
                async with self._http.request(
                    request.method, server.url + request.path_qs, data=body, headers=_kept(request)
                ) as reply:
                    return await _pass_on(request, reply)
            except aiohttp.ClientConnectorError:
                self.retried += 1
        return web.Response(status=503, text="no server is ready")

    def _next(self) -> Server | None:
        ready = [server for server in self._servers if server.ready]
        self._turn += 1
        return ready[self._turn % len(ready)] if ready else None


def _kept(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() not in (*_HOP, "host")}


async def _pass_on(request: web.Request, reply: aiohttp.ClientResponse) -> web.StreamResponse:
    out = web.StreamResponse(status=reply.status)
    for name, value in reply.headers.items():
        if name.lower() not in _HOP:
            out.headers[name] = value
    await out.prepare(request)
    async for piece in reply.content.iter_any():
        await out.write(piece)
    await out.write_eof()
    return out


async def ask(http: aiohttp.ClientSession, url: str, number: int, seen: Counter[str]) -> None:
    streamed, fresh = number % 4 == 0, number % 10 == 0
    body = {
        "model": "demo:simulated-1",
        "messages": [{"role": "user", "content": f"What is the credit score of EDW_HAWTHORNE_001? ({number % 50})"}],
        "stream": streamed,
    }
    headers = HEADERS | ({"Cache-Control": "no-cache"} if fresh else {})
    kind = "streamed" if streamed else "whole"
    try:
        async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
            data = await reply.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        seen[f"failed {kind}: {type(error).__name__}"] += 1
        return
    if reply.status != 200:
        seen[f"failed {kind}: {reply.status}"] += 1
    elif streamed and not data.rstrip().endswith(b"[DONE]"):
        seen["failed streamed: cut"] += 1
    elif not streamed and not json.loads(data)["choices"][0]["message"]["content"]:
        seen["failed whole: empty"] += 1
    else:
        seen[f"answered {kind}"] += 1


async def load(http: aiohttp.ClientSession, url: str, rate: float, seconds: float, seen: Counter[str]) -> None:
    """Requests at a fixed rate, whatever the answers do."""
    tasks, begun = [], time.perf_counter()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(http, url, number, seen)))
    await asyncio.gather(*tasks)


async def batch(folder: Path, env: dict[str, str], lines: int) -> tuple[int, int]:
    """A batch whose process is killed in the middle and resumed; how many lines there are, and how many different."""
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text(
        "".join(
            json.dumps({"id": str(i), "question": f"Who is EDW_HAWTHORNE_001? ({i})"}) + "\n" for i in range(lines)
        )
    )
    command = [tilores(), "batch", str(source), str(out), "--concurrency", "4"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(command, cwd=folder, env=env, **quiet)  # type: ignore[call-overload]
    while first.poll() is None and not _some(out):
        await asyncio.sleep(0.05)
    first.kill()
    await asyncio.to_thread(first.wait)
    again = subprocess.Popen([*command, "--resume"], cwd=folder, env=env, **quiet)  # type: ignore[call-overload]
    await asyncio.to_thread(again.wait)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return len(rows), len({str(row.get("id", row.get("line"))) for row in rows})


def _some(out: Path) -> bool:
    return any(path.stat().st_size > 2000 for path in out.parent.glob("out.jsonl*"))


async def run(given: argparse.Namespace, folder: Path) -> bool:
    (folder / "plugins.toml").write_text(TOML.format(answer_ms=given.answer_ms))
    env = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
    env |= {
        "TILORES_API_KEYS": f"bench:{KEY}",
        "TILORES_ADMIN_KEYS": f"ops:{KEY}",
        "TILORES_DATA_DIR": str(folder / "data"),
    }
    servers = [Server(folder, name, env) for name in ("one", "two")]
    seen: Counter[str] = Counter()
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        proxy = Proxy(servers, http)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        watching = asyncio.create_task(proxy.watch())
        try:
            for server in servers:
                server.launch()
            while not all(server.ready for server in servers):
                await asyncio.sleep(0.1)
            loading = asyncio.create_task(load(http, url, given.rate, given.seconds, seen))
            for number in range(given.restarts):
                await asyncio.sleep(1.0)
                await servers[number % 2].restart()
            during = loading.done()
            await loading
        finally:
            watching.cancel()
            for server in servers:
                if server.process is not None:
                    server.process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        server.process.wait(30)
            await runner.cleanup()
    rows, different = await batch(folder, env, given.lines)
    failed = sum(count for what, count in seen.items() if what.startswith("failed"))
    for what, count in sorted(seen.items()):
        print(f"{what:<28} {count}")
    print(f"sent to another server        {proxy.retried}")
    for server in servers:
        ends = ", ".join(f"{end:.1f} s to end, {start:.1f} s until ready" for end, start in server.took)
        print(f"server {server.name}: {ends}")
    print(f"batch: {rows} of {given.lines} lines after kill -9 and --resume, {different} different")
    if during:
        print("the load ended before the restarts did: raise --seconds")
    return failed == 0 and not during and rows == different == given.lines


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def tilores() -> str:
    return str(Path(sys.executable).with_name("tilores"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--lines", type=int, default=200)
    parser.add_argument("--answer-ms", type=int, default=300)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tilores-bench-"))
    try:
        sys.exit(0 if asyncio.run(run(given, folder)) else 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
