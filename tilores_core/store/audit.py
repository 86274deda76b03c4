"""The audit log: who changed what, why and when. Rows are added within the transaction that makes the change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import Index, String, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.store.repository import Repository
from tilores_core.store.schema import fit_row, make_table, now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, when and why.

    `action`: dotted (`prompts.deploy`); `subject`: what was changed (`prompts/production`). `detail`: plain JSON
    with the figures; no customer's data.
    """

    id: Annotated[str, String(64)]
    at: datetime
    actor: Annotated[str, String(200)]
    action: Annotated[str, String(64)]
    subject: Annotated[str, String(200)]
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def as_row(self) -> dict[str, Any]:
        """As plain JSON, without the id."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "reason": self.reason,
            "detail": dict(self.detail),
        }


audit = make_table("audit", AuditEntry, Index(None, "at_ms", "id"), Index(None, "subject", "at_ms"))


async def record(
    connection: AsyncConnection,
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry within the transaction of `connection`."""
    row = {"actor": actor, "action": action, "subject": subject, "reason": reason, "detail": dict(detail or {})}
    # In the order in which one process made them, also within one millisecond.
    entry_id = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
    await connection.execute(insert(audit).values(**fit_row(audit, row), id=entry_id, at_ms=now_ms()))


class AuditLog(Repository):
    """The entries. Both methods raise `StoreError`."""

    async def add(
        self, *, actor: str, action: str, subject: str, reason: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """An entry in a transaction of its own, for what changes nothing else: an attempt that was refused."""
        async with self._database.write() as connection:
            await record(connection, actor=actor, action=action, subject=subject, reason=reason, detail=detail)

    async def recent(
        self, *, subject: str | None = None, area: str | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """The newest first. `subject`: of this one alone; `area`: with actions that begin so (`prompts`)."""
        statement = select(audit).order_by(audit.c.at_ms.desc(), audit.c.id.desc()).limit(limit)
        if subject is not None:
            statement = statement.where(audit.c.subject == subject)
        if area is not None:
            statement = statement.where(audit.c.action.startswith(f"{area}.", autoescape=True))
        return await self._all(AuditEntry, statement)
