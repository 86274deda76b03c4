"""All durable state as JSON lines, the same from every kind of database, and back.

    {"format": "tilores-state", "version": 1, "revision": "0001"}
    {"table": "tilores_leases", "row": {"name": …}}
    …
    {"rows": {"tilores_leases": 1, …}}

One row per line, so that neither side holds more than a few hundred; the last line says whether all are there.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import IO, Any, Final

import orjson
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import StoreError
from tilores_core.files import sync_folder
from tilores_core.store.database import Database
from tilores_core.store.migrate import HEAD
from tilores_core.store.schema import metadata

FORMAT: Final = "tilores-state"
VERSION: Final = 1
_ROWS_AT_ONCE: Final = 500
_LONGEST_LINE: Final = 16 * 1024 * 1024
_AGAIN: Final = "export it again; nothing was imported"

Counts = dict[str, int]


async def export_json(database: Database, path: Path) -> Counts:
    """One consistent state, whatever is written meanwhile. `path` is replaced when all is on the disk, else left."""
    file = await asyncio.to_thread(_begin_file, path)
    try:
        counts = await _write(database, file)
        await asyncio.to_thread(_end_file, file, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", fix="make room, or choose another place"
        ) from error
    finally:
        await asyncio.to_thread(_drop_file, file)
    return counts


async def import_json(database: Database, path: Path, *, replace: bool = False) -> Counts:
    """All rows of `path` in one transaction. Raises `StoreError` naming the line, and then nothing was changed.

    `replace`: remove what the database holds; without it a database that holds rows is refused.
    """
    async with database.write(seconds=database.limits.long) as connection:
        with closing(_read(path)) as lines:
            return await _import(connection, path, lines, replace=replace)


async def _write(database: Database, file: IO[bytes]) -> Counts:
    counts = dict.fromkeys((table.name for table in metadata.sorted_tables), 0)
    lines = [_line({"format": FORMAT, "version": VERSION, "revision": HEAD})]
    async with database.read(seconds=database.limits.long) as connection:
        for table in metadata.sorted_tables:
            names = table.columns.keys()
            statement = select(table).order_by(*table.primary_key.columns)
            async with connection.stream(statement, execution_options={"yield_per": _ROWS_AT_ONCE}) as rows:
                async for part in rows.partitions():
                    lines += [_line({"table": table.name, "row": dict(zip(names, row, strict=True))}) for row in part]
                    counts[table.name] += len(part)
                    await asyncio.to_thread(file.writelines, lines)
                    lines = []
    await asyncio.to_thread(file.writelines, [*lines, _line({"rows": counts})])
    return counts


def _line(value: Any) -> bytes:
    # SQLAlchemy's names are a kind of str that orjson takes for keys only so.
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _begin_file(path: Path) -> IO[bytes]:
    """A temporary file beside `path`, readable by its owner only."""
    try:
        return tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", fix="choose another place") from error


def _end_file(file: IO[bytes], path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    Path(file.name).replace(path)
    sync_folder(path.parent)


def _drop_file(file: IO[bytes]) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


async def _import(
    connection: AsyncConnection, path: Path, lines: Iterator[tuple[int, dict[str, Any]]], *, replace: bool
) -> Counts:
    counts = dict.fromkeys(metadata.tables, 0)
    _check_header(path, (await asyncio.to_thread(next, lines, (1, {})))[1])
    for table in reversed(metadata.sorted_tables):
        if replace:
            await connection.execute(delete(table))
        elif await connection.scalar(select(func.count()).select_from(table)):
            raise StoreError(
                f"the database is not empty: there are rows in {table.name}",
                fix="import into a database that holds no state yet, or remove what it holds with --replace",
            )
    ended = False
    while group := await asyncio.to_thread(lambda: list(islice(lines, _ROWS_AT_ONCE))):
        for name, neighbours in groupby(group, key=lambda line: str(line[1].get("table"))):
            rows = list(neighbours)
            if ended:
                raise _wrong(path, rows[0][0], "there is more after the last line")
            ended = "rows" in rows[0][1]
            if not ended:
                await connection.execute(insert(metadata.tables[name]), [line["row"] for _, line in rows])
                counts[name] += len(rows)
            elif rows[0][1]["rows"] != counts or len(rows) > 1:
                raise _wrong(path, rows[-1][0], "rows are missing, or there is more after the last line")
    if not ended:
        raise StoreError(f"{path}: its end is missing", fix=_AGAIN)
    return counts


def _read(path: Path) -> Generator[tuple[int, dict[str, Any]]]:
    """The lines with their numbers, each the header, a row of a table that is known here, or the last line. It waits
    for the disk."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    raise _wrong(path, number, "the line is cut off, or longer than any that was written")
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    raise _wrong(path, number, "not JSON") from None
                if not isinstance(value, dict):
                    raise _wrong(path, number, "not a JSON object")
                table, row = metadata.tables.get(str(value.get("table"))), value.get("row")
                is_row = table is not None and isinstance(row, dict) and set(row) == set(table.columns.keys())
                if number > 1 and "rows" not in value and not is_row:
                    raise _wrong(path, number, "not a row of a table that is known here")
                yield number, value
    except OSError as error:
        fix = "check the name and its permissions"
        raise StoreError(f"{path} cannot be read: {error.strerror}", fix=fix) from error


def _check_header(path: Path, header: dict[str, Any]) -> None:
    if header.get("format") != FORMAT:
        raise _wrong(path, 1, "this is not an exported state")
    if (header.get("version"), header.get("revision")) != (VERSION, HEAD):
        newer = str(header.get("revision")) > HEAD
        raise StoreError(
            f"{path}, line 1: it has revision {header.get('revision')}, and this version of tilores-core reads "
            f"{HEAD}",
            fix="import it with the version that wrote it"
            + ("" if newer else ", then start this one, which migrates"),
        )


def _wrong(path: Path, number: int, what: str) -> StoreError:
    return StoreError(f"{path}, line {number}: {what}", fix=_AGAIN)
