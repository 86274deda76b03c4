"""Real processes that are killed at random moments, and several that start at once."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select

from tilores_core.store.address import Address
from tilores_core.store.jobs import jobs as batch_jobs
from tilores_core.store.migrate import HEAD
from tilores_core.store.store import Store, read_revision

CHILD = Path(__file__).with_name("store_child.py")
ROUNDS = 12


def _url(address: Address) -> str:
    return address.dsn.get_secret_value() or f"sqlite:///{address.path}"


def _run(what: str, count: int, address: Address, seed: int = 0) -> list[str]:
    command = [sys.executable, str(CHILD), what, str(count), str(seed), _url(address)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


async def test_kill_at_any_moment_leaves_a_state_that_starts(address: Address) -> None:
    seed = random.randrange(2**32)
    announced = _run("kill", ROUNDS, address, seed)
    assert announced, f"nothing was written before the kills (seed {seed})"
    store = await Store.open(address)
    try:
        async with store.database.read() as connection:
            kept = set(await connection.scalars(select(batch_jobs.c.id)))
            count = await connection.scalar(select(func.count()).select_from(batch_jobs))
        assert set(announced) <= kept, f"what was announced is gone (seed {seed})"
        # A write and its announcement to the replicas are one: neither is there without the other.
        assert await store.changes.counters() == {"batch": count}, f"seed {seed}"
        await store.jobs.create("afterwards", owner="test")
    finally:
        await store.aclose()
    if address.kind == "sqlite":
        with closing(sqlite3.connect(address.path)) as opened, opened:
            assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_replicas_that_start_at_once_migrate_once(address: Address) -> None:
    _run("open", 6, address)
    assert await read_revision(address) == HEAD
