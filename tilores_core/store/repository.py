"""What the repositories of the tables share: reading rows as dataclasses, changing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from sqlalchemy import Delete, Executable, Row, Update

from tilores_core.store.changes import bump
from tilores_core.store.database import Database
from tilores_core.store.schema import instant

T = TypeVar("T")


class Repository:
    """Every method raises `StoreError`; what a writing one has returned from is committed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def _rows(self, statement: Executable) -> Sequence[Row[Any]]:
        return await self._database.rows(statement)

    async def _all(self, kind: type[T], statement: Executable) -> list[T]:
        return [read_row(kind, row) for row in await self._rows(statement)]

    async def _first(self, kind: type[T], statement: Executable) -> T | None:
        rows = await self._rows(statement)
        return read_row(kind, rows[0]) if rows else None

    async def _change(self, statement: Update | Delete, *topics: str) -> int:
        """Carry the statement out in a transaction of its own, with the topics raised; how many rows it changed."""
        async with self._database.write() as connection:
            changed = (await connection.execute(statement)).rowcount
            if changed:
                await bump(connection, *topics)
            return changed


def read_row(kind: type[T], row: Row[Any], **given: Any) -> T:
    """A dataclass of the columns with the names of its fields; for a field `created` the time in `created_ms`.

    Lists become tuples. `given`: fields that no column holds as they are.
    """
    columns = row._mapping
    for name in {field.name for field in fields(cast(Any, kind))} - given.keys():
        if name in columns:
            value = columns[name]
            given[name] = tuple(value) if isinstance(value, list) else value
        else:
            at_ms = columns[f"{name}_ms"]
            given[name] = None if at_ms is None else instant(at_ms)
    return kind(**given)
