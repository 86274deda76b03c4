"""What the worker process tells the web processes: statistics, and which cache entries pre-warming has made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, delete, select

from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository
from tilores_core.store.schema import PREFIX, metadata, now_ms, upsert
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


class WorkerReports(Repository):
    """The latest statistics by name. Both methods raise `StoreError`."""

    async def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace the report of this name."""
        async with self._database.write() as connection:
            row = {"name": name, "value": dict(value), "changed_ms": await connection.scalar(select(now_ms()))}
            await upsert(connection, worker_reports, [row], replace=["value", "changed_ms"])

    async def get(self, name: str) -> dict[str, Any] | None:
        """The report, or None before the first."""
        rows = await self._rows(select(worker_reports.c.value).where(worker_reports.c.name == name))
        return rows[0].value if rows else None


class WarmedKeys(Repository):
    """Keys of warmed cache entries, digests without customer data. Both methods raise `StoreError`."""

    async def add(self, keys: Sequence[str]) -> None:
        """Note that these were warmed now, and raise the topic `prewarm`."""
        async with self._database.write() as connection:
            now = await connection.scalar(select(now_ms()))
            rows = [{"key": key, "changed_ms": now} for key in keys]
            await upsert(connection, warmed_entries, rows, replace=["changed_ms"])
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
        rows = await self._rows(statement)
        return [row.key for row in rows], max((row.changed_ms for row in rows), default=changed_ms)
