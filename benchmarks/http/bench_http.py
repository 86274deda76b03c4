"""Cached and uncached chat requests beside bare routes: throughput and latency, as ratios, in one run.

    python -m benchmarks.http.bench_http [--rounds 3] [--seconds 3] [--connections 1,16,64] [--redis]

Each row is a server of its own: one worker on one core, the load generator (wrk) on another. Rounds are interleaved
(every row once, then again), and medians are printed, with the ratio to the bare FastAPI route of the same run. Our
rows check a key, make a request id and log as by default. That a hit was a hit is checked by X-Tilores-Cache.
Needs wrk and taskset, and for --redis a redis-server; all on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.servers import free_port

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
KEY = "bench-key-0123456789"
SYSTEM = (
    "You answer the telephone for a bank. Be brief and exact, give figures as they are, say so when you do not know. "
) * 18
TURNS = [
    ("user", "Good morning, I have a question about one of our customers."),
    ("assistant", "Good morning. Who is it about, and what would you like to know?"),
    ("user", "Just a moment, I am looking for the file."),
    ("assistant", "Take your time, I am here."),
]
NAMED = "What is Edwina Hawthorne's credit score? Reference @@."
BY_ID = "What is the credit score? Reference @@."


@dataclass
class Row:
    """One server and one kind of request."""

    name: str
    path: str
    body: dict[str, Any]
    variant: str | None = None  # a reference; None for ours
    unique: bool = False
    env: dict[str, str] = field(default_factory=dict)
    tier: str | None = None  # what X-Tilores-Cache must say once primed
    results: dict[int, list[dict[str, float]]] = field(default_factory=dict)


def langserve(question: str, customer: str | None) -> dict[str, Any]:
    kinds = {"user": "human", "assistant": "ai"}
    messages = [{"type": "system", "content": SYSTEM}]
    messages += [{"type": kinds[role], "content": text} for role, text in TURNS]
    messages.append({"type": "human", "content": question})
    config = {"configurable": {"customer_id": customer}} if customer else {}
    return {"input": {"messages": messages}, "config": config, "kwargs": {}}


def openai(question: str, customer: str | None) -> dict[str, Any]:
    messages = [{"role": "system", "content": SYSTEM}]
    messages += [{"role": role, "content": text} for role, text in TURNS]
    messages.append({"role": "user", "content": question})
    body: dict[str, Any] = {"model": "demo:simulated-1", "messages": messages}
    if customer:
        body["metadata"] = {"customer_id": customer}
    return body


def rows(redis_url: str | None) -> list[Row]:
    edwina = "EDW_HAWTHORNE_001"
    invoke, completions = "/chat/invoke", "/v1/chat/completions"
    found = [
        Row("bare FastAPI, constant", invoke, langserve(BY_ID, edwina), variant="bare_fastapi"),
        Row("raw ASGI, L1", invoke, langserve(BY_ID, edwina), variant="asgi_l1"),
        Row("ours, invoke, cached, by id", invoke, langserve(BY_ID, edwina), tier="l1"),
        Row("ours, invoke, cached, named in text", invoke, langserve(NAMED, None), tier="l1"),
        Row("ours, completions, cached, by id", completions, openai(BY_ID, edwina), tier="l1"),
        Row("ours, completions, cached, named in text", completions, openai(NAMED, None), tier="l1"),
        Row("ours, invoke, uncached, by id", invoke, langserve(BY_ID, edwina), unique=True),
        Row("ours, invoke, uncached, named in text", invoke, langserve(NAMED, None), unique=True),
        Row("ours, completions, uncached, by id", completions, openai(BY_ID, edwina), unique=True),
        Row("ours, completions, uncached, named in text", completions, openai(NAMED, None), unique=True),
    ]
    if redis_url:
        env = {"REDIS_URL": redis_url, "BENCH_REDIS_URL": redis_url, "BENCH_CACHE": '["redis"]'}
        found += [
            Row("raw ASGI, L2", invoke, langserve(BY_ID, edwina), variant="asgi_l2", env=env),
            Row("ours, invoke, from L2 alone, by id", invoke, langserve(BY_ID, edwina), env=env, tier="l1"),
            Row("ours, invoke, from L2 alone, named", invoke, langserve(NAMED, None), env=env, tier="l1"),
        ]
    return found


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """A row's server, pinned to core 0, in a folder of its own."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        env = {**os.environ, **row.env, "TILORES_API_KEYS": f"bench:{KEY}", "TILORES_DATA_DIR": str(folder / "data")}
        if row.variant:
            env["VARIANT"] = row.variant
            command = [sys.executable, "-m", "uvicorn", "reference:app", "--port", str(self.port), "--no-access-log"]
            where = HERE
        else:
            cache = row.env.get("BENCH_CACHE", '["memory"]')
            (folder / "plugins.toml").write_text(
                f'schema = 1\n[use]\ncache = {cache}\nsource = "demo"\nmodel = "demo:simulated-1"\n'
            )
            tilores = str(Path(sys.executable).with_name("tilores"))
            command = [tilores, "serve", "--port", str(self.port)]
            where = folder
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            ["taskset", "-c", "0", *command], cwd=where, env=env, stdout=self.log, stderr=self.log
        )
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        raise SystemExit(f"the server did not start:\n{(self.folder / 'log').read_text()}")

    def ask(self, row: Row) -> str | None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{row.path}",
            json.dumps(row.body).replace("@@", "a").encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            reply.read()
            tier: str | None = reply.headers.get("X-Tilores-Cache")
            return tier

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.log.close()


def measure(row: Row, connections: list[int], seconds: int, number: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.json").write_text(json.dumps(row.body))
        server = Server(row, folder)
        try:
            said = [server.ask(row) for _ in range(3)][-1]
            if row.tier and said != row.tier:
                raise SystemExit(f"{row.name}: expected a hit in {row.tier}, got {said}")
            for count in connections:
                env = {
                    **os.environ,
                    "BODY_FILE": str(folder / "body.json"),
                    "UNIQUE": "1" if row.unique else "0",
                    "SEED": chr(97 + number) + chr(97 + count % 26),
                    "HEADERS": f"Authorization: Bearer {KEY}",
                }
                base = ["taskset", "-c", "1", "wrk", "-t", "1", "-c", str(count), "-s", str(HERE / "load.lua")]
                url = f"http://127.0.0.1:{server.port}{row.path}"
                subprocess.run(
                    [*base, "-d", "1s", url],
                    env={**env, "SEED": "w" + chr(97 + number) + chr(97 + count % 26)},
                    capture_output=True,
                )
                before = cpu_seconds(server.process.pid)
                out = subprocess.run([*base, "-d", f"{seconds}s", url], env=env, capture_output=True, text=True)
                line = next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))
                result = json.loads(line.removeprefix("RESULT "))
                if result["bad"]:
                    raise SystemExit(f"{row.name}: {result['bad']} bad replies at {count} connections")
                used = cpu_seconds(server.process.pid) - before
                result["cpu_us"] = used * 1e6 / (result["rps"] * seconds)
                row.results.setdefault(count, []).append(result)
        finally:
            server.stop()


def report(all_rows: list[Row], connections: list[int]) -> None:
    bare = all_rows[0]

    def median(row: Row, count: int, what: str) -> float:
        return statistics.median(result[what] for result in row.results[count])

    titles = (f"c={c}: requests/s | to bare | p50 / p99 ms | CPU µs | to bare" for c in connections)
    print("| row | " + " | ".join(titles) + " |")
    print("|---|" + "--:|--:|--:|--:|--:|" * len(connections))
    for row in all_rows:
        cells = []
        for count in connections:
            rps = median(row, count, "rps")
            both = list(zip(row.results[count], bare.results[count], strict=True))
            ratio = statistics.median(ours["rps"] / base["rps"] for ours, base in both)
            by_cpu = statistics.median(base["cpu_us"] / ours["cpu_us"] for ours, base in both)
            cells += [
                f"{rps:,.0f}",
                f"{ratio:.2f}",
                f"{median(row, count, 'p50_ms'):.2f} / {median(row, count, 'p99_ms'):.2f}",
                f"{median(row, count, 'cpu_us'):.0f}",
                f"{by_cpu:.2f}",
            ]
        print(f"| {row.name} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--redis", action="store_true", help="also the rows that answer from Redis")
    parser.add_argument("--only", default="", help="only rows whose name holds this text (and the bare one)")
    given = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed; on Debian: apt-get install wrk util-linux")
    connections = [int(count) for count in given.connections.split(",")]
    redis: subprocess.Popen[bytes] | None = None
    url = None
    if given.redis:
        port = free_port()
        command = ["taskset", "-c", "1", "redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        url = f"redis://127.0.0.1:{port}/0"
    try:
        chosen = [row for row in rows(url) if row.variant == "bare_fastapi" or given.only in row.name]
        for number in range(given.rounds):
            for row in chosen:
                measure(row, connections, given.seconds, number)
                print(f"round {number + 1}: {row.name}", file=sys.stderr)
        report(chosen, connections)
    finally:
        if redis:
            redis.terminate()
            redis.wait(10)


if __name__ == "__main__":
    main()
