"""A database of an older schema, migrated by a new server under load, while a server of the old code goes on with it.

    python -m benchmarks.deploy.bench_upgrade                  schemas from 0004 on, on SQLite and on PostgreSQL
    python -m benchmarks.deploy.bench_upgrade --only 0006,0008 --on postgresql
    python -m benchmarks.deploy.bench_upgrade --database postgresql://user:secret@127.0.0.1:5432/postgres
    python -m benchmarks.deploy.bench_upgrade --at-once 1      one schema after the other, for a small machine

The old code is the last commit that knew the schema, from this repository's history. Questions arrive at both servers
at a fixed rate, and both make prompt versions. Then the old server is started again, and must not use the database.
Each schema gets a database of its own: a SQLite file, and one of the server that `--database` names, by default one
that is started here; some schemas are measured at once. Printed is a table: requests that were answered and that
failed, prompt versions that were made and that are there, lines of the servers' logs in which the store complains (of
the old code, of the new), seconds until the new server was ready, what the old code does afterwards. Exit code 1 when
a row fails. That the old code could not read a SQLite file for a moment, and served on from what it knew, fails none:
the old code is as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from benchmarks.deploy.deploy_servers import HEADERS, Server, environment, load

FIRST = "0004"
"""Before it no server had the database open while it answered; tests/store loads dumps of those schemas."""
ROOT = Path(__file__).resolve().parents[2]
MIGRATE = "tilores_core/store/migrate.py"
TOML = """schema = 1
[use]
cache = ["memory"]
source = "demo"
model = "demo:simulated-1"
[plugins.demo-model]
latency_ms = 20
"""
ROW = "{:<8} {:<10} {:>8} {:>6} {:>5} {:>5} {:>10} {:>8}  {:<32} {}"
HEADS = (
    "schema",
    "database",
    "answered",
    "failed",
    "made",
    "there",
    "complaints",
    "ready, s",
    "old code afterwards",
    "",
)


def commits() -> dict[str, str]:
    """Revision -> the last commit whose code knew no later one."""
    found: dict[str, str] = {}
    log = git("log", "--reverse", "--format=%H", "--", "tilores_core/store/migrations/versions", MIGRATE).split()
    for commit in log:
        names = git("ls-tree", "--name-only", commit, "tilores_core/store/migrations/versions/").split()
        revisions = sorted(match[1] for name in names if (match := re.search(r"/r(\d{4})_\w+\.py$", name)))
        if revisions:
            if found and revisions[-1] not in found:  # what came between belongs to the schema before
                found[max(found)] = git("rev-parse", f"{commit}^").strip()
            found[revisions[-1]] = commit
    return found


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True).stdout


async def prompts(http: aiohttp.ClientSession, servers: list[Server], seen: Counter[str], end: asyncio.Event) -> int:
    """Prompt versions, made one after the other by each server in turn; how many."""
    made = 0
    while not end.is_set():
        for server in [one for one in servers if one.ready]:
            body = {"parts": {"answer_style": f"Be brief. ({server.name} {made})"}, "reason": "upgrade"}
            try:
                async with http.post(f"{server.url}/admin/prompts", json=body, headers=HEADERS) as reply:
                    good = reply.status in (200, 201)
                    seen[f"prompts of {server.name}: {reply.status}"] += 1
            except aiohttp.ClientError as error:
                good = False
                seen[f"failed prompts of {server.name}: {type(error).__name__}"] += 1
            made += good
        await asyncio.sleep(0.2)
    return made


async def upgrade(revision: str, code: Path, folder: Path, database: str, given: argparse.Namespace) -> bool:
    (folder / "plugins.toml").write_text(TOML)
    env = environment(folder) | ({"DATABASE_URL": database} if database else {})
    old = Server(folder, "old", env | {"PYTHONPATH": f"{code}{os.pathsep}{code / 'plugins'}"})
    new = Server(folder, "new", env | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"})
    seen: Counter[str] = Counter()
    end = asyncio.Event()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        try:
            await old.start(http)
            making = asyncio.create_task(prompts(http, [old, new], seen, end))
            loading = [asyncio.create_task(load(http, old.url, given.rate, given.seconds * 2, seen, "old"))]
            await asyncio.sleep(given.seconds / 2)
            begun = time.perf_counter()
            await new.start(http)
            ready = time.perf_counter() - begun
            loading.append(asyncio.create_task(load(http, new.url, given.rate, given.seconds, seen, "new")))
            await asyncio.gather(*loading)
            end.set()
            made = await making
            async with http.get(f"{new.url}/admin/prompts?limit=1000", headers=HEADERS) as reply:
                there = len((await reply.json())["versions"])
            complaints = {one.name: complaints_of(one.log) for one in (old, new)}
            await asyncio.to_thread(old.stop)
            afterwards = await start_again(old, http)
        finally:
            await asyncio.to_thread(old.stop)
            await asyncio.to_thread(new.stop)
    failed = sum(count for what, count in seen.items() if what.startswith("failed"))
    answered = sum(count for what, count in seen.items() if what.startswith("answered"))
    complained = "/".join(str(len(lines)) for lines in complaints.values())
    good = not failed and answered > 0 and bool(afterwards) and there >= made > 0 and not complaints["new"]
    kind, verdict = "PostgreSQL" if database else "SQLite", "pass" if good else "FAIL"
    told = (answered, failed, made, there, complained, f"{ready:.1f}", afterwards or "USES THE DATABASE", verdict)
    print(ROW.format(revision, kind, *told), flush=True)
    for what, count in sorted(seen.items()):
        if what.startswith("failed"):
            print(f"  {what}: {count}")
    for name, lines in complaints.items():
        for line in lines[:5]:
            print(f"  log of {name}: {line[:300]}")
    return good


async def start_again(old: Server, http: aiohttp.ClientSession) -> str:
    """What the old code does with the new schema; empty when it uses it."""
    try:
        await old.start(http)
    except RuntimeError as error:
        return "refused, with what to do" if "knows" in str(error) and "DATABASE_URL" in str(error) else ""
    body = {"parts": {"answer_style": "Be brief. (again)"}, "reason": "upgrade"}
    async with http.post(f"{old.url}/admin/prompts", json=body, headers=HEADERS) as reply:
        return "answers without the database" if reply.status not in (200, 201) else ""


def complaints_of(log: Path) -> list[str]:
    """What the store complained of."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if re.search(r"StoreError|store\.\w*failed|not_followed", line)]


async def new_database(server: str, name: str) -> str:
    import asyncpg  # type: ignore[import-untyped]

    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name}")
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=("both", "sqlite", "postgresql"), default="both")
    parser.add_argument("--database", default="", help="a PostgreSQL server; a database is made for each schema")
    parser.add_argument("--only", default="", help="these schemas, by commas")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--at-once", type=int, default=2, help="so many schemas at once, each on its databases")
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    known = sorted((revision, commit) for revision, commit in commits().items() if revision >= FIRST)
    print(ROW.format(*HEADS))
    with ExitStack() as stack:
        servers = ["", server_of(given, stack)] if given.on == "both" else [server_of(given, stack)]
        pool = stack.enter_context(ThreadPoolExecutor(given.at_once))
        wanted = [one for one in known[:-1] if not only or one[0] in only]
        failed = sum(pool.map(lambda one: measure(one[0], one[1], servers, given), wanted))
    print(f"{failed} failed" if failed else "all pass")
    sys.exit(1 if failed else 0)


def server_of(given: argparse.Namespace, stack: ExitStack) -> str:
    """The address of the PostgreSQL server; empty for SQLite alone."""
    if given.on == "sqlite" or given.database:
        return str(given.database)
    from tests.store.postgres_server import PostgresServer

    return stack.enter_context(PostgresServer()).url("postgres")


def measure(revision: str, commit: str, servers: list[str], given: argparse.Namespace) -> int:
    """How many of the databases failed. Their servers share the old code, which is compiled once."""
    folder = Path(tempfile.mkdtemp(prefix="tilores-upgrade-"))
    try:
        (folder / "code").mkdir()
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", str(folder / "code")], input=archive.stdout, check=True)
        return sum(not asyncio.run(measure_on(server, revision, folder, given)) for server in servers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def measure_on(server: str, revision: str, folder: Path, given: argparse.Namespace) -> bool:
    kind = "PostgreSQL" if server else "SQLite"
    try:
        (folder / kind).mkdir()
        database = await new_database(server, f"upgrade_{revision}") if server else ""
        return await upgrade(revision, folder / "code", folder / kind, database, given)
    except Exception as error:  # the others are measured all the same
        print(f"{revision:<8} {kind:<10} FAIL: {type(error).__name__}: {error}", flush=True)
        return False


if __name__ == "__main__":
    main()
