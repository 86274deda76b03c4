"""JSON export and import: from one kind of database to another and back, the same afterwards."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from tests.store.make_dumps import ROWS, fill
from tests.store.postgres_server import NewAddress
from tilores_core.errors import StoreError
from tilores_core.store.migrate import HEAD
from tilores_core.store.store import Store, metadata

COUNTS = {name: len(rows) for name, rows in ROWS.items()}


@pytest.mark.parametrize("path", [("sqlite", "postgresql", "sqlite"), ("postgresql", "sqlite", "postgresql")])
async def test_there_and_back(path: tuple[str, ...], new_address: NewAddress, tmp_path: Path) -> None:
    texts = []
    for number, kind in enumerate(path):
        store = await Store.open(new_address(kind))
        try:
            if number:
                assert await store.import_json(tmp_path / f"{number - 1}.jsonl") == COUNTS
            else:
                await fill(store)
            assert await store.export_json(tmp_path / f"{number}.jsonl") == COUNTS
            texts.append((tmp_path / f"{number}.jsonl").read_bytes())
            job = await store.jobs.get("whole")
            assert job is not None
            assert job.options == ROWS["tilores_batch_jobs"][0]["options"]
        finally:
            await store.aclose()
    assert texts[0] == texts[1] == texts[2]


def _in_order(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


async def test_the_format(store: Store, tmp_path: Path) -> None:
    await fill(store)
    path = tmp_path / "state.jsonl"
    path.write_text("what was there before")
    await store.export_json(path)
    first, *rows, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert first == {"format": "tilores-state", "version": 1, "revision": HEAD}
    assert last == {"rows": COUNTS}
    kept: dict[str, list[Any]] = {name: [] for name in ROWS}
    for row in rows:
        kept[row["table"]].append(row["row"])
    for name, expected in ROWS.items():
        assert sorted(map(_in_order, kept[name])) == sorted(map(_in_order, expected))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.glob("*state.jsonl*")] == ["state.jsonl"]


async def test_an_export_is_one_state_whatever_is_written_meanwhile(store: Store, tmp_path: Path) -> None:
    """Each job raises the counter, so that the two differ in any mixture of states."""
    rows = [ROWS["tilores_batch_jobs"][1] | {"id": f"j{number:05}"} for number in range(3000)]
    async with store.database.write() as connection:
        await connection.execute(insert(metadata.tables["tilores_batch_jobs"]), rows)
        await connection.execute(insert(metadata.tables["tilores_changes"]), [{"topic": "batch", "counter": 3000}])
    ended = asyncio.Event()

    async def write() -> int:
        number = 0
        while not ended.is_set():
            await store.jobs.create(f"during-{number}", owner="desk")
            number += 1
        return number

    writing = asyncio.create_task(write())
    counts: dict[str, int] = {}
    for number in range(3):
        counts = await store.export_json(tmp_path / f"{number}.jsonl")
        lines = (tmp_path / f"{number}.jsonl").read_text().splitlines()
        (counter,) = [
            json.loads(line)["row"]["counter"] for line in lines if line.startswith('{"table":"tilores_changes"')
        ]
        assert counts["tilores_batch_jobs"] == counter
    ended.set()
    assert await writing > 0
    assert counts["tilores_batch_jobs"] >= 3000


def _without_the_end(lines: list[str]) -> list[str]:
    return lines[:-1]


def _torn(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[3][:10]]


def _a_row_gone(lines: list[str]) -> list[str]:
    return [*lines[:2], *lines[3:]]


def _another_format(lines: list[str]) -> list[str]:
    return ['{"format": "other"}', *lines[1:]]


def _another_revision(lines: list[str]) -> list[str]:
    return [lines[0].replace(HEAD, "9999"), *lines[1:]]


def _no_json(lines: list[str]) -> list[str]:
    return [*lines[:2], "{nonsense", *lines[2:]]


def _no_table(lines: list[str]) -> list[str]:
    return [lines[0], '{"table": "users", "row": {"name": "x"}}', *lines[1:]]


def _no_column(lines: list[str]) -> list[str]:
    return [lines[0], '{"table": "tilores_changes", "row": {"topic": "x"}}', *lines[1:]]


def _more_behind(lines: list[str]) -> list[str]:
    return [*lines, lines[1]]


def _twice(lines: list[str]) -> list[str]:
    return [*lines[:2], lines[1], *lines[2:]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_without_the_end, "its end is missing"),
        (_torn, "line 4: the line is cut off"),
        (_a_row_gone, "rows are missing"),
        (_another_format, "line 1: this is not an exported state"),
        (_another_revision, r"line 1: it has revision 9999(?s:.*)the version that wrote it$"),
        (_no_json, "line 3: not JSON"),
        (_no_table, "line 2: not a row of a table"),
        (_no_column, "line 2: not a row of a table"),
        (_more_behind, "more after the last line"),
        (_twice, "refused a statement"),
        (lambda _: [], "not an exported state"),
    ],
)
async def test_a_damaged_file_changes_nothing(
    damage: Callable[[list[str]], list[str]], said: str, new_address: NewAddress, tmp_path: Path
) -> None:
    store = await Store.open(new_address("sqlite"))
    path = tmp_path / "state.jsonl"
    try:
        await fill(store)
        await store.export_json(path)
    finally:
        await store.aclose()
    lines = damage(path.read_text().splitlines())
    path.write_text("\n".join(lines) + ("" if damage is _torn else "\n" if lines else ""))
    empty = await Store.open(new_address("postgresql" if damage is _twice else "sqlite"))
    try:
        with pytest.raises(StoreError, match=said) as caught:
            await empty.import_json(path)
        assert "Edwina" not in str(caught.value)
        assert await empty.changes.counters() == {}
        assert await empty.jobs.recent() == []
    finally:
        await empty.aclose()


async def test_only_an_empty_database_takes_an_import(store: Store, tmp_path: Path) -> None:
    await store.changes.bump("x")
    await store.export_json(tmp_path / "state.jsonl")
    with pytest.raises(StoreError, match="not empty: there are rows in tilores_changes"):
        await store.import_json(tmp_path / "state.jsonl")
    assert await store.changes.counters() == {"x": 1}


async def test_replace_removes_what_the_database_holds_and_only_for_a_file_that_is_whole(
    store: Store, new_address: NewAddress, tmp_path: Path
) -> None:
    path = tmp_path / "state.jsonl"
    other = await Store.open(new_address("sqlite"))
    try:
        await fill(other)
        await other.export_json(path)
    finally:
        await other.aclose()
    await store.changes.bump("mine")
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="line"):
        await store.import_json(path, replace=True)
    assert await store.changes.counters() == {"mine": 1}, "what was there is still there"
    path.write_text(whole)
    assert await store.import_json(path, replace=True) == COUNTS
    assert "mine" not in await store.changes.counters()
    await store.export_json(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_text() == whole


async def test_places_that_cannot_be_written_or_read(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: No such file"):
        await store.export_json(tmp_path / "nowhere" / "state.jsonl")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be written: Is a directory"):
        await store.export_json(tmp_path / "folder")
    with pytest.raises(StoreError, match="cannot be read"):
        await store.import_json(tmp_path / "nowhere.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
