"""What the worker process tells the web processes: statistics, and which cache entries pre-warming has made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, delete, select

from tilores_core.store.changes import bump
from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, insert, metadata, now_ms
from tilores_core.store.topics import PREWARM

MOST_WARMED: Final = 50_000
"""Entries that are kept; beyond it the ones that were warmed longest ago are forgotten."""

_OVERLAP_MS: Final = 2000
"""A transaction commits after the time that it wrote, so readers look back a little."""

worker_reports = Table(
    f"{PREFIX}worker_reports",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

warmed_entries = Table(
    f"{PREFIX}warmed_entries",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("changed_ms", BigInteger, nullable=False),
    Index(None, "changed_ms"),
)


class WorkerReports:
    """The latest statistics by name. Both methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace the report of this name."""
        async with self._database.write() as connection:
            row = {"value": dict(value), "changed_ms": now_ms()}
            statement = insert(connection, worker_reports).values(name=name, **row)
            await connection.execute(
                statement.on_conflict_do_update(index_elements=[worker_reports.c.name], set_=row)
            )

    async def get(self, name: str) -> dict[str, Any] | None:
        """The report, or None before the first."""
        async with self._database.read() as connection:
            statement = select(worker_reports.c.value).where(worker_reports.c.name == name)
            value: dict[str, Any] | None = await connection.scalar(statement)
            return value


class WarmedKeys:
    """Keys of warmed cache entries, digests without customer data. Both methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, keys: Sequence[str]) -> None:
        """Note that these were warmed now, and raise the topic `prewarm`."""
        async with self._database.write() as connection:
            statement = insert(connection, warmed_entries)
            upsert = statement.on_conflict_do_update(
                index_elements=[warmed_entries.c.key], set_={"changed_ms": now_ms()}
            )
            now = await connection.scalar(select(now_ms()))
            await connection.execute(upsert, [{"key": key, "changed_ms": now} for key in keys])
            newest = select(warmed_entries.c.key).order_by(warmed_entries.c.changed_ms.desc()).limit(MOST_WARMED)
            await connection.execute(delete(warmed_entries).where(warmed_entries.c.key.not_in(newest)))
            await bump(connection, PREWARM)

    async def since(self, changed_ms: int) -> tuple[list[str], int]:
        """The keys that were warmed since then, oldest first, and the time to ask from next."""
        statement = (
            select(warmed_entries)
            .where(warmed_entries.c.changed_ms >= changed_ms - _OVERLAP_MS)
            .order_by(warmed_entries.c.changed_ms)
        )
        rows = await self._database.rows(statement)
        return [row.key for row in rows], max((row.changed_ms for row in rows), default=changed_ms)
