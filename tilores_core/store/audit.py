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

from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, fitting, instant, metadata, now_ms

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
    await connection.execute(
        insert(audit).values(
            # In the order in which one process made them, also within one millisecond.
            id=f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}",
            at_ms=now_ms(),
            actor=fitting(audit.c.actor, actor),
            action=fitting(audit.c.action, action),
            subject=fitting(audit.c.subject, subject),
            reason=fitting(audit.c.reason, reason),
            detail=dict(detail or {}),
        )
    )


class AuditLog:
    """The entries. Both methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        rows = await self._database.rows(statement)
        return [
            AuditEntry(
                id=row.id,
                at=instant(row.at_ms),
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                detail=row.detail,
            )
            for row in rows
        ]
