"""A database of an older schema, migrated by a new server under load, while a server of the old code goes on with it.

    python benchmarks/deploy/bench_upgrade.py                  schemas from 0004 on, each on a SQLite file of its own
    python benchmarks/deploy/bench_upgrade.py --last 1         the last one alone
    python benchmarks/deploy/bench_upgrade.py --database postgresql://user:secret@127.0.0.1:5432/postgres

The old code is the last commit that knew the schema, from this repository's history. Questions arrive at both servers
at a fixed rate, and both make prompt versions. Then the old server is started again, and must not use the database.
Printed are failed requests, complaints of the store in the servers' logs, how long the new server
took until it was ready, and whether everything that was written is there. Exit code 1 when something failed.
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
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from deploy_servers import HEADERS, Server, environment, load

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
    good = not failed and bool(afterwards) and there >= made and not any(complaints.values())
    kind = "PostgreSQL" if database else "SQLite"
    print(
        f"{revision} on {kind}: {answered} answered, {failed} failed, {made} prompts made and {there} there, "
        f"new server ready after {ready:.1f} s, old one afterwards: {afterwards or 'USES IT'}"
    )
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
    parser.add_argument("--database", default="", help="a PostgreSQL server; a database is made for each schema")
    parser.add_argument("--last", type=int, default=100, help="so many schemas, the newest")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=6)
    given = parser.parse_args()
    good = True
    known = [(revision, commit) for revision, commit in sorted(commits().items()) if revision >= FIRST]
    for revision, commit in known[:-1][-given.last :]:
        folder = Path(tempfile.mkdtemp(prefix="tilores-upgrade-"))
        code = folder / "code"
        try:
            code.mkdir()
            archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=True)
            subprocess.run(["tar", "-x", "-C", str(code)], input=archive.stdout, check=True)
            database = asyncio.run(new_database(given.database, f"upgrade_{revision}")) if given.database else ""
            good &= asyncio.run(upgrade(revision, code, folder, database, given))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
