"""A Tilores instance whose token endpoint is down for a minute, while customers are asked for 20 times a second.

    python -m benchmarks.sources.bench_token_outage [--down 60] [--rate 20] [--expires-in 20] [--latency 0.1]

One server with `source = "tilores"` over the tests' instance, each a process of its own on this machine. Every other
request asks for one of ten customers whose answers are cached, the rest for a customer nobody has asked for. The
endpoint works, resets every connection for `--down` seconds, and works again; the token at hand lives `--expires-in`
seconds, so that a part of the outage is survived with it. Printed are, for each phase, how many requests were
answered, refused with 503 or anything else, and how long that took. It ends with an error when a cached customer
failed, when an uncached one met anything but an answer or a 503 within the deadline, or when nothing recovered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
TILORES = Path(sysconfig.get_path("scripts")) / "tilores"
DEADLINE = 2.5
GRACE = 1.0  # what the machine may take beyond it
CACHED = 10
PATIENCE = 40.0
TOML = f"""
schema = 1
[use]
source = "tilores"
cache = ["memory"]
model = "demo:simulated-1"
[plugins.tilores]
timeout_seconds = {DEADLINE}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    cached: bool
    status: int
    seconds: float
    text: str


@contextmanager
def instance(options: argparse.Namespace, crowd: int) -> Iterator[dict[str, str]]:
    """Its addresses; it ends with our end of the pipe."""
    command = [sys.executable, "-m", "tests.tilores_instance", "--crowd", str(crowd)]
    command += ["--latency", str(options.latency), "--expires-in", str(options.expires_in)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@asynccontextmanager
async def server(addresses: dict[str, str], folder: Path) -> AsyncIterator[str]:
    """The address of a server over that instance."""
    (folder / "plugins.toml").write_text(TOML)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
    environment |= {f"TILORES_{name.upper()}": value for name, value in addresses.items() if name != "control_url"}
    environment |= {"TILORES_DATA_DIR": str(folder / "data"), "TILORES_LOG_FORMAT": "json"}
    log = folder / "log.jsonl"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(TILORES), "serve", "--port", "0"], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        began = time.monotonic()
        while not (port := re.search(r"running on http://[^ ]*?:(\d+) ", log.read_text())):
            if process.poll() is not None or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"the server did not start\n{log.read_text()}")
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Load:
    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._next = CACHED

    async def one(self, number: int) -> Asked:
        question = f"What is the balance of bulk{number}@example.com?"
        body = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": question}]}
        began = time.monotonic()
        reply = await self._http.post(f"{self._url}/v1/chat/completions", json=body)
        return Asked(number < CACHED, reply.status_code, time.monotonic() - began, reply.text)

    async def uncached(self) -> Asked:
        self._next += 1
        return await self.one(self._next)

    async def run(self, seconds: float, rate: float) -> list[Asked]:
        """Requests at an even rate, whether those before have been answered or not."""
        began = time.monotonic()
        tasks = []
        for tick in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, began + tick / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self.uncached() if tick % 2 else self.one(tick // 2 % CACHED)))
        return await asyncio.gather(*tasks)


def show(phase: str, asked: Sequence[Asked]) -> None:
    for cached in (True, False):
        some = [one for one in asked if one.cached is cached]
        if not some:
            continue
        statuses = Counter(one.status for one in some)
        others = len(some) - statuses[200] - statuses[503]
        times = sorted(one.seconds * 1000 for one in some)
        print(
            f"{phase:28} {'cached' if cached else 'uncached':9} {len(some):6} {statuses[200]:9} {statuses[503]:6} "
            f"{others:6} {statistics.median(times):9.1f} {times[int(len(times) * 0.99)]:9.1f} {times[-1]:9.1f}"
        )


def faults(asked: Sequence[Asked]) -> list[str]:
    found = []
    if failed := sum(one.status != 200 for one in asked if one.cached):
        found.append(f"{failed} cached requests failed")
    if odd := Counter(one.status for one in asked if not one.cached and one.status not in (200, 503)):
        found.append(f"uncached requests met {dict(odd)}")
    if late := sum(one.seconds > DEADLINE + GRACE for one in asked):
        found.append(f"{late} requests took longer than the deadline")
    return found


async def measure(options: argparse.Namespace, addresses: dict[str, str], url: str) -> list[str]:
    async with httpx.AsyncClient(timeout=PATIENCE) as http:
        load = Load(http, url)

        async def control(**wanted: Any) -> dict[str, Any]:
            reply = await http.post(addresses["control_url"], json=wanted)
            return dict(reply.raise_for_status().json())

        for number in range(CACHED):
            assert (await load.one(number)).status == 200
        heads = ("requests", "answered", "503", "other", "median ms", "p99 ms", "max ms")
        print(
            f"{'phase':28} {'':9} {heads[0]:>6} {heads[1]:>8} {heads[2]:>6} {heads[3]:>6}",
            *(f"{h:>9}" for h in heads[4:]),
        )
        before = await load.run(10, options.rate)
        show("before", before)
        counters = await control(token={"down": True})
        down = await load.run(options.down, options.rate)
        show(f"down for {options.down:g} s", down)
        tries = (await control(token={"down": False}))["token_requests"] - counters["token_requests"]
        back = time.monotonic()
        while (await load.uncached()).status != 200:
            if time.monotonic() - back > PATIENCE:
                return ["uncached customers did not come back"]
            await asyncio.sleep(0.05)
        recovered = time.monotonic() - back
        after = await load.run(10, options.rate)
        show("after", after)
        refused = next((one.text for one in down if one.status == 503), "")
        print(f"\ntoken requests while down: {tries}; uncached customers answered again after {recovered:.2f} s")
        print(f"what a refused caller read: {refused}")
        return faults([*before, *down, *after])


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--down", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--expires-in", type=float, default=20.0, metavar="SECONDS", help="life of a token")
    parser.add_argument("--latency", type=float, default=0.1, metavar="SECONDS", help="of the instance")
    options = parser.parse_args()
    crowd = int((options.down + 60) * options.rate)
    with instance(options, crowd) as addresses, tempfile.TemporaryDirectory() as folder:
        async with server(addresses, Path(folder)) as url:
            found = await measure(options, addresses, url)
    if found:
        raise SystemExit("; ".join(found))


if __name__ == "__main__":
    asyncio.run(main())
