"""A regression that is deployed on purpose: does a running server notice it, and roll it back by itself?

    python -m benchmarks.release.bench_live_regression

Two web processes and a worker, a simulated model, HTTP. A good prompt is in production until its live windows have
enough scores; then a poor one is deployed without an evaluation, while callers go on asking. Printed are the requests
and seconds until the good one is back. Live scoring may take a fifth of a core, and the worker looks every second;
windows have five minutes, and are written every ten seconds, as always.

Exit code 1 when the monitor has not put it back within `--seconds`, a request fails, or the alert or the
entry in the audit log is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

import aiohttp

from benchmarks.release.bench_live_experiment import GOOD, POOR, TOML, Bench, running_server
from benchmarks.servers import wait_until_ready

AFTER = 512


async def ask_until(bench: Bench, rate: float, seconds: float, *, scored: tuple[int, int] | None) -> bool:
    """Ask until the version has so many scores (`scored`: version, scores), or until production is another one.
    Requests begin at a fixed rate."""
    begun, looked = time.monotonic(), 0.0
    asking: set[asyncio.Task[None]] = set()
    number = 0
    while (now := time.monotonic()) < begun + seconds:
        asking.add(task := asyncio.create_task(bench.ask()))
        task.add_done_callback(asking.discard)
        number += 1
        if now - looked > 1.0:
            looked = now
            if await _is_done(bench, scored):
                break
        await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
    await asyncio.gather(*asking)
    return await _is_done(bench, scored)


async def _is_done(bench: Bench, scored: tuple[int, int] | None) -> bool:
    if scored is None:
        entries: list[dict[str, Any]] = await bench.admin("GET", "prompts/history?limit=1")
        return bool(entries[0]["action"] == "prompts.rollback")
    version, least = scored
    rows: list[dict[str, Any]] = await bench.admin("GET", "experiments/performance?hours=1")
    mine = [row for row in rows if row["prompt_version"].startswith(f"{version}-")]
    answers: int = sum(row["turns"] for row in mine if row["quality"] is not None)
    return answers >= least


async def run(given: argparse.Namespace, url: str) -> bool:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:
        bench = Bench(http, url)
        await wait_until_ready(http, url)
        good, poor = await bench.version(GOOD), await bench.version(POOR)
        deploy = {"reason": "bench", "skip_evaluation": True}
        await bench.admin("POST", "prompts/deploy", {**deploy, "version": good})
        if not await ask_until(bench, given.rate, given.seconds, scored=(good, given.before)):
            print("the good version has too few scores")
            return False
        print(f"before: version {good} in production, {bench.seen[f'version {good}']} answers")
        begun, before = time.monotonic(), sum(bench.seen.values())
        await bench.admin("POST", "prompts/deploy", {**deploy, "version": poor})
        back = await ask_until(bench, given.rate, given.seconds, scored=None)
        seconds, asked = time.monotonic() - begun, sum(bench.seen.values()) - before
        met = bench.seen[f"version {poor}"]
        entry = (await bench.admin("GET", "prompts/history?limit=1"))[0]
        for row in await bench.admin("GET", "experiments/performance?hours=1"):
            print(f"  version {row['prompt_version']}: {row['turns']} turns, quality {row['quality'] or 0:.3f}")
        await asyncio.sleep(1.0)  # other web processes follow within a second
        await bench.ask_many(AFTER, 8)
        late = bench.seen[f"version {poor}"] - met
        alerts: set[str] = set()
        for _ in range(30):  # the worker writes it just after the entry in the audit log
            alerts = {alert["kind"] for alert in (await bench.admin("GET", "alerts"))["alerts"]}
            if "prompt.regression" in alerts:
                break
            await asyncio.sleep(1.0)
        failed = sum(count for what, count in bench.seen.items() if what.startswith("failed"))
        print(f"regression: rolled back {back} after {asked} requests ({met} met it), {seconds:.1f} s")
        print(f"audit: {entry['actor']} {entry['action']}: {entry['reason']}")
        print(f"alerts: {', '.join(sorted(alerts))}; met it after that: {late} of {AFTER}; failed: {failed}")
        return back and entry["actor"] == "monitor" and "prompt.regression" in alerts and late == failed == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=25, help="requests a second")
    parser.add_argument("--before", type=int, default=300, help="answers of the good version before the deployment")
    parser.add_argument("--seconds", type=float, default=180, help="most seconds of each of the two parts")
    given = parser.parse_args()
    with running_server(TOML.replace("roll_back = false", "roll_back = true")) as url:
        passed = asyncio.run(run(given, url))
    print("passed" if passed else "failed")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
