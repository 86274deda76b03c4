"""What tracing to LangSmith costs cached requests, beside the same server with tracing off, in one run.

    python -m benchmarks.tracing.bench_langsmith [--rounds 3] [--seconds 6] [--rate 500] [--connections 32]

Two tables. At a fixed rate with every cached answer traced: p50 and p99 of both, and whether each run arrived. At
full load (wrk) with the default sampling: throughput as a share of that with tracing off, with the ingest healthy and
with one that takes requests and never answers; beside each what was dropped. Rows are interleaved round by round,
ratios are taken within a round, medians are printed. The server has one core, load generator and ingest share the
other. Needs wrk, taskset and the langsmith package; all on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.servers import free_port

HERE = Path(__file__).resolve().parent
LUA = HERE.parent / "http" / "load.lua"
KEY = "bench-key-0123456789"
PATH = "/chat/invoke"
BODY = json.dumps(
    {
        "input": "What is the credit score? Reference @@.",
        "config": {"configurable": {"customer_id": "EDW_HAWTHORNE_001"}},
    }
)
_RUN = re.compile(rb'name="post\.[0-9a-f-]{36}"')
_SPANS_OF_A_HIT = 2  # request, look-up
_SPANS_OF_A_MISS = 5


# --- the ingest, a process of its own ------------------------------------------------------------------------


def ingest(port: int, *, hanging: bool) -> None:
    """Counts runs; GET /count tells how many."""
    seen = {"runs": 0}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/count":
                self._reply(seen)
            elif hanging:
                time.sleep(3600)
            else:
                self._reply({"version": "0.10.0", "batch_ingest_config": {"use_multipart_endpoint": True}})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hanging:
                time.sleep(3600)
            seen["runs"] += len(_RUN.findall(body))
            self._reply({})

        def _reply(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None: ...

    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


# --- the servers ---------------------------------------------------------------------------------------------


@dataclass
class Row:
    """`tracing`: the text of its table, None for tracing off."""

    name: str
    tracing: str | None = None
    hanging: bool = False
    results: list[dict[str, float]] = field(default_factory=list)


class Bench:
    """A row's server on core 0 and its ingest on core 1."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row, self.folder, self.port, self.ingest_port = row, folder, free_port(), free_port()
        tracers = '["langsmith"]' if row.tracing is not None else "[]"
        (folder / "plugins.toml").write_text(
            f'schema = 1\n[use]\ncache = ["memory"]\nsource = "demo"\nmodel = "demo:simulated-1"\n'
            f"tracers = {tracers}\n[tracing]\n{row.tracing or ''}\n[plugins.langsmith]\ntimeout_seconds = 2\n"
        )
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
        }
        env = {
            **kept,
            "TILORES_API_KEYS": f"bench:{KEY}",
            "TILORES_ADMIN_KEYS": "bench:bench-admin",
            "TILORES_DATA_DIR": str(folder / "data"),
            "LANGSMITH_API_KEY": "bench",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{self.ingest_port}",
        }
        kind = "--ingest-hanging" if row.hanging else "--ingest"
        self.ingest = subprocess.Popen(
            [
                "taskset",
                "-c",
                "1",
                sys.executable,
                "-m",
                "benchmarks.tracing.bench_langsmith",
                kind,
                str(self.ingest_port),
            ],
            stderr=subprocess.DEVNULL,
        )
        self.log = (folder / "log").open("wb")
        tilores = str(Path(sys.executable).with_name("tilores"))
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", tilores, "serve", "--port", str(self.port)],
            cwd=folder,
            env=env,
            stdout=self.log,
            stderr=self.log,
        )
        self.asked = 0  # answered; the first is a miss
        for _ in range(300):
            try:
                self.ask()
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit((folder / "log").read_text()) from None
                time.sleep(0.1)
        for _ in range(3):
            tier = self.ask()
        if tier != "l1":
            raise SystemExit(f"{row.name}: expected a hit, got {tier}")

    def ask(self) -> str | None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{PATH}",
            BODY.replace("@@", "a").encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            reply.read()
            self.asked += 1
            return str(reply.headers.get("X-Tilores-Cache"))

    def report(self) -> dict[str, Any]:
        """What health says of the tracer, {} with tracing off."""
        url = f"http://127.0.0.1:{self.port}/health/detailed"
        request = urllib.request.Request(url, headers={"Authorization": "Bearer bench-admin"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            told = json.loads(reply.read())["parts"]
        return dict(told["tracer/langsmith"]["detail"]) if "tracer/langsmith" in told else {}

    def count(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ingest_port}/count", timeout=20) as reply:
            return int(json.loads(reply.read())["runs"])

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()
        self.ingest.kill()
        self.ingest.wait(10)


# --- load ----------------------------------------------------------------------------------------------------


async def steadily(port: int, rate: int, seconds: float, connections: int) -> list[float]:
    """Milliseconds of each request, sent at a fixed rate whatever comes back, counted from when it was due."""
    body = BODY.replace("@@", "a").encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
    about = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = f"{head}{about}".encode() + body
    due: asyncio.Queue[float | None] = asyncio.Queue()
    taken: list[float] = []

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (when := await due.get()) is not None:
            writer.write(request)
            header = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", header)
            if b" 200 " not in header[:20] or b"x-tilores-cache: l1" not in header or length is None:
                raise SystemExit(f"bad reply: {header!r}")
            await reader.readexactly(int(length[1]))
            taken.append((time.perf_counter() - when) * 1000)
        writer.close()

    workers = [asyncio.create_task(worker()) for _ in range(connections)]
    start = time.perf_counter() + 0.2
    for number in range(int(rate * seconds)):
        when = start + number / rate
        if (wait := when - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.put_nowait(max(when, time.perf_counter()))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    return taken


def at_a_rate(row: Row, rate: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(row, Path(name))
        try:
            for part in (1.0, float(seconds)):  # the first is to warm up
                taken = asyncio.run(steadily(bench.port, rate, part, 8))
            told = bench.report()
            result = {"p50": statistics.median(taken), "p99": statistics.quantiles(taken, n=100)[98]}
            if row.tracing is not None:
                hits = rate * (1 + seconds) + bench.asked - 1
                expected = _SPANS_OF_A_MISS + _SPANS_OF_A_HIT * hits
                end = time.monotonic() + 15
                while bench.count() < expected and time.monotonic() < end:
                    time.sleep(0.2)
                told = _after(bench)
                result |= {"missing": expected - bench.count(), "dropped": float(told.get("dropped", -1))}
            row.results.append(result)
        finally:
            bench.stop()


def _after(bench: Bench) -> dict[str, Any]:
    time.sleep(1.2)  # health is shared for a second
    return bench.report()


def at_full_load(row: Row, seconds: int, connections: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.json").write_text(BODY)
        bench = Bench(row, folder)
        try:
            env = {**os.environ, "BODY_FILE": str(folder / "body.json"), "HEADERS": f"Authorization: Bearer {KEY}"}
            wrk = ["taskset", "-c", "1", "wrk", "-t", "1", "-c", str(connections), "-s", str(LUA)]
            url = f"http://127.0.0.1:{bench.port}{PATH}"
            for part in (2, seconds):
                out = subprocess.run([*wrk, "-d", f"{part}s", url], env=env, capture_output=True, text=True)
            line = next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))
            result = json.loads(line.removeprefix("RESULT "))
            if result["bad"]:
                raise SystemExit(f"{row.name}: {result['bad']} bad replies")
            told = bench.report()
            row.results.append({**result, **{key: float(told.get(key, 0)) for key in ("sent", "dropped", "waiting")}})
        finally:
            bench.stop()


# --- the tables ------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--ingest", type=int)
    parser.add_argument("--ingest-hanging", type=int)
    given = parser.parse_args()
    if given.ingest or given.ingest_hanging:
        ingest(given.ingest or given.ingest_hanging, hanging=bool(given.ingest_hanging))
        return
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed; on Debian: apt-get install wrk util-linux")
    steady = [Row("off"), Row("every cached answer traced", tracing="sample_hits = 1.0")]
    full = [Row("off"), Row("default sampling", tracing=""), Row("the same, ingest hangs", tracing="", hanging=True)]
    for number in range(given.rounds):
        for row in steady:
            at_a_rate(row, given.rate, given.seconds)
        for row in full:
            at_full_load(row, given.seconds, given.connections)
        print(f"round {number + 1} done", file=sys.stderr)
    print(f"| {given.rate} cached requests/s | p50 ms | p50 more than off | p99 ms | runs missing | dropped |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in steady:
        cells = [
            f"{_median(row, 'p50'):.2f}",
            f"{_difference(row, steady[0], 'p50'):+.2f}",
            f"{_median(row, 'p99'):.2f}",
        ]
        cells += [f"{_median(row, key):.0f}" if row.tracing is not None else "" for key in ("missing", "dropped")]
        print(f"| {row.name} | {' | '.join(cells)} |")
    print(f"\n| full load, {given.connections} connections | requests/s | to off | p50 ms | traces sent | dropped |")
    print("|---|--:|--:|--:|--:|--:|")
    for row in full:
        ratio = statistics.median(
            ours["rps"] / base["rps"] for ours, base in zip(row.results, full[0].results, strict=True)
        )
        cells = [f"{_median(row, 'rps'):,.0f}", f"{ratio:.2f}", f"{_median(row, 'p50_ms'):.2f}"]
        cells += [f"{_median(row, key):.0f}" if row.tracing is not None else "" for key in ("sent", "dropped")]
        print(f"| {row.name} | {' | '.join(cells)} |")


def _median(row: Row, key: str) -> float:
    return statistics.median(result[key] for result in row.results)


def _difference(row: Row, base: Row, key: str) -> float:
    return statistics.median(ours[key] - theirs[key] for ours, theirs in zip(row.results, base.results, strict=True))


if __name__ == "__main__":
    main()
