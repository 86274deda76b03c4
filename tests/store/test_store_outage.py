"""When the database is away, slow, locked or wrong: an error of ours in time, with what to do and no secret."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import traceback
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import text

from tests.store.postgres_server import PASSWORD, NewAddress, PostgresServer
from tilores_core.cache.tiered import TieredCache
from tilores_core.contracts import ExperimentArm, Outcome, Turn
from tilores_core.errors import ConfigError, StoreError, StoreUnavailableError
from tilores_core.quality.live import LiveQuality
from tilores_core.release.experiments.assignment import Assignment, ExperimentRecorder
from tilores_core.store.address import Address, store_address
from tilores_core.store.database import Limits
from tilores_core.store.lazy import LazyStore
from tilores_core.store.store import Store, read_revision


@contextmanager
def impatient(store: Store) -> Iterator[None]:
    """No other moment needs short limits, which a slow machine would not keep to."""
    usual = store.database.limits
    store.database.limits = replace(usual, call=0.5)
    yield
    store.database.limits = usual


def _whole(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_a_server_that_goes_and_comes_back(postgres: PostgresServer, new_address: NewAddress) -> None:
    address = new_address("postgresql")
    store = await Store.open(address)
    try:
        await store.changes.bump("x")
        postgres.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=r"cannot be reached|broke off|does not answer") as caught:
                await store.changes.counters()
            assert PASSWORD not in _whole(caught.value)
            assert caught.value.fix == "start it, or correct DATABASE_URL"
            assert caught.value.retry_after > 0
        with pytest.raises(StoreUnavailableError):
            await store.changes.bump("x")
        with pytest.raises(StoreUnavailableError):
            await Store.open(address)
        postgres.start()
        await store.changes.bump("x")
        assert await store.changes.counters() == {"x": 2}
    finally:
        await store.aclose()


async def test_a_server_that_answers_nothing(postgres: PostgresServer, new_address: NewAddress) -> None:
    store = await Store.open(new_address("postgresql"))
    try:
        await store.changes.bump("x")
        with postgres.frozen(), impatient(store):
            async with asyncio.timeout(60):
                with pytest.raises(StoreUnavailableError):
                    await store.changes.counters()
                with pytest.raises(StoreUnavailableError):
                    await store.changes.bump("x")
        assert (await store.changes.counters())["x"] in {1, 2}  # a write that was not answered may have been done
    finally:
        await store.aclose()


async def test_a_lock_that_another_program_holds(address: Address) -> None:
    store, other = await Store.open(address, Limits(lock=0.2)), await Store.open(address)
    try:
        async with other.database.write() as connection:
            if address.kind == "postgresql":
                await connection.execute(text("LOCK TABLE tilores_changes"))
            with pytest.raises(StoreUnavailableError):
                await store.changes.bump("x")
        await store.changes.bump("x")
        assert await store.changes.counters() == {"x": 1}
    finally:
        await asyncio.gather(store.aclose(), other.aclose())


async def test_the_deadline_is_for_the_whole_transaction(address: Address) -> None:
    store = await Store.open(address)

    async def dawdle() -> None:
        async with store.database.write(seconds=0.1) as connection:
            await connection.execute(text("INSERT INTO tilores_changes VALUES ('slow', 1)"))
            await asyncio.sleep(30)

    try:
        with pytest.raises(StoreUnavailableError, match="does not answer in time"):
            await dawdle()
        assert await store.changes.counters() == {}
    finally:
        await store.aclose()


async def test_who_is_cancelled_leaves_nothing_behind(address: Address) -> None:
    store = await Store.open(address, Limits(connections=2))
    reached = asyncio.Event()

    async def dawdle() -> None:
        async with store.database.write(seconds=60) as connection:
            await connection.execute(text("INSERT INTO tilores_changes VALUES ('slow', 1)"))
            reached.set()
            await asyncio.sleep(30)

    try:
        for _ in range(3):  # more than there are connections
            reached.clear()
            task = asyncio.create_task(dawdle())
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await store.changes.counters() == {}
    finally:
        await store.aclose()


async def test_connections_are_bounded(address: Address) -> None:
    store = await Store.open(address, Limits(connections=2))
    try:
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(store.database.read(seconds=60))
            with impatient(store), pytest.raises(StoreUnavailableError):
                await store.changes.counters()
        assert await store.changes.counters() == {}
    finally:
        await store.aclose()


async def test_waiting_writers_are_served_in_turn(address: Address) -> None:
    store = await Store.open(address)
    try:
        await asyncio.gather(*(store.changes.bump("x") for _ in range(50)))
        assert await store.changes.counters() == {"x": 50}
    finally:
        await store.aclose()


async def test_a_wrong_password_or_name(postgres: PostgresServer, tmp_path: Path) -> None:
    secret = "s3cret-and-wrong"
    cases = {
        postgres.url("postgres", password=secret): "refuses the user",
        postgres.url("nowhere"): "has no such database",
    }
    for url, said in cases.items():
        for attempt in (Store.open, read_revision):
            with pytest.raises(StoreError, match=said) as caught:
                await attempt(store_address(url, tmp_path))
            assert not isinstance(caught.value, StoreUnavailableError)
            assert "DATABASE_URL" in (caught.value.fix or "")
            assert secret not in _whole(caught.value)
            assert PASSWORD not in _whole(caught.value)


async def test_nobody_at_that_address(tmp_path: Path) -> None:
    address = store_address("postgresql://me:s3cret@127.0.0.1:1/state", tmp_path)
    with pytest.raises(
        StoreUnavailableError, match=r"PostgreSQL, state at 127\.0\.0\.1:1\) cannot be reached"
    ) as caught:
        await Store.open(address)
    assert "s3cret" not in _whole(caught.value)


async def test_files_that_are_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, " * 100)
    (tmp_path / "folder").mkdir()
    cases = {
        tmp_path / "text": "is not a database",
        tmp_path / "folder": "cannot be opened: Is a directory",
        tmp_path / "text" / "state.sqlite3": "cannot be opened: .*/text is not a folder",
    }
    for path, said in cases.items():
        with pytest.raises(StoreError, match=said) as caught:
            await Store.open(store_address(f"sqlite:///{path}", tmp_path))
        assert caught.value.fix


async def test_a_file_that_is_damaged_later(tmp_path: Path) -> None:
    address = store_address(None, tmp_path)
    store = await Store.open(address)
    for number in range(50):
        await store.jobs.create(f"j{number}", owner="desk", options={"text": "x" * 2000})
    await store.aclose()
    with address.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 20)
    with pytest.raises(StoreError, match=r"is damaged|is not a database"):
        store = await Store.open(address)


async def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tilores_core.store import database

    monkeypatch.setattr(database, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        await Store.open(store_address("postgresql://h/db", tmp_path))
    assert caught.value.fix == "pip install 'tilores-core[postgres]'"


async def test_closing_waits_for_an_opening_that_was_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    store = LazyStore(store_address(None, folder))
    with closing(sqlite3.connect(store.address.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        caller = asyncio.create_task(store.get())
        await asyncio.wait([caller], timeout=0.1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        closing_it = asyncio.create_task(store.aclose())
        done, _ = await asyncio.wait([closing_it], timeout=0.1)
        assert not done  # a thread is still at the file
        other.execute("COMMIT")
    await closing_it
    shutil.rmtree(folder)
    assert store.opened is None
    assert not folder.exists()


async def slow_down_commits(store: Store, table: str) -> None:
    """Commits of rows that were written take a minute."""
    async with store.database.write() as connection:
        for statement in (
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
            "AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'",
            f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON {table} DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION slow()",
        ):
            await connection.execute(text(statement))


async def test_only_a_write_that_failed_at_its_commit_was_perhaps_done(new_address: NewAddress) -> None:
    store = await Store.open(new_address("postgresql"))
    try:
        await slow_down_commits(store, "tilores_changes")
        with impatient(store), pytest.raises(StoreUnavailableError) as at_the_commit:
            await store.changes.bump("x")
        async with store.database.write() as connection:
            await connection.execute(text("LOCK TABLE tilores_changes"))
            with impatient(store), pytest.raises(StoreUnavailableError) as before:
                await store.changes.bump("y")
        assert (at_the_commit.value.perhaps_done, before.value.perhaps_done) == (True, False)
    finally:
        await store.aclose()


async def test_sums_that_were_perhaps_added_are_not_added_again(new_address: NewAddress) -> None:
    lazy = LazyStore(new_address("postgresql"))
    recorder = ExperimentRecorder(Assignment(), lazy)
    arm = ExperimentArm("e1", "polite", 1, "control", "s1")
    outcome = Outcome(turn=Turn(messages=()), model="demo:simulated-1", answer=None, timings={}, arm=arm)
    try:
        store = await lazy.get()
        async with store.database.write() as connection:
            await connection.execute(text("LOCK TABLE tilores_experiment_sums"))
            recorder.record(outcome, None)
            with impatient(store), pytest.raises(StoreUnavailableError):
                await recorder.flush()
        await recorder.flush()
        assert (await store.experiments.sums("e1"))[1, "control"].turns == 1  # it was kept

        await slow_down_commits(store, "tilores_experiment_sums")
        recorder.record(outcome, None)
        with impatient(store), pytest.raises(StoreUnavailableError):
            await recorder.flush()
        await recorder.flush()
        assert (await store.experiments.sums("e1"))[1, "control"].turns == 1  # it was given up
    finally:
        await lazy.aclose()


async def test_feedback_that_was_perhaps_handed_on_is_not_handed_on_again(new_address: NewAddress) -> None:
    lazy = LazyStore(new_address("postgresql"))
    live = LiveQuality(lazy, cast("TieredCache", SimpleNamespace()), cpu_share=0.0)
    try:
        store = await lazy.get()
        async with store.database.write() as connection:
            await connection.execute(text("LOCK TABLE tilores_waiting_feedback"))
            live.feedback("a" * 32, 1.0)
            with impatient(store):
                await live.flush()
        await live.flush()
        assert [row.score for row in await store.feedback.waiting()] == [1.0]  # it was kept

        await slow_down_commits(store, "tilores_waiting_feedback")
        live.feedback("b" * 32, 0.0)
        with impatient(store):
            await live.flush()
        await live.flush()
        assert [row.score for row in await store.feedback.waiting()] == [1.0]  # it was given up
    finally:
        await lazy.aclose()
