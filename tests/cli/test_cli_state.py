"""`tilores state …`: from one database to another, as a file."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.store.make_dumps import ROWS, fill
from tests.store.postgres_server import PostgresServer
from tilores_core.store.address import store_address
from tilores_core.store.store import Store

COUNTS = {name.removeprefix("tilores_"): len(rows) for name, rows in ROWS.items()}


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


async def fill_state(tilores: Command) -> None:
    store = await Store.open(store_address(None, tilores.folder / "data"))
    try:
        await fill(store)
    finally:
        await store.aclose()


async def test_state_moves_from_sqlite_to_postgresql_and_back(
    tilores: Command, postgres: PostgresServer, tmp_path: Path
) -> None:
    await fill_state(tilores)
    file, again = tmp_path / "state.jsonl", tmp_path / "again.jsonl"
    assert tilores.json("state", "export", str(file)) == {"rows": COUNTS}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    tilores.variables["DATABASE_URL"] = postgres.new_database()
    assert tilores.json("state", "import", str(file)) == {"rows": COUNTS}
    done = tilores.run("state", "export", str(again))
    assert done.returncode == 0
    assert f"exported to {again}: " in done.stdout
    assert again.read_bytes() == file.read_bytes()


async def test_import_into_a_database_with_state_needs_replace(tilores: Command, tmp_path: Path) -> None:
    await fill_state(tilores)
    file = tmp_path / "state.jsonl"
    assert tilores.run("state", "export", str(file)).returncode == 0
    said = tilores.fails("state", "import", str(file))
    assert "not empty" in said
    assert "--replace" in said
    assert tilores.json("state", "import", str(file), "--replace") == {"rows": COUNTS}


async def test_import_of_a_damaged_file_names_the_line_and_changes_nothing(tilores: Command, tmp_path: Path) -> None:
    await fill_state(tilores)
    file = tmp_path / "state.jsonl"
    tilores.run("state", "export", str(file))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], json.dumps({"table": "unknown", "row": {}}), *lines[2:]]) + "\n")
    said = tilores.fails("state", "import", str(file), "--replace")
    assert "line 3" in said
    assert "nothing was imported" in said
    assert tilores.json("state", "export", str(tmp_path / "after.jsonl")) == {"rows": COUNTS}


def test_files_of_a_new_database_are_their_owner_s_alone_whatever_the_umask(tilores: Command) -> None:
    """The tests run with the usual umask, 022."""
    assert tilores.run("state", "export", str(tilores.folder / "state.jsonl")).returncode == 0
    data = tilores.folder / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir() if path.is_file()}
    assert found["state.sqlite3"] == 0o600
    assert set(found.values()) == {0o600}
