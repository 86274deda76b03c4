"""Code roll-outs, kept in the audit log: deployments that began and ended, servers that started as another version.

While one is in progress, versions answer side by side and servers start with empty memory: nothing is decided from
live figures, and the windows of its time are left out. A deployer that dies leaves one that ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Row, select

from tilores_core.store.audit import audit, record
from tilores_core.store.repository import Repository
from tilores_core.store.schema import milliseconds, now_ms

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

    async def recent(self, *, limit: int = 20) -> list[CodeRollout]:
        """The newest first."""
        statement = select(audit, now_ms().label("now")).where(audit.c.subject == SUBJECT)
        statement = statement.order_by(audit.c.at_ms.desc(), audit.c.id.desc()).limit(_MOST)
        rows = await self._rows(statement)
        return _rollouts(rows[::-1])[: -limit - 1 : -1]

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
