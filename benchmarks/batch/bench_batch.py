"""A batch beside the ideal, beside a bare client and beside a plain loop; what it needs in memory, and after kills.

    .venv/bin/python -m benchmarks.batch.bench_batch --rounds 3
    .venv/bin/python -m benchmarks.batch.bench_batch --only memory --lines 1000000

in flight   1,000 questions that no cache knows, to the demo model at 100 ms: one by one, 5 and 64 in flight, beside
            an ideal that does nothing but wait (as many tasks, each of which sleeps as long as the model). One by
            one is measured over a tenth of the lines, and five over a quarter.
openai      the same through the provider `openai` to `benchmarks/http/stub.py`, beside a bare aiohttp client that
            posts as many bodies of the same size with as many tasks, and beside LangChain's own chat model, as the
            provider makes it, called in as many tasks without engine and batch
cached      lines a second when memory knows every answer, beside a plain loop that does the same look-ups
memory      how much the process grows over so many lines
kills       the command, killed with SIGKILL at five random moments and resumed, beside an undisturbed run
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import uvloop

from tilores_core.jobs.batch import Batch, BatchPlan
from tilores_core.jobs.batch_input import read_batch
from tilores_core.services import Services, load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.loader import parse_config
from tilores_core.worker.batches import line_options, line_processor

STUB = Path(__file__).parents[1] / "http" / "stub.py"
CUSTOMER = "EDW_HAWTHORNE_001"
PARTS = ("in flight", "openai", "cached", "memory", "kills")
_fresh = count()


def write(path: Path, lines: int, *, new: bool = True) -> None:
    mark = f"-{next(_fresh)}" if new else ""
    with path.open("w") as file:
        for n in range(lines):
            question = f"For reference {n}{mark}: what is the credit score?"
            file.write(json.dumps({"id": f"line-{n}", "customer_id": CUSTOMER, "question": question}) + "\n")


@asynccontextmanager
async def services(folder: Path, toml: str) -> AsyncIterator[Services]:
    path = folder / "plugins.toml"
    loaded = LoadedConfig(config=parse_config(toml, path), path=path, packaged=False)
    environment = load_environment(data_dir=folder / "data")
    async with open_services(load_host(environment, loaded=loaded), environment) as opened:
        await opened.engine.warm_up()
        gc.collect()
        gc.freeze()  # as the command does
        yield opened


def make(services: Services, folder: Path, in_flight: int) -> Batch:
    output = folder / "out.jsonl"
    output.unlink(missing_ok=True)
    plan = BatchPlan(source=folder / "in.jsonl", output=output, concurrency=in_flight)
    return Batch(plan, line_processor(services, line_options(services)))


async def run(services: Services, folder: Path, in_flight: int, lines: int) -> float:
    """Seconds. A batch with failures is no measurement."""
    batch = make(services, folder, in_flight)
    gc.collect()
    begun = time.perf_counter()
    totals = await batch.run()
    seconds = time.perf_counter() - begun
    if totals.lines != lines or totals.failed:
        sys.exit(f"{totals}: that is not {lines} answers")
    return seconds


async def in_tasks(lines: int, in_flight: int, do: Callable[[], Awaitable[object]]) -> float:
    """Seconds that `in_flight` plain tasks need for so many."""
    left = iter(range(lines))

    async def work() -> None:
        for _ in left:
            await do()

    gc.collect()
    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    return time.perf_counter() - begun


def shown(name: str, found: list[float], unit: str = "s") -> None:
    print(
        f"  {name:<34} {statistics.median(found):10.3f} {unit}   ({min(found):.3f} to {max(found):.3f})", flush=True
    )


# --- in flight ------------------------------------------------------------------------------------------------


async def flights(folder: Path, given: argparse.Namespace) -> None:
    toml = f'[use]\ncache = ["memory"]\n[plugins.demo-model]\nlatency_ms = {given.latency_ms}\n'
    pause, lines = given.latency_ms / 1000, given.lines or 1000
    one, five, many, ideal = [], [], [], []
    async with services(folder, toml) as opened:
        write(folder / "in.jsonl", 200)
        await run(opened, folder, 64, 200)  # what is done once is done
        cpu: list[float] = []
        for _ in range(given.rounds):
            write(folder / "in.jsonl", lines // 10)
            one.append(await run(opened, folder, 1, lines // 10) * 10)
            write(folder / "in.jsonl", lines // 4)
            five.append(await run(opened, folder, 5, lines // 4) * 4)
            write(folder / "in.jsonl", lines)
            ideal.append(await in_tasks(lines, 64, lambda: asyncio.sleep(pause)))
            before = time.process_time()
            many.append(await run(opened, folder, 64, lines))
            cpu.append(time.process_time() - before)
    print(f"\n{lines} questions of {given.latency_ms} ms, median of {given.rounds} rounds")
    for name, found in (("one by one", one), ("5 in flight", five), ("64 in flight", many), ("ideal, 64", ideal)):
        shown(name, found)
    shown("64 in flight, processor", cpu)
    alone, together = statistics.median(one), statistics.median(many)
    print(f"  -> 5: {alone / statistics.median(five):.2f} times as fast as one by one")
    over = 100 * (together / statistics.median(ideal) - 1)
    print(f"  -> 64: {alone / together:.1f} times, {over:.1f} % over the ideal")


# --- through a provider -----------------------------------------------------------------------------------------


@asynccontextmanager
async def stub(latency_ms: float) -> AsyncIterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(STUB), str(port)])
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/set?latency_ms={latency_ms}", timeout=1).read()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def through_openai(folder: Path, given: argparse.Namespace) -> None:
    lines = given.lines or 1000
    async with stub(given.latency_ms) as address:
        os.environ["OPENAI_API_KEY"], os.environ["OPENAI_BASE_URL"] = "sk-benchmark", f"{address}/v1"
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the credit score? " * 100}]}
        toml = '[use]\ncache = ["memory"]\nmodel = "openai:gpt-4o-mini"\n'
        ours, bare, chain = [], [], []
        ours_cpu, chain_cpu = [], []
        connector = aiohttp.TCPConnector(limit=128)
        async with services(folder, toml) as opened, aiohttp.ClientSession(connector=connector) as session:

            async def post() -> None:
                async with session.post(f"{address}/v1/chat/completions", json=body) as reply:
                    if not (await reply.json())["choices"]:
                        sys.exit("no answer")

            chat = await opened.engine.models.chat_model("openai:gpt-4o-mini", {})
            write(folder / "in.jsonl", 200)
            await run(opened, folder, 64, 200)
            await in_tasks(200, 64, post)
            for _ in range(given.rounds):
                write(folder / "in.jsonl", lines)
                before = time.process_time()
                ours.append(await run(opened, folder, 64, lines))
                ours_cpu.append(time.process_time() - before)
                bare.append(await in_tasks(lines, 64, post))
                before = time.process_time()
                chain.append(await in_tasks(lines, 64, lambda: chat.ainvoke("What is the credit score? " * 100)))
                chain_cpu.append(time.process_time() - before)
    print(f"\n{lines} calls of {given.latency_ms} ms through openai, 64 in flight, median of {given.rounds} rounds")
    shown("batch", ours)
    shown("batch, processor", ours_cpu)
    shown("LangChain's chat model alone", chain)
    shown("LangChain's alone, processor", chain_cpu)
    shown("bare aiohttp", bare)
    ratio = statistics.median(bare) / statistics.median(ours)
    print(f"  -> the batch has {ratio:.2f} of the bare client's speed")
    print(
        f"  -> and {statistics.median(chain) / statistics.median(ours):.2f} of that of LangChain's chat model alone"
    )


# --- cached -----------------------------------------------------------------------------------------------------


async def cached(folder: Path, given: argparse.Namespace) -> None:
    lines = given.lines or 5000
    ours, cpu, plain = [], [], []
    async with services(folder, '[use]\ncache = ["memory"]\n') as opened:
        write(folder / "in.jsonl", lines)
        await run(opened, folder, 64, lines)
        work = line_processor(opened, line_options(opened))
        for _ in range(given.rounds * 2):
            before = time.process_time()
            ours.append(lines / await run(opened, folder, 64, lines))
            cpu.append(lines / (time.process_time() - before))
            wanted = list(read_batch(folder / "in.jsonl"))
            gc.collect()
            begun = time.perf_counter()
            if not all(work.try_cached(line) for line in wanted):
                sys.exit("memory does not know all")
            plain.append(lines / (time.perf_counter() - begun))
    print(f"\n{lines} lines, all known, median of {given.rounds * 2} rounds")
    shown("batch", ours, "lines/s")
    shown("batch, of the processor's seconds", cpu, "lines/s")
    shown("the look-ups alone", plain, "lines/s")
    print(f"  -> reading, order and writing leave {statistics.median(ours) / statistics.median(plain):.2f} of that")


# --- memory -----------------------------------------------------------------------------------------------------


async def memory(folder: Path, given: argparse.Namespace) -> None:
    lines = given.lines or 100_000
    toml = '[use]\ncache = ["memory"]\n[plugins.memory]\nmax_entries = 10000\n[chat]\ngrounding = "off"\n'
    async with services(folder, toml) as opened:
        write(folder / "in.jsonl", 3000)
        await run(opened, folder, 64, 3000)
        with (folder / "in.jsonl").open("w") as file:  # every other question comes again, half of the batch later
            for n in range(lines):
                question = f"For reference {n % (lines // 2)}: what is the credit score?"
                file.write(json.dumps({"id": f"line-{n}", "customer_id": CUSTOMER, "question": question}) + "\n")
        before = _resident()
        batch = make(opened, folder, 64)
        running = asyncio.create_task(batch.run())
        most, told, begun = before, 0, time.perf_counter()
        while not running.done():
            await asyncio.wait({running}, timeout=0.5)
            most = max(most, _resident())
            if batch.totals.lines >= told + lines // 10:
                told = batch.totals.lines
                print(f"  {told:>9} lines  +{(_resident() - before) / 2**20:.1f} MiB", flush=True)
        totals, seconds = running.result(), time.perf_counter() - begun
    print(f"\n{totals.lines} lines in {seconds:.0f} s, {totals.repeated} repeated, {totals.cached} from the cache")
    print(f"  -> {before / 2**20:.0f} MiB before, at most {(most - before) / 2**20:.1f} MiB more")
    print(f"  -> the system's own peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# --- kills ------------------------------------------------------------------------------------------------------


async def kills(folder: Path, given: argparse.Namespace) -> None:
    lines = given.lines or 1000
    (folder / "plugins.toml").write_text('[use]\ncache = ["memory"]\n[plugins.demo-model]\nlatency_ms = 100\n')
    write(folder / "in.jsonl", lines)
    tilores = str(Path(sys.executable).parent / "tilores")

    def start(output: str, *more: str) -> subprocess.Popen[bytes]:
        words = [tilores, "batch", "in.jsonl", output, "--concurrency", "16", *more]
        environment = {**os.environ, "TILORES_DATA_DIR": str(folder / "data")}
        return subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL)

    if start("undisturbed.jsonl").wait():
        sys.exit("the undisturbed run failed")
    killed = folder / "killed.jsonl"
    moments = []
    for _ in range(5):
        there = killed.read_bytes().count(b"\n") if killed.exists() else 0
        child = start("killed.jsonl", "--resume")
        until = there + random.randrange(5, lines // 6)
        while child.poll() is None and (not killed.exists() or killed.read_bytes().count(b"\n") < until):
            time.sleep(random.uniform(0, 0.02))
        child.kill()
        child.wait()
        moments.append(killed.read_bytes().count(b"\n"))
    if code := start("killed.jsonl", "--resume").wait():
        failed = [line for line in killed.read_text().splitlines() if '"error"' in line]
        sys.exit(f"the last run ended with {code}; lines that failed: {failed[:3]}")
    ids = [
        [json.loads(line)["id"] for line in (folder / name).read_text().splitlines()]
        for name in ("undisturbed.jsonl", "killed.jsonl")
    ]
    print(f"\n{lines} lines, killed after {', '.join(map(str, moments))}")
    print(f"  -> the same ids: {set(ids[0]) == set(ids[1])}, each once: {len(ids[1]) == len(set(ids[1]))}, "
          f"in the same order: {ids[0] == ids[1]}")  # fmt: skip


WHAT = dict(zip(PARTS, (flights, through_openai, cached, memory, kills), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=int, default=100)
    parser.add_argument("--lines", type=int, default=0, help="default: what the part says")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be repeated; default all")
    given = parser.parse_args()
    for part in given.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(WHAT[part](Path(folder), given))


if __name__ == "__main__":
    main()
