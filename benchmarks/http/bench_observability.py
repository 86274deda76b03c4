"""What counting and logging cost an answer from memory: metrics on and off, the access log as by default and off.

    python -m benchmarks.http.bench_observability [--rounds 15] [--seconds 1] [--connections 16]

Servers that differ in two settings run side by side on one core, and only one of them is asked at a time: a short
burst each, in an order that changes from round to round. Ratios are those of the bursts of one round, to the server
that neither counts nor logs; medians over the rounds are printed. Processor time per request is told as well, as it
is disturbed less by what else the machine does. Needs wrk and taskset.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.http.bench_http import BY_ID, HERE, KEY, Row, Server, cpu_seconds, langserve, openai

TOML = """schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "demo:simulated-1"
[metrics]
enabled = {metrics}
[chat]
log_hits_every = {every}
"""
EDWINA = "EDW_HAWTHORNE_001"


@dataclass
class Variant:
    """One server. `every`: of so many cached answers one has a line in the log."""

    name: str
    metrics: bool
    every: int
    rps: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def variants() -> list[Variant]:
    return [
        Variant("neither", metrics=False, every=0),
        Variant("metrics on", metrics=True, every=0),
        Variant("access log as by default", metrics=False, every=100),
        Variant("both (the default)", metrics=True, every=100),
        Variant("both, every cached answer logged", metrics=True, every=1),
    ]


def burst(server: Server, row: Row, body: Path, seconds: int, connections: int) -> tuple[float, float]:
    """Requests a second, and microseconds of processor time for each."""
    env = {**os.environ, "BODY_FILE": str(body), "UNIQUE": "0", "HEADERS": f"Authorization: Bearer {KEY}"}
    command = ["taskset", "-c", "1", "wrk", "-t", "1", "-c", str(connections), "-s", str(HERE / "load.lua")]
    url = f"http://127.0.0.1:{server.port}{row.path}"
    before = cpu_seconds(server.process.pid)
    out = subprocess.run([*command, "-d", f"{seconds}s", url], env=env, capture_output=True, text=True, check=True)
    used = cpu_seconds(server.process.pid) - before
    result = json.loads(next(line for line in out.stdout.splitlines() if line.startswith("RESULT "))[7:])
    if result["bad"]:
        raise SystemExit(f"{result['bad']} bad replies")
    return result["rps"], used * 1e6 / (result["rps"] * seconds)


def check(server: Server, variant: Variant, asked: int) -> None:
    """The server that counts has counted what was asked, and the others have not."""
    url = f"http://127.0.0.1:{server.port}/metrics"
    try:
        text = urllib.request.urlopen(url, timeout=20).read().decode()
    except urllib.error.HTTPError as error:
        text = ""
        if error.code != 404 or variant.metrics:
            raise SystemExit(f"{variant.name}: /metrics answers {error.code}") from None
    hits = [line for line in text.splitlines() if line.startswith('tilores_requests_total{cache="l1"')]
    counted = sum(float(line.rpartition(" ")[2]) for line in hits)
    if variant.metrics and counted < asked:
        raise SystemExit(f"{variant.name}: {asked} were asked, {counted:.0f} were counted")
    if not variant.metrics and text:
        raise SystemExit(f"{variant.name}: it counts")


def measure(row: Row, rounds: int, seconds: int, connections: int) -> list[Variant]:
    found = variants()
    with ExitStack() as stack:
        body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "body.json"
        body.write_text(json.dumps(row.body))
        servers: dict[str, Server] = {}
        for variant in found:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            config = folder / "chosen.toml"
            config.write_text(TOML.format(metrics=str(variant.metrics).lower(), every=variant.every))
            servers[variant.name] = server = Server(
                Row(row.name, row.path, row.body, env={"TILORES_CONFIG": str(config)}), folder
            )
            stack.callback(server.stop)
            if [server.ask(row) for _ in range(3)][-1] != "l1":
                raise SystemExit("expected an answer from memory")
            burst(server, row, body, 1, connections)
        asked = dict.fromkeys(servers, 0.0)
        for number in range(rounds):
            turn = number % len(found)
            for variant in found[turn:] + found[:turn]:
                rps, cpu = burst(servers[variant.name], row, body, seconds, connections)
                variant.rps.append(rps)
                variant.cpu_us.append(cpu)
                asked[variant.name] += rps * seconds
            print(f"{row.name}: round {number + 1} of {rounds}", file=sys.stderr)
        for variant in found:
            check(servers[variant.name], variant, int(asked[variant.name] * 0.95))
    return found


def report(row: Row, found: list[Variant]) -> None:
    base = found[0]
    print(f"\n{row.name}\n")
    print("| server | requests/s | throughput to neither | CPU µs a request | throughput by CPU time |")
    print("|---|--:|--:|--:|--:|")
    for variant in found:
        ratio = statistics.median(one / other for one, other in zip(variant.rps, base.rps, strict=True))
        by_cpu = statistics.median(other / one for one, other in zip(variant.cpu_us, base.cpu_us, strict=True))
        print(
            f"| {variant.name} | {statistics.median(variant.rps):,.0f} | {ratio:.3f} "
            f"| {statistics.median(variant.cpu_us):.1f} | {by_cpu:.3f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed; on Debian: apt-get install wrk util-linux")
    rows = [
        Row("invoke, cached, by id", "/chat/invoke", langserve(BY_ID, EDWINA)),
        Row("completions, cached, by id", "/v1/chat/completions", openai(BY_ID, EDWINA)),
    ]
    results = [(row, measure(row, given.rounds, given.seconds, given.connections)) for row in rows]
    for row, found in results:
        report(row, found)


if __name__ == "__main__":
    main()
