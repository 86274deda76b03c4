"""The audit log: who changed what, why and when. Rows are added within the transaction that makes the change."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, Text, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.store.repository import Repository
from tilores_core.store.schema import PREFIX, fit_row, metadata, now_ms

audit = Table(
    f"{PREFIX}audit",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Index(None, "at_ms", "id"),
    Index(None, "subject", "at_ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, when and why.

    `action`: dotted (`prompts.deploy`); `subject`: what was changed (`prompts/production`). `detail`: plain JSON
    with the figures; no customer's data.
    """

    id: str
    at: datetime
    actor: str
    action: str
    subject: str
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
