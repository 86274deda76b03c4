"""A pre-warmed customer's first question, 50 a second, with and without a batch of 10,000 on the same server.

    python -m benchmarks.prewarm.bench_first_question [--rounds 3] [--batch-customers 500] [--nice -15]
        [--worker-nice 19]

A server with its worker process and its embedded Redis on one core, this program on another; rounds of each kind by
turns. Before each round everything is removed from the cache and warmed again by `POST /admin/prewarm`, so that every
request is the first of its customer and question since; half of them speak LangServe's protocol, half OpenAI's. They
are sent at an even rate, whether those before have been answered or not, and timed from when they were due; this
program spins until then, as a timer would be late. A round with a batch begins when the batch runs, and counts only
what was due before it ended; a batch that lasts longer is cancelled then. It is sent to `POST /admin/batch` and asks
the demo model, made to take 100 ms, about as many different things. What client and machine cost is shown by a third
kind of round: the same requests to a bare FastAPI route on the same core, whose reply is of the same size; and behind
each p99 stands what share of that round's time a hypervisor gave to others.

It ends with an error when a reply was no answer, or when more than one in a hundred did not come from memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

TILORES = Path(sysconfig.get_path("scripts")) / "tilores"
REFERENCE = Path(__file__).parents[1] / "http"
PATIENCE = 60.0
TARGET_MS = 5.0
TOML = """
schema = 1
[use]
source = "demo"
cache = ["memory", "redis"]  # the worker process shares what it makes through Redis
model = "demo:simulated-1"
[plugins.memory]
max_entries = 200000  # the batch's answers must not push out what was warmed
max_bytes = 1000000000
[plugins.demo-model]
latency_ms = 100
[prewarm]
file = "plan.json"
[worker]
nice = %d
"""
QUESTIONS = (
    "What is the credit score?",
    "Where does this customer live?",
    "What is the email?",
    "How old is the account?",
)


@dataclass(frozen=True, slots=True)
class Asked:
    due: float
    seconds: float
    tier: str


def stolen_seconds() -> float:
    """For how long other machines have had this one's processors (proc(5): `steal`), 0 where that is not told."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


@contextmanager
def running(
    command: Sequence[str], folder: Path, core: int | None, log: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """The address of a server, from what it writes in its log."""
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        began = time.monotonic()
        while not (port := re.search(r"running on http://[^ ]*?:(\d+) ", log.read_text())):
            if process.poll() is not None or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"the server did not start\n{log.read_text()}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port[1]}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def server(folder: Path, core: int | None, worker_nice: int) -> Iterator[str]:
    (folder / "plugins.toml").write_text(TOML % worker_nice)
    (folder / "plan.json").write_text('{"concurrency": 48}')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TILORES_")}
    environment |= {"TILORES_DATA_DIR": str(folder / "data"), "TILORES_LOG_FORMAT": "json"}
    environment["TILORES_ADMIN_KEYS"] = "bench:bench-admin"
    with running([str(TILORES), "serve", "--port", "0"], folder, core, folder / "log.jsonl", environment) as url:
        yield url


@contextmanager
def bare_server(folder: Path, core: int | None) -> Iterator[str]:
    command = [sys.executable, "-m", "uvicorn", "reference:app", "--port", "0", "--no-access-log"]
    with running(command, REFERENCE, core, folder / "bare.log", {**os.environ, "VARIANT": "bare_fastapi"}) as url:
        yield url


def customers(wanted: int) -> list[str]:
    from tilores_plugins.sources.demo.people import build_people

    return [person.id for person in build_people()][:wanted]


class Bench:
    def __init__(self, http: aiohttp.ClientSession, url: str, bare: str, options: argparse.Namespace) -> None:
        self._http = http
        self._url = url
        self._bare = bare
        self._options = options
        ids = customers(min(500, options.questions))
        self._ids = ids
        each = -(-options.questions // len(ids))
        if each > len(QUESTIONS):
            raise SystemExit(f"at most {len(ids) * len(QUESTIONS)} first questions can be asked")
        self._pairs = [(one, question) for question in QUESTIONS[:each] for one in ids][: options.questions]
        self._asked = QUESTIONS[:each]
        self._line = 0
        self.stolen = 0.0
        """Of the last round's time."""

    async def warm(self) -> None:
        for namespace in ("answers", "wire"):
            await self._post("/admin/cache/invalidate", {"namespace": namespace})
        listed = {
            "name": "bench",
            "customers": [{"customer_id": one} for one in self._ids],
            "questions": [*self._asked],
        }
        run = (await self._post("/admin/prewarm", {"plan": {"lists": [listed]}}))["run"]
        while (stats := (await self._get("/admin/prewarm"))["runs"][run]) is None:
            await asyncio.sleep(0.2)
        if stats["failed"]:
            raise SystemExit(f"not all could be warmed: {stats}")

    async def round(self, *, batch: bool) -> tuple[list[Asked], float]:
        """The requests, and how many lines a second the batch did meanwhile."""
        await self.warm()
        job = await self._begin_batch() if batch else None
        began = time.monotonic()
        asking = asyncio.create_task(self._ask_all(self._url, began))
        ended, lines = float("inf"), 0
        if job is not None:
            ended, lines = await self._follow(job, asking)
        asked = await asking
        within = [one for one in asked if one.due < ended]
        return within, lines / (min(ended, time.monotonic()) - began) if job is not None else 0.0

    async def floor(self) -> list[Asked]:
        return await self._ask_all(self._bare, time.monotonic())

    async def _ask_all(self, url: str, began: float) -> list[Asked]:
        tasks = []
        stolen = stolen_seconds()
        for number, (customer, question) in enumerate(self._pairs):
            due = began + number / self._options.rate
            while time.monotonic() < due:
                await asyncio.sleep(0)  # a timer would be late by a millisecond or two
            tasks.append(
                asyncio.create_task(
                    self._ask(url, customer, question, due, langserve=number % 2 == 0 or url == self._bare)
                )
            )
        asked = [await task for task in tasks]
        self.stolen = (stolen_seconds() - stolen) / (time.monotonic() - began)
        return asked

    async def _ask(self, url: str, customer: str, question: str, due: float, *, langserve: bool) -> Asked:
        if langserve:
            body: Any = {"input": question, "config": {"configurable": {"customer_id": customer}}}
            path = "/chat/invoke"
        else:
            messages = [{"role": "user", "content": question}]
            body = {"model": "demo:simulated-1", "messages": messages, "metadata": {"customer_id": customer}}
            path = "/v1/chat/completions"
        async with self._http.post(url + path, json=body) as reply:
            text = await reply.text()
            if reply.status != 200:
                raise SystemExit(f"{path}: status {reply.status}: {text[:300]}")
            return Asked(due, time.monotonic() - due, reply.headers.get("X-Tilores-Cache", ""))

    async def _begin_batch(self) -> str:
        lines = []
        for _ in range(self._options.lines):
            self._line += 1
            customer = self._ids[self._line % min(len(self._ids), self._options.batch_customers)]
            lines.append(
                json.dumps({"question": f"For note {self._line}: what is the credit limit?", "customer_id": customer})
            )
        headers = {"Content-Type": "application/x-ndjson"}
        async with self._http.post(
            f"{self._url}/admin/batch", data="\n".join(lines).encode(), headers=headers
        ) as reply:
            if reply.status == 404:
                raise SystemExit("this server has no POST /admin/batch; --lines 0 measures without a batch")
            if reply.status >= 300:
                raise SystemExit(f"/admin/batch: status {reply.status}: {(await reply.text())[:300]}")
            job: str = (await reply.json())["id"]
        while (await self._get(f"/admin/batch/{job}"))["state"] == "queued":
            await asyncio.sleep(0.02)
        return job

    async def _follow(self, job: str, asking: asyncio.Task[list[Asked]]) -> tuple[float, int]:
        """When the batch ended, if it did while questions were asked, and how many lines it had done."""
        while True:
            told = await self._get(f"/admin/batch/{job}")
            if told["state"] == "done":
                return time.monotonic(), self._options.lines
            if told["state"] not in ("queued", "running"):
                raise SystemExit(f"the batch ended as {told['state']}: {told}")
            if asking.done():
                async with self._http.delete(f"{self._url}/admin/batch/{job}") as reply:
                    reply.raise_for_status()
                return float("inf"), round(told["totals"].get("lines", 0))
            await asyncio.sleep(0.25)

    async def _get(self, path: str) -> Any:
        async with self._http.get(self._url + path) as reply:
            reply.raise_for_status()
            return await reply.json()

    async def _post(self, path: str, body: Any) -> Any:
        async with self._http.post(self._url + path, json=body) as reply:
            if reply.status >= 300:
                raise SystemExit(f"{path}: status {reply.status}: {(await reply.text())[:300]}")
            return await reply.json()


def quantile(asked: list[Asked], share: float) -> float:
    ordered = sorted(one.seconds for one in asked)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


def show(name: str, rounds: list[list[Asked]], stolen: list[float], rates: list[float]) -> float:
    p99 = statistics.median(quantile(asked, 0.99) for asked in rounds)
    tiers = Counter(one.tier for asked in rounds for one in asked)
    total = sum(tiers.values())
    print(
        f"{name:16} {total:6} requests  p50 {statistics.median(quantile(a, 0.5) for a in rounds):6.2f} ms  "
        f"p95 {statistics.median(quantile(a, 0.95) for a in rounds):6.2f} ms  p99 {p99:6.2f} ms "
        f"({', '.join(f'{quantile(a, 0.99):.2f} {share:.0%}' for a, share in zip(rounds, stolen, strict=True))})  "
        f"max {max(quantile(a, 1.0) for a in rounds):6.1f} ms  {dict(tiers)}"
        + (f"  batch {statistics.median(rates):.0f} lines/s" if any(rates) else "")
    )
    if not tiers[""] and tiers["l1"] < 0.99 * total:
        raise SystemExit("too few came from memory")
    return p99


async def main(options: argparse.Namespace) -> None:
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1 and shutil.which("taskset") is not None
    if apart:
        os.sched_setaffinity(0, {cores[1]})
    if options.nice:
        os.nice(options.nice)  # the server inherits it
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    core = cores[0] if apart else None
    with (
        tempfile.TemporaryDirectory() as folder,
        server(Path(folder), core, options.worker_nice) as url,
        bare_server(Path(folder), core) as bare,
    ):
        connector = aiohttp.TCPConnector(limit=64)
        headers = {"Authorization": "Bearer bench-admin"}
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, headers=headers) as http:
            bench = Bench(http, url, bare, options)
            rounds: dict[str, list[list[Asked]]] = {"floor": [], "alone": [], "beside": []}
            stolen: dict[str, list[float]] = {kind: [] for kind in rounds}
            rates: list[float] = []
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                for kind in rounds:
                    if kind == "floor":
                        asked = await bench.floor()
                    elif kind == "alone" or options.lines:
                        asked, rate = await bench.round(batch=kind == "beside")
                        rates += [rate] if kind == "beside" else []
                    else:
                        continue
                    rounds[kind].append(asked)
                    stolen[kind].append(bench.stolen)
    print(f"{options.rate:g} first questions a second, server and load on {'a core each' if apart else 'any core'}")
    least = show("bare FastAPI", rounds["floor"], stolen["floor"], [])
    p99 = show("without a batch", rounds["alone"], stolen["alone"], [])
    if rounds["beside"]:
        with_batch = show("beside a batch", rounds["beside"], stolen["beside"], rates)
        good = "below" if with_batch < TARGET_MS else "NOT below"
        print(
            f"p99 beside a batch is {with_batch / p99:.1f} x that without, "
            f"{with_batch / least:.1f} x the bare route's, and {good} {TARGET_MS:g} ms"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--batch-customers", type=int, default=500, help="whom the batch asks about")
    parser.add_argument("--nice", type=int, default=0, help="-15 on a machine that others use too")
    parser.add_argument("--worker-nice", type=int, default=19, help="[worker] nice")
    parser.add_argument("--lines", type=int, default=10_000, help="of the batch; 0: none")
    sys.exit(asyncio.run(main(parser.parse_args())))
