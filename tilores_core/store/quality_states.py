"""What the watch over live quality knows of each model, spectrum and prompt version, kept over restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Column, String, Table, delete, select

from tilores_core.store.leases import require_lease
from tilores_core.store.repository import Repository
from tilores_core.store.schema import PREFIX, metadata, upsert
from tilores_core.store.score_windows import score_log
from tilores_core.store.windows import Cell

LEASE: Final = "quality"

quality_states = Table(
    f"{PREFIX}quality_states",
    metadata,
    Column("model", String(200), primary_key=True),
    Column("spectrum", String(64), primary_key=True),
    Column("prompt_version", String(100), primary_key=True),
    Column("state", JSON, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)


class QualityStates(Repository):
    """All methods raise `StoreError`. Only the holder of the lease `quality` writes; another fence is refused."""

    async def get_all(self) -> dict[Cell, dict[str, Any]]:
        rows = await self._rows(select(quality_states))
        return {Cell(row.model, row.spectrum, row.prompt_version): row.state for row in rows}

    async def put(
        self, states: Mapping[Cell, Mapping[str, Any]], *, consumed: Sequence[int] = (), now_ms: int, fence: int
    ) -> None:
        """Replace these states, and remove the logged scores with these ids, which they include: all or nothing."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            rows = [
                {**cell._asdict(), "state": dict(state), "changed_ms": now_ms}
                for cell, state in sorted(states.items())
            ]
            if rows:
                await upsert(connection, quality_states, rows, replace=["state", "changed_ms"])
            await connection.execute(delete(score_log).where(score_log.c.id.in_(consumed)))

    async def forget(self, before_ms: int, *, fence: int) -> None:
        """Remove what has not changed since then."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await connection.execute(delete(quality_states).where(quality_states.c.changed_ms < before_ms))
