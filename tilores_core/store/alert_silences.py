"""Silences: alerts that match one are kept and listed, and nothing is sent of them until it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Annotated
from uuid import uuid4

from sqlalchemy import Index, String, delete, or_, select, update

from tilores_core.contracts import Alert
from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository
from tilores_core.store.schema import fit_row, make_table
from tilores_core.store.topics import ALERTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What is None matches every alert; `kind` may hold `*`. Times are milliseconds since 1970; `ends_ms` None: never
    by time. `until_clear`: it also ends when the alert `fingerprint` is resolved."""

    id: Annotated[str, String(64)] = ""
    fingerprint: Annotated[str | None, String(64)] = None
    kind: Annotated[str | None, String(100)] = None
    severity: Annotated[str | None, String(16)] = None
    source: Annotated[str | None, String(100)] = None
    model: Annotated[str | None, String(200)] = None
    spectrum: Annotated[str | None, String(100)] = None
    starts_ms: int
    ends_ms: int | None = None
    until_clear: bool = False
    created_ms: int = 0
    owner: Annotated[str, String(200)] = ""
    comment: Annotated[str, String(500)] = ""

    def matches(self, alert: Alert, fingerprint: str) -> bool:
        asked: tuple[tuple[str | None, str | None], ...] = (
            (self.fingerprint, fingerprint),
            (self.severity, alert.severity),
            (self.source, alert.source),
            (self.model, alert.model),
            (self.spectrum, alert.spectrum),
        )
        return all(wanted is None or wanted == found for wanted, found in asked) and (
            self.kind is None or fnmatchcase(alert.kind, self.kind)
        )


alert_silences = make_table("alert_silences", Silence, Index(None, "ends_ms"))


class Silences(Repository):
    """All methods raise `StoreError`."""

    async def add(self, silence: Silence) -> str:
        """Its id."""
        silence_id = uuid4().hex[:12]
        async with self._database.write() as connection:
            row = fit_row(alert_silences, asdict(silence) | {"id": silence_id})
            await connection.execute(alert_silences.insert().values(row))
            await bump(connection, ALERTS)
        return silence_id

    async def current(self, now_ms: int, *, upcoming: bool = False, limit: int = 1000) -> list[Silence]:
        """Those in force, and with `upcoming` those that begin later; the oldest first."""
        row = alert_silences.c
        statement = select(alert_silences).where(or_(row.ends_ms.is_(None), row.ends_ms > now_ms))
        if not upcoming:
            statement = statement.where(row.starts_ms <= now_ms)
        return await self._all(Silence, statement.order_by(row.created_ms, row.id).limit(limit))

    async def end(self, silence_id: str, now_ms: int) -> bool:
        """End it now; False when it is not in force."""
        row = alert_silences.c
        over = or_(row.ends_ms.is_(None), row.ends_ms > now_ms)
        statement = update(alert_silences).where(row.id == silence_id, over).values(ends_ms=now_ms)
        return await self._change(statement, ALERTS) > 0

    async def remove_before(self, ended_ms: int) -> int:
        """Remove those that ended before then; how many."""
        return await self._change(delete(alert_silences).where(alert_silences.c.ends_ms < ended_ms))
