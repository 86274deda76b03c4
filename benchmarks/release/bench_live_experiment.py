"""Experiments end to end: a running server with two web processes and a worker, a simulated model, HTTP.

    python -m benchmarks.release.bench_live_experiment --requests 20000

Half of the requests each:
1. A poor prompt is in production, and a better candidate is tried at 50/50: it must win and be deployed by itself.
2. Then the poor prompt is the candidate: it must be stopped.
`--at-once` requests wait at a time until the decision, then at least 16 for what is left: one second after the
decision, when both web processes have followed it, each answer must come from the better prompt.

The model is simulated (`demo:simulated-1`: it does as it is instructed, and long answers with markup score some seven
points lower), so the difference is real and known. Live scoring may take a fifth of a core here, so that a decision
takes minutes.
Exit code 1 when one of the two ends otherwise, a request fails, the poor prompt answers later than that, or more than
5 % of the requests meet the worse candidate beyond the half that the split gives it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.servers import free_port, wait_until_ready

KEY = "bench-secret-of-no-value"
HEADERS = {"Authorization": f"Bearer {KEY}"}
MODEL = "demo:simulated-1"
_AT_ONCE_AFTER = 16
_MOST_BEYOND = 0.05
CUSTOMERS = ("EDW_HAWTHORNE_001",)
FIELDS = ("monthly income", "credit limit", "account balance", "credit utilization", "city", "total spent")
TOML = f"""schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "{MODEL}"
[quality]
live_cpu_percent = 20
[experiments]
look_seconds = 1
[monitor]
roll_back = false
"""
EXACT = "Give exact values: figures, dates and identifiers as they are written."
POOR = f"Answer at length, in detail, with headings and lists.\n{EXACT}"
GOOD = f"Use short sentences and plain words, without lists, headings or markup.\n{EXACT}"


class Bench:
    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http, self.url, self.seen, self.number = http, url, Counter[str](), itertools.count()

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, f"{self.url}/admin/{path}", json=body, headers=HEADERS) as reply:
            text = await reply.text()
            if reply.status >= 400:
                raise RuntimeError(f"{path}: {reply.status} {text[:500]}")
            return await reply.json()

    async def version(self, style: str) -> int:
        made = await self.admin("POST", "prompts", {"parts": {"answer_style": style}, "reason": "bench", "parent": 1})
        number: int = made["version"]
        return number

    async def ask(self) -> None:
        number = next(self.number)
        field = FIELDS[number % len(FIELDS)]
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"What is the {field} of {CUSTOMERS[0]}? (call {number})"}],
            "metadata": {"session_id": f"session-{number}"},
        }
        try:
            async with self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=HEADERS) as reply:
                data = await reply.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.seen[f"failed: {type(error).__name__}"] += 1
            return
        if reply.status != 200:
            self.seen[f"failed: {reply.status}"] += 1
            return
        version = str(data.get("tilores", {}).get("prompt_version", "")).partition("-")[0]
        self.seen[f"version {version}"] += 1

    async def ask_many(self, most: int, at_once: int, is_done: Callable[[], Awaitable[bool]] | None = None) -> int:
        """Ask at most so many times, looking twice a second whether it is done; how often it was."""
        sent, looked = 0, 0.0
        waiting: set[asyncio.Task[None]] = set()
        while sent < most:
            while len(waiting) < at_once and sent < most:
                waiting.add(asyncio.create_task(self.ask()))
                sent += 1
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if is_done is not None and time.monotonic() - looked > 0.5:
                looked = time.monotonic()
                if await is_done():
                    break
        if waiting:
            await asyncio.wait(waiting)
        return sent

    async def until_ended(self, name: str, most: int, at_once: int) -> dict[str, Any]:
        """Ask until the experiment has ended, at most so many times."""

        async def has_ended() -> bool:
            found: dict[str, Any] = await self.admin("GET", f"experiments/runs/{name}")
            return bool(found["state"] == "ended")

        begun = time.monotonic()
        sent = await self.ask_many(most, at_once, has_ended)
        found = await self.admin("GET", f"experiments/runs/{name}")
        verdict = found["verdict"]
        print(
            f"{name}: {found['outcome'] or found['state']} after {sent} requests, {time.monotonic() - begun:.0f} s; "
            f"lift {verdict.get('lift', 0):+.3f}, confidence {verdict.get('confidence', 0):.1%}, "
            f"scored {verdict.get('scored')}, {found['reason'] or verdict.get('reason')}"
        )
        return {**found, "sent": sent}

    async def after(self, number: int, at_once: int, poor: int) -> int:
        """Ask so many times when the decision has reached all processes; how many answers the poor prompt gave."""
        await asyncio.sleep(1.0)
        begun, before = time.monotonic(), self.seen[f"version {poor}"]
        await self.ask_many(number, max(at_once, _AT_ONCE_AFTER))
        late = self.seen[f"version {poor}"] - before
        print(f"after that: {number} requests, {time.monotonic() - begun:.0f} s, {late} of them met the poor prompt")
        return late


async def run(given: argparse.Namespace, url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        bench, begun, half = Bench(http, url), time.monotonic(), given.requests // 2
        await wait_until_ready(http, url)
        poor, good = await bench.version(POOR), await bench.version(GOOD)
        deploy = {"version": poor, "reason": "bench", "skip_evaluation": True}
        await bench.admin("POST", "prompts/deploy", deploy)
        plan = {"min_hours": 0, "min_per_arm": 200, "guardrails": {"floor": 0.3}}

        better = {"plan": {"name": "better", "candidate": good, **plan}, "reason": "bench", "skip_evaluation": True}
        await bench.admin("POST", "experiments", better)
        won = await bench.until_ended("better", half, given.at_once)
        production = (await bench.admin("GET", "prompts"))["labels"]["production"]
        print(f"in production: version {production} ({'the better one' if production == good else 'the poor one'})")
        late = await bench.after(half - won["sent"], given.at_once, poor)

        before = bench.seen[f"version {poor}"]
        worse = {"plan": {"name": "worse", "candidate": poor, **plan}, "reason": "bench", "skip_evaluation": True}
        await bench.admin("POST", "experiments", worse)
        lost = await bench.until_ended("worse", half, given.at_once)
        late += await bench.after(half - lost["sent"], given.at_once, poor)
        met = bench.seen[f"version {poor}"] - before
        beyond = max(0.0, met - lost["sent"] / 2) / half
        print(
            f"met the worse candidate: {met} of {half} requests, {lost['sent'] / 2:.0f} of them by the split; "
            f"{beyond:.2%} beyond"
        )
        failed = sum(count for what, count in bench.seen.items() if what.startswith("failed"))
        print(", ".join(f"{what}: {count}" for what, count in sorted(bench.seen.items())))
        seconds = time.monotonic() - begun
        print(f"{sum(bench.seen.values())} requests in {seconds:.0f} s")
        decided = won["outcome"] == "deployed" and production == good and lost["outcome"] == "harm"
        return decided and late == 0 and beyond < _MOST_BEYOND and failed == 0


@contextmanager
def running_server(toml: str) -> Iterator[str]:
    """A server with two web processes and a worker; its address. What it logged is printed at its end."""
    folder, port = Path(tempfile.mkdtemp(prefix="tilores-bench-")), free_port()
    (folder / "plugins.toml").write_text(toml)
    env = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
    env |= {"TILORES_API_KEYS": f"bench:{KEY}", "TILORES_ADMIN_KEYS": f"ops:{KEY}"}
    env |= {"TILORES_DATA_DIR": str(folder / "data"), "TILORES_LOG_LEVEL": "warning"}
    command = [str(Path(sys.executable).with_name("tilores")), "serve", "--port", str(port), "--workers", "2"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
        if said := (folder / "log").read_text():
            print(f"the server's log: {said[-2000:]}")
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="in all")
    parser.add_argument("--at-once", type=int, default=16)
    given = parser.parse_args()
    with running_server(TOML) as url:
        passed = asyncio.run(run(given, url))
    print("passed" if passed else "failed")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
