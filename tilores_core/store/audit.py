"""The audit log: who changed what, why and when. Rows are added within the transaction that makes the change.

Code roll-outs are entries of it: deployments that began and ended, servers that started as another version. While
one is in progress, versions answer side by side and servers start with empty memory: nothing is decided from live
figures, and the windows of its time are left out. A deployer that dies leaves one that ends by itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Final

from sqlalchemy import Index, Row, String, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.store.repository import Repository
from tilores_core.store.schema import fit_row, make_table, milliseconds, now_ms


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
        row = asdict(self) | {"at": self.at.isoformat(timespec="milliseconds")}
        del row["id"]
        return row


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


# --- code roll-outs ---------------------------------------------------------------------------------------

SUBJECT: Final = "deployment"
BEGIN: Final = "deploy.begin"
END: Final = "deploy.end"
START: Final = "deploy.start"
_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRollout:
    """Times are milliseconds since 1970. `end_ms`: when it ended, or ends by itself. `version`: of a server that
    started; else empty. `result`: as the deployer said it; empty when it did not say so."""

    id: str
    target: str
    version: str
    actor: str
    begin_ms: int
    end_ms: int
    result: str = ""
    in_progress: bool = False

    @property
    def span(self) -> tuple[int, int]:
        return self.begin_ms, self.end_ms


class Rollouts(Repository):
    """All methods raise `StoreError`. Times are of the database's clock."""

    async def begin(self, rollout_id: str, *, target: str, actor: str, seconds: float) -> None:
        """It is in progress until `end`, for `seconds` at most. Again with the same id: for so long from now."""
        await self._add(BEGIN, actor, {"rollout": rollout_id, "target": target, "seconds": seconds})

    async def end(self, rollout_id: str, *, result: str, actor: str) -> None:
        """Note the end of a roll-out. `result`: one word for people, such as `succeeded`. An id that was not begun
        has no effect."""
        await self._add(END, actor, {"rollout": rollout_id, "result": result})

    async def started(self, version: str, *, part: str, seconds: float) -> bool:
        """A process runs as `version`: when the last one of this `part` (web servers, workers) ran as another, that
        begins a roll-out of `seconds`; whether it did."""
        last = select(audit.c.detail).where(audit.c.subject == SUBJECT, audit.c.action == START)
        last = last.order_by(audit.c.at_ms.desc(), audit.c.id.desc()).limit(_MOST)
        async with self._database.write() as connection:
            entries = (await connection.execute(last)).scalars()
            before = next((entry["version"] for entry in entries if entry["part"] == part), None)
            if before == version:
                return False
            detail = {"version": version, "part": part, "seconds": seconds, "first": before is None}
            await record(connection, actor="server", action=START, subject=SUBJECT, detail=detail)
            return before is not None

    async def recent(self, *, limit: int = 100) -> list[CodeRollout]:
        """The newest first."""
        statement = select(audit, now_ms().label("now")).where(audit.c.subject == SUBJECT)
        statement = statement.order_by(audit.c.at_ms.desc(), audit.c.id.desc()).limit(_MOST)
        return _rollouts((await self._rows(statement))[::-1])[: -limit - 1 : -1]

    async def current(self) -> CodeRollout | None:
        """One that is in progress."""
        return next((rollout for rollout in await self.recent(limit=_MOST) if rollout.in_progress), None)

    async def _add(self, action: str, actor: str, detail: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await record(connection, actor=actor, action=action, subject=SUBJECT, detail=detail)


def _rollouts(rows: Sequence[Row[Any]]) -> list[CodeRollout]:
    """From the entries, oldest first."""
    found: dict[str, CodeRollout] = {}
    for row in rows:
        if row.detail.get("first"):  # nothing ran before: it tells the next one what did
            continue
        detail, key = row.detail, row.detail.get("rollout", row.id)
        known = found.get(key)
        if row.action == END:
            if known is not None and not known.result:
                found[key] = replace(known, end_ms=row.at_ms, result=detail["result"])
            continue
        found[key] = CodeRollout(
            id=key,
            target=detail.get("target", ""),
            version=detail.get("version", ""),
            actor=row.actor,
            begin_ms=row.at_ms if known is None else known.begin_ms,
            end_ms=row.at_ms + milliseconds(detail["seconds"]),
        )
    now = rows[-1].now if rows else 0
    return [replace(rollout, in_progress=not rollout.result and rollout.end_ms > now) for rollout in found.values()]
