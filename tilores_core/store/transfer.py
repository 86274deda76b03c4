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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import orjson
from sqlalchemy import Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import StoreError
from tilores_core.store.database import Database
from tilores_core.store.migrate import HEAD
from tilores_core.store.schema import metadata

FORMAT: Final = "tilores-state"
VERSION: Final = 1
_ROWS_AT_ONCE: Final = 500
_LONGEST_LINE: Final = 16 * 1024 * 1024

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
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}", fix="check the name and its permissions"
        ) from error
    with file:
        async with database.write(seconds=database.limits.long) as connection:
            return await _Import(connection, file, path).run(replace=replace)


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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _drop_file(file: IO[bytes]) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


class _Import:
    def __init__(self, connection: AsyncConnection, file: IO[bytes], path: Path) -> None:
        self._connection = connection
        self._file = file
        self._path = path
        self._number = 0
        self._counts: Counter[str] = Counter()

    async def run(self, *, replace: bool) -> Counts:
        self._check_header(await self._lines(1))
        if replace:
            for table in reversed(metadata.sorted_tables):
                await self._connection.execute(delete(table))
        else:
            await self._check_empty()
        ended = False
        while lines := await self._lines(_ROWS_AT_ONCE):
            for table, rows in self._by_table(lines):
                if ended:
                    raise self._wrong("there is more after the last line")
                if table is None:
                    ended = True
                    self._check_counts(rows[0])
                else:
                    await self._connection.execute(insert(table), rows)
                    self._counts[table.name] += len(rows)
        if not ended:
            raise self._wrong("its end is missing")
        return {table.name: self._counts[table.name] for table in metadata.sorted_tables}

    async def _check_empty(self) -> None:
        for table in metadata.sorted_tables:
            if await self._connection.scalar(select(func.count()).select_from(table)):
                raise StoreError(
                    f"the database is not empty: there are rows in {table.name}",
                    fix="import into a database that holds no state yet, or remove what it holds with --replace",
                )

    async def _lines(self, count: int) -> list[bytes]:
        return await asyncio.to_thread(self._read, count)

    def _read(self, count: int) -> list[bytes]:
        lines = []
        for _ in range(count):
            line = self._file.readline(_LONGEST_LINE)
            if not line:
                break
            self._number += 1
            if not line.endswith(b"\n"):
                raise self._wrong("the line is cut off, or longer than any that was written")
            lines.append(line)
        return lines

    def _check_header(self, lines: list[bytes]) -> None:
        header = self._object(lines[0], 1) if lines else {}
        if header.get("format") != FORMAT:
            raise self._wrong("this is not an exported state")
        if (header.get("version"), header.get("revision")) != (VERSION, HEAD):
            raise StoreError(
                f"{self._path}, line 1: it has revision {header.get('revision')}, and this version of tilores-core "
                f"reads {HEAD}",
                fix="import it with the version that wrote it, then start this one, which migrates",
            )

    def _by_table(self, lines: list[bytes]) -> Iterator[tuple[Table | None, list[dict[str, Any]]]]:
        """Neighbours that go into one table; None for the last line."""
        rows: list[dict[str, Any]] = []
        table: Table | None = None
        for number, line in enumerate(lines, start=self._number - len(lines) + 1):
            value = self._object(line, number)
            found, row = (None, value["rows"]) if "rows" in value else self._row(value, number)
            if rows and found is not table:
                yield table, rows
                rows = []
            table = found
            rows.append(row)
        if rows:
            yield table, rows

    def _row(self, value: dict[str, Any], number: int) -> tuple[Table, dict[str, Any]]:
        table, row = metadata.tables.get(str(value.get("table"))), value.get("row")
        if table is None or not isinstance(row, dict) or set(row) != set(table.columns.keys()):
            raise self._wrong("not a row of a table that is known here", number)
        return table, row

    def _object(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise self._wrong("not JSON", number) from None
        if not isinstance(value, dict):
            raise self._wrong("not a JSON object", number)
        return value

    def _check_counts(self, rows: dict[str, Any]) -> None:
        known = {table.name: self._counts[table.name] for table in metadata.sorted_tables}
        if rows != known:
            raise self._wrong("rows are missing")

    def _wrong(self, what: str, number: int | None = None) -> StoreError:
        place = f"{self._path}, line {self._number if number is None else number}"
        return StoreError(f"{place}: {what}", fix="export it again; nothing was imported")
