"""Improvement: cycles with what each phase found, the calls that were paid for, and what was learned.

A cycle's calls are kept until it has ended, so that a process that takes it over pays for none of them twice. They
hold scores and what a reflection model said to a prompt without customers' values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, delete, func, select, update

from tilores_core.store.changes import bump
from tilores_core.store.leases import require_lease
from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import PREFIX, fit_row, make_table, metadata, now_ms, upsert
from tilores_core.store.topics import IMPROVEMENT

CycleState = Literal["running", "rolling out", "done", "failed"]
LEASE: Final = "improve"
"""Its holder alone writes cycles."""

_MOST: Final = 1_000

improve_calls = Table(
    f"{PREFIX}improve_calls",
    metadata,
    Column("cycle_id", String(64), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("call", String(64), primary_key=True),
    Column("body", JSON, nullable=False),
)

improve_lessons = Table(
    f"{PREFIX}improve_lessons",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", JSON, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCycle:
    """An improvement cycle in the store.

    `options`: what it was begun with; `phases`: by name, the output of each that has ended.
    """

    id: Annotated[str, String(64)]
    state: Annotated[CycleState, String(16)]
    created: datetime
    ended: datetime | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    phases: Mapping[str, Any] = field(default_factory=dict)


improve_cycles = make_table("improve_cycles", StoredCycle, Index(None, "created_ms"))


class Improvement(Repository):
    """Every method raises `StoreError`; what has returned is committed. Those with a `fence` refuse every process
    but the holder of the lease `improve`."""

    # --- cycles ------------------------------------------------------------------------------------------

    async def begin(self, cycle_id: str, options: Mapping[str, Any], *, fence: int) -> StoredCycle:
        row = fit_row(improve_cycles, {"id": cycle_id, "state": "running", "options": dict(options), "phases": {}})
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            statement = improve_cycles.insert().values(**row, created_ms=now_ms())
            begun = read_row(StoredCycle, (await connection.execute(statement.returning(*improve_cycles.c))).one())
            await bump(connection, IMPROVEMENT)
            return begun

    async def keep(
        self, cycle_id: str, phases: Mapping[str, Any], *, fence: int, lessons: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Replace the outputs of the phases, and add what was learned: all or nothing."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await connection.execute(
                update(improve_cycles).where(improve_cycles.c.id == cycle_id).values(phases=dict(phases))
            )
            if rows := list(lessons):
                await upsert(connection, improve_lessons, rows)
            await bump(connection, IMPROVEMENT)

    async def end(self, cycle_id: str, state: CycleState, *, fence: int) -> None:
        """The cycle has ended, or all but its roll-out; its calls are removed."""
        ended = {} if state == "rolling out" else {"ended_ms": now_ms()}
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await connection.execute(
                update(improve_cycles).where(improve_cycles.c.id == cycle_id).values(state=state, **ended)
            )
            await connection.execute(delete(improve_calls).where(improve_calls.c.cycle_id == cycle_id))
            await bump(connection, IMPROVEMENT)

    async def get(self, cycle_id: str) -> StoredCycle | None:
        return await self._first(StoredCycle, select(improve_cycles).where(improve_cycles.c.id == cycle_id))

    async def recent(self, *, limit: int = 20, state: CycleState | None = None) -> list[StoredCycle]:
        """The latest cycles, newest first."""
        statement = select(improve_cycles).order_by(improve_cycles.c.created_ms.desc(), improve_cycles.c.id.desc())
        if state is not None:
            statement = statement.where(improve_cycles.c.state == state)
        return await self._all(StoredCycle, statement.limit(min(limit, _MOST)))

    # --- calls -------------------------------------------------------------------------------------------

    async def add_calls(self, cycle_id: str, subject: str, calls: Mapping[str, Mapping[str, Any]]) -> None:
        """Finished calls by key; one that is there stays as it is."""
        rows = [
            {"cycle_id": cycle_id, "subject": subject, "call": call, "body": dict(body)}
            for call, body in calls.items()
        ]
        if rows:
            async with self._database.write() as connection:
                await upsert(connection, improve_calls, rows)
                await bump(connection, IMPROVEMENT)

    async def calls(self, cycle_id: str) -> dict[tuple[str, str], dict[str, Any]]:
        """All finished calls of a cycle, by subject and key."""
        statement = select(improve_calls).where(improve_calls.c.cycle_id == cycle_id)
        return {(row.subject, row.call): row.body for row in await self._rows(statement)}

    async def count_calls(self, cycle_id: str) -> int:
        """How many calls of a cycle that runs are finished."""
        return int((await self._rows(select(func.count()).where(improve_calls.c.cycle_id == cycle_id)))[0][0])

    # --- lessons -----------------------------------------------------------------------------------------

    async def lessons(self, *, limit: int = 10_000) -> list[dict[str, Any]]:
        """Observations, the newest first: `id`, `at_ms` and `body`."""
        statement = select(improve_lessons).order_by(improve_lessons.c.at_ms.desc(), improve_lessons.c.id)
        rows = await self._rows(statement.limit(limit))
        return [{"id": row.id, "at_ms": row.at_ms, "body": row.body} for row in rows]  # JSON needs plain strings

    async def add_lessons(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add observations made elsewhere; how many were new. The same one twice is one."""
        count = select(func.count()).select_from(improve_lessons)
        values = [{"id": row["id"], "at_ms": int(row["at_ms"]), "body": dict(row["body"])} for row in rows]
        if not values:
            return 0
        async with self._database.write() as connection:
            before: int = (await connection.execute(count)).scalar_one()
            await upsert(connection, improve_lessons, values)
            return int((await connection.execute(count)).scalar_one()) - before
