"""A whole loop on live traffic: a poor prompt in production, a cycle, its guarded roll-out, and the cycle's end.

    python -m benchmarks.improve.bench_rollout [--seconds 330] [--at-once 6]

Two web processes and a worker run; `tilores improve run` finds better instructions for `demo:simulated-verbose` by
the mock strategy, decides on held-out questions, and begins a guarded roll-out (1, 5, 25, 50, 100 % of the sessions)
with steps that wait for scored answers alone. It ends by itself within `--seconds`. Pass: the cycle decided to deploy
and the command returned before the roll-out ended, every step was taken, the better version is in production, the
cycle says so, and no request failed. Exit code 1 otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.improve.bench_healing import HEADERS, Bench, Server
from benchmarks.servers import wait_until_ready
from tilores_core.release.experiments.plan import ROLLOUT_STEPS
from tilores_core.testing.optimizers import PARTS

MODEL = "demo:simulated-verbose"
SETTINGS = """[improve]
models = ["demo:simulated-verbose"]
rollout_hours = 0
rollout_step_hours = 0
min_gain = 0.005
[experiments]
look_seconds = 1
[monitor]
roll_back = false
"""


async def run_command(server: Server, *words: str) -> Any:
    command = [str(Path(sys.executable).with_name("tilores")), "improve", *words, "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=server.folder, env=server.env, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit code {process.returncode}")
    return json.loads(said)


async def follow_events(http: aiohttp.ClientSession, url: str, counted: dict[str, int]) -> None:
    async with http.get(f"{url}/admin/improvement/events", headers=HEADERS, timeout=aiohttp.ClientTimeout()) as reply:
        async for line in reply.content:
            if line.startswith(b"event: "):
                name = line.decode().removeprefix("event: ").strip()
                counted[name] = counted.get(name, 0) + 1


async def run(given: argparse.Namespace) -> bool:
    server, end = Server(MODEL, 1, SETTINGS, workers=2), time.monotonic() + given.seconds
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
            await wait_until_ready(http, server.url)
            bench = Bench(http, server.url, MODEL, given.at_once)
            body = {"parts": dict(PARTS), "reason": "a poor prompt", "parent": 1}
            poor = (await bench.admin("POST", "prompts", body))["version"]
            await bench.admin("POST", "prompts/deploy", {"version": poor, "reason": "bench", "skip_evaluation": True})
            events: dict[str, int] = {}
            following = asyncio.create_task(follow_events(http, server.url, events))
            begun = time.monotonic()
            done = await run_command(server, "run", "--strategy", "mock", "--seed", "1")
            decision = done["phases"]["validation"]["decision"]
            took = time.monotonic() - begun
            print(f"cycle {done['id']}: {decision['outcome']} after {took:.0f} s, {done['calls']} calls", flush=True)
            print(f"  {decision['reasons'][0]}; {done['phases']['recommendations']['done']}", flush=True)
            if done["state"] != "rolling out":
                return False
            name, begun = done["phases"]["recommendations"]["rollout"], time.monotonic()
            over, weights = asyncio.Event(), [0.0]
            loading = asyncio.create_task(bench.load(over))
            shown = done
            while shown["state"] == "rolling out" and time.monotonic() < end:
                await asyncio.sleep(0.5)
                found = await bench.admin("GET", f"experiments/runs/{name}")
                if found["weights"] != weights:
                    weights = found["weights"]
                    seen = f"{time.monotonic() - begun:.0f} s, {bench.sent} requests"
                    scored = found["verdict"].get("scored", {}).get("candidate", 0)
                    print(f"  {weights[-1]:.0%} after {seen}, {scored:.0f} scored of the candidate", flush=True)
                shown = await bench.admin("GET", f"improvement/cycles/{done['id']}")
            over.set()
            await loading
            following.cancel()
            rollout = shown["phases"].get("rollout", {"steps": weights, "outcome": "not over in time"})
            production = (await bench.admin("GET", "prompts"))["labels"]["production"]
            print(f"roll-out: {rollout['outcome']} after {time.monotonic() - begun:.0f} s, {bench.sent} requests")
            print(f"  steps {rollout['steps']}, means {rollout.get('means')}, {rollout.get('reason')}")
            print(
                f"in production: version {production} (was {poor}); {bench.failed} requests failed; events {events}"
            )
            moved = rollout["outcome"] == "deployed" and tuple(rollout["steps"]) == ROLLOUT_STEPS
            return bool(moved and production == done["version"] and not bench.failed)
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=330)
    parser.add_argument("--at-once", type=int, default=6)
    passed = asyncio.run(run(parser.parse_args()))
    print("pass" if passed else "FAIL")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
