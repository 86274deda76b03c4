"""From every released schema to this one, with nothing lost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from tests.store.postgres_server import NewAddress, PostgresServer
from tilores_core.errors import NewerSchemaError
from tilores_core.store import migrate
from tilores_core.store.address import Address
from tilores_core.store.migrate import HEAD, REVISIONS, VERSION_TABLE
from tilores_core.store.store import Store, metadata, read_revision

DUMPS = Path(__file__).parent / "dumps"


def _load(revision: str, address: Address, request: pytest.FixtureRequest) -> None:
    dump = (DUMPS / f"{revision}.{address.kind}.sql").read_text()
    if address.kind == "sqlite":
        address.path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(address.path)) as opened, opened:
            opened.executescript(dump)
        opened.close()
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        server.sql(dump, address.dsn.get_secret_value())


async def _rows(store: Store, table: str) -> list[dict[str, Any]]:
    async with store.database.read() as connection:
        return [dict(row) for row in (await connection.execute(select(metadata.tables[table]))).mappings()]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_up_from_every_released_schema(revision: str, address: Address, request: pytest.FixtureRequest) -> None:
    _load(revision, address, request)
    assert await read_revision(address) == revision
    store = await Store.open(address)
    try:
        for table, rows in json.loads((DUMPS / f"{revision}.rows.json").read_text()).items():
            now = await _rows(store, table)
            assert len(now) == len(rows), table
            for row in rows:
                assert any(_holds(there, row) for there in now), (table, row)
        assert await store.jobs.create("new", owner="desk")
        assert await store.leases.acquire("new", "desk", 5.0)
    finally:
        await store.aclose()
    assert await read_revision(address) == HEAD


def _holds(there: dict[str, Any], row: dict[str, Any]) -> bool:
    """A later schema may have more columns."""
    return all(there.get(name, ...) == value for name, value in row.items())


def test_the_revisions_are_a_line_and_the_program_knows_them() -> None:
    scripts = ScriptDirectory.from_config(migrate.alembic_config())
    walked = [script.revision for script in scripts.walk_revisions()][::-1]
    assert tuple(walked) == REVISIONS
    assert scripts.get_heads() == [HEAD]


def test_each_migration_leaves_what_the_code_before_it_uses() -> None:
    """While servers are replaced one by one, the old code reads and writes the new schema."""
    before: dict[str, dict[str, tuple[str, bool]]] = {}
    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:  # closed with the block
        for revision in REVISIONS:
            migrate.upgrade(connection, revision)
            after = _columns(connection)
            for table, columns in before.items():
                assert columns.items() <= after[table].items(), f"{revision} changes {table}"
                needed = [name for name, (_, needs) in after[table].items() if needs and name not in columns]
                assert not needed, f"{revision}: the code before does not write {needed} of {table}"
            before = after


def _columns(connection: Connection) -> dict[str, dict[str, tuple[str, bool]]]:
    """Table -> column -> its type, and whether a row needs it."""
    seen = inspect(connection)
    return {
        table: {
            column["name"]: (str(column["type"]), not column["nullable"] and column["default"] is None)
            for column in seen.get_columns(table)
        }
        for table in seen.get_table_names()
    }


def _differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def _described(connection: Connection) -> dict[str, Any]:
    """All tables with their columns (in which order does not matter), keys and indexes, by name."""
    seen = inspect(connection)

    def sort(found: Any) -> list[str]:
        return sorted(str({key: str(value) for key, value in one.items()}) for one in found)

    return {
        name: (
            sort(seen.get_columns(name)),
            seen.get_pk_constraint(name),
            sort(seen.get_indexes(name)),
            sort(seen.get_unique_constraints(name)),
            sort(seen.get_foreign_keys(name)),
        )
        for name in seen.get_table_names()
    }


async def test_the_migrations_make_what_a_new_database_has(store: Store) -> None:
    async with store.database.write() as connection:
        new = await connection.run_sync(_described)
        assert await connection.run_sync(_differences) == []
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
        await connection.run_sync(migrate.upgrade)
        assert await connection.run_sync(_described) == new
        await connection.execute(text("ALTER TABLE tilores_leases ADD COLUMN more INTEGER"))
        assert await connection.run_sync(_differences), "it would see a difference"


async def test_a_newer_database_is_refused_and_left_alone(address: Address) -> None:
    store = await Store.open(address)
    async with store.database.write() as connection:
        await connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    await store.aclose()
    for attempt in (Store.open, read_revision):
        with pytest.raises(
            NewerSchemaError, match=f"revision 9999, and this version of tilores-core knows {HEAD}"
        ) as caught:
            await attempt(address)
        assert "DATABASE_URL" in (caught.value.fix or "")


async def test_a_migration_that_fails_changes_nothing(
    address: Address, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def half(connection: Connection) -> None:
        real(connection)
        raise LookupError

    _load(REVISIONS[0], address, request)
    real: Callable[[Connection], None] = migrate.upgrade
    monkeypatch.setattr(migrate, "upgrade", half)
    with pytest.raises(LookupError):
        await Store.open(address)
    assert await read_revision(address) == REVISIONS[0]
    monkeypatch.undo()
    store = await Store.open(address)
    await store.aclose()


async def test_tables_of_others_are_left_alone(address: Address, kind: str, request: pytest.FixtureRequest) -> None:
    """A database may hold another program's tables, its Alembic's among them."""
    foreign = "CREATE TABLE alembic_version (version_num VARCHAR(32)); INSERT INTO alembic_version VALUES ('theirs');"
    if kind == "sqlite":
        address.path.parent.mkdir(parents=True)
        with closing(sqlite3.connect(address.path)) as opened, opened:
            opened.executescript(foreign)
        opened.close()
    else:
        request.getfixturevalue("postgres").sql(foreign, address.dsn.get_secret_value())
    store = await Store.open(address)
    try:
        async with store.database.read() as connection:
            assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "theirs"
            names = set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))
        assert names == {*metadata.tables, VERSION_TABLE, "alembic_version"}
        assert all(name.startswith("tilores_") for name in metadata.tables)
    finally:
        await store.aclose()


async def test_opening_what_is_open_elsewhere(store: Store, address: Address) -> None:
    others = await asyncio.gather(*(Store.open(address) for _ in range(3)))
    await asyncio.gather(*(other.changes.bump("x") for other in others))
    assert await store.changes.counters() == {"x": 3}
    await asyncio.gather(*(other.aclose() for other in others))


async def test_opening_waits_while_another_process_opens(new_address: NewAddress) -> None:
    """SQLite does not wait by itself when another one uses a file that has to be switched to the write-ahead log."""
    address = new_address("sqlite")
    address.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(address.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        opening = asyncio.create_task(Store.open(address))
        assert not (await asyncio.wait({opening}, timeout=0.2))[0]
        other.execute("COMMIT")
        await (await opening).aclose()
    assert await read_revision(address) == HEAD


async def test_looking_makes_nothing(address: Address) -> None:
    assert await read_revision(address) is None
    assert not address.path.is_file()
