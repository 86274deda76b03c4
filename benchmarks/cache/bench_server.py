"""A server whose Redis hangs: cached and uncached requests before and after SIGSTOP, side by side in one run.

    python -m benchmarks.cache.bench_server [--rounds 5] [--seconds 3] [--connections 1,16,64] [--only TEXT]

One server with `cache = ["memory", "redis"]` on core 0, wrk and a redis-server on core 1. In each round every row is
measured while Redis runs; then Redis is stopped, new questions are asked one after another until the breaker opens,
and every row is measured again; then Redis goes on. Printed are the medians of the rounds, the ratios of each round's
pair, and what it cost until the breaker had opened and until Redis was used again, as /admin/cache has it.
Needs wrk, taskset and redis-server; all on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.http.bench_http import HERE, KEY, Row, Server, rows
from benchmarks.servers import free_port

WANTED_RATIO = 0.7
WANTED_TIME_OUTS = 5
PATIENCE = 20.0
RUNS, HANGS = "Redis runs", "Redis hangs"
_numbers = count(1)


@dataclass
class Opening:
    """What it took until the breaker was open. Time-outs: failed calls of the tier."""

    time_outs: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    slowest_ms: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)


def chosen_rows(only: str) -> list[Row]:
    ours = [row for row in rows(None) if row.variant is None and row.path == "/v1/chat/completions"]
    return [row for row in ours if only in row.name]


def tier(server: Server) -> dict[str, Any]:
    return dict(statistics_of(server)["tiers"]["l2"])


def statistics_of(server: Server) -> dict[str, Any]:
    url = f"http://127.0.0.1:{server.port}/admin/cache"
    request = urllib.request.Request(url, headers={"Authorization": "Bearer bench-admin"})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return dict(json.load(reply))


def until(true: Callable[[], bool], what: str) -> float:
    """Seconds until it was so."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"{what}: not within {PATIENCE:g} s")
        time.sleep(0.02)
    return time.monotonic() - started


def new_word() -> str:
    """Of letters: digits in a question may be a telephone number, and reading one is work of another kind."""
    number, word = next(_numbers), "new"
    while number:
        number, letter = divmod(number, 26)
        word += chr(97 + letter)
    return word


def asks_something_new(server: Server, row: Row) -> float:
    """Milliseconds."""
    body = json.loads(json.dumps(row.body).replace("@@", new_word()))
    started = time.perf_counter()
    server.ask(replace(row, body=body))
    return (time.perf_counter() - started) * 1000


def in_memory(server: Server, row: Row) -> bool:
    return bool(server.ask(row) == "l1")


def load(server: Server, row: Row, folder: Path, connections: int, seconds: int) -> dict[str, float]:
    body = folder / "body.json"
    body.write_text(json.dumps(row.body))
    command = ["taskset", "-c", "1", "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s"]
    command += ["-s", str(HERE / "load.lua"), f"http://127.0.0.1:{server.port}{row.path}"]
    env = {
        **os.environ,
        "BODY_FILE": str(body),
        "UNIQUE": "1" if row.unique else "0",
        "SEED": new_word(),
        "HEADERS": f"Authorization: Bearer {KEY}",
    }
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    line = next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))
    result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    if result["bad"]:
        raise SystemExit(f"{row.name}: {result['bad']} bad replies at {connections} connections")
    return result


Results = dict[tuple[str, int, str], list[dict[str, float]]]


class Bench:
    def __init__(self, server: Server, redis: subprocess.Popen[bytes], given: argparse.Namespace) -> None:
        self.server = server
        self.redis = redis
        self.rows = chosen_rows(given.only)
        self.connections = [int(number) for number in given.connections.split(",")]
        self.seconds = given.seconds
        self.folder = server.folder
        self.results: Results = {}
        self.opening = Opening()

    def round(self) -> None:
        self._measure(RUNS)
        time.sleep(0.5)  # answers are stored behind the requests: nothing is on its way when Redis stops
        lost = statistics_of(self.server)["invalidations"]["lost"]
        self.redis.send_signal(signal.SIGSTOP)
        try:
            self._open_breaker()
            # Who hears no invalidations empties its memory, once; what is measured is what comes after.
            until(lambda: statistics_of(self.server)["invalidations"]["lost"] > lost, "the listener noticed nothing")
            self._measure(HANGS)
        finally:
            self.redis.send_signal(signal.SIGCONT)
        self.opening.back_s.append(until(self._is_back, "Redis is not used again"))

    def _measure(self, state: str) -> None:
        for row in self.rows:
            if not row.unique:
                until(lambda row=row: in_memory(self.server, row), f"{row.name}: not in memory")  # type: ignore[misc]
            for connections in self.connections:
                result = load(self.server, row, self.folder, connections, self.seconds)
                self.results.setdefault((row.name, connections, state), []).append(result)
                print(f"{state}, {connections} connections: {row.name}", file=sys.stderr)
        if state == HANGS and tier(self.server)["breaker"] == "closed":
            raise SystemExit("the breaker closed while Redis was stopped")

    def _open_breaker(self) -> None:
        before, slowest, requests = tier(self.server)["errors"], 0.0, 0
        while (now := tier(self.server))["breaker"] == "closed":
            slowest = max(slowest, asks_something_new(self.server, self.rows[0]))
            requests += 1
        self.opening.time_outs.append(now["errors"] - before)
        self.opening.requests.append(requests)
        self.opening.slowest_ms.append(slowest)

    def _is_back(self) -> bool:
        asks_something_new(self.server, self.rows[0])
        now = tier(self.server)
        return bool(now["breaker"] == now["write_breaker"] == "closed")

    def report(self) -> None:
        print(f"| row | connections | {RUNS}: requests/s, p50 / p99 ms | {HANGS}: requests/s, p50 / p99 ms | ratio |")
        print("|---|--:|--:|--:|--:|")
        for row in self.rows:
            for connections in self.connections:
                runs, hangs = (self.results[row.name, connections, state] for state in (RUNS, HANGS))
                ratio = statistics.median(b["rps"] / a["rps"] for a, b in zip(runs, hangs, strict=True))
                wanted = "" if row.unique else f" ({'at least' if ratio >= WANTED_RATIO else 'NOT'} {WANTED_RATIO})"
                print(f"| {row.name} | {connections} | {_cell(runs)} | {_cell(hangs)} | {ratio:.2f}{wanted} |")
        most = max(self.opening.time_outs)
        enough = "yes" if most <= WANTED_TIME_OUTS else "NO"
        print(f"\nBy round. Time-outs, of reads and writes, until the breaker opened: {self.opening.time_outs}")
        print(f"  at most {WANTED_TIME_OUTS} wanted: {enough}")
        print(f"Requests, one after another, until then: {self.opening.requests}")
        print(f"The slowest of them, ms: {[round(slowest, 1) for slowest in self.opening.slowest_ms]}")
        print(f"Seconds from SIGCONT until Redis was used again: {[round(back, 2) for back in self.opening.back_s]}")


def _cell(results: list[dict[str, float]]) -> str:
    def median(what: str) -> float:
        return statistics.median(result[what] for result in results)

    return f"{median('rps'):,.0f}, {median('p50_ms'):.2f} / {median('p99_ms'):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--only", default="", help="only rows whose name holds this text")
    given = parser.parse_args()
    for tool in ("wrk", "taskset", "redis-server"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed; on Debian: apt-get install wrk util-linux redis-server")
    port = free_port()
    command = ["taskset", "-c", "1", "redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with tempfile.TemporaryDirectory() as name:
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=name)
        try:
            env = {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "BENCH_CACHE": '["memory", "redis"]'}
            server = Server(Row("ours", "", {}, env=env), Path(name))
            try:
                bench = Bench(server, redis, given)
                for _ in range(given.rounds):
                    bench.round()
            finally:
                server.stop()
        finally:
            redis.send_signal(signal.SIGCONT)
            redis.terminate()
            redis.wait(10)
        bench.report()


if __name__ == "__main__":
    main()
