"""Healing: episodes with their evidence, and signals of live turns by which a change around the models is seen.

A signal is a value that was seen, how often, first and last: the model that a provider says it used, the hash of a
source's schema, a field that customers' records have. No signal holds a customer's value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from sqlalchemy import Index, String, delete, func, select

from tilores_core.store.changes import bump
from tilores_core.store.leases import require_lease
from tilores_core.store.repository import Repository
from tilores_core.store.schema import make_table, upsert
from tilores_core.store.topics import HEALING
from tilores_core.store.windows import HOUR_MS

EpisodeState = Literal["verifying", "healed", "not healed", "reported"]
SignalKind = Literal["served_by", "schema", "field"]
LEASE: Final = "healing"
"""Its holder alone writes episodes."""

_MOST: Final = 1_000
_MOST_SIGNALS: Final = 5_000
_KEEP_MS: Final = 30 * 24 * HOUR_MS
_KEEP_FIELDS_MS: Final = 8 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One diagnosis with the action taken and its result.

    `subject`: what it is about: a model, a prompt version, a source. `body`: evidence, action, result, lesson.
    """

    id: Annotated[str, String(64)]
    state: Annotated[EpisodeState, String(16)]
    diagnosis: Annotated[str, String(32)]
    subject: Annotated[str, String(200)]
    created: datetime
    ended: datetime | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


healing_episodes = make_table("healing_episodes", Episode, Index(None, "created_ms"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A measurement that is kept for later comparison. `start_ms`: the latest hour of the kind `field`, else 0."""

    kind: Annotated[str, String(16)]
    subject: Annotated[str, String(200)]
    value: Annotated[str, String(256)]
    start_ms: int
    count: int
    first_ms: int
    last_ms: int


health_signals = make_table("health_signals", Signal, key=("kind", "subject", "value", "start_ms"))


class Healing(Repository):
    """Every method raises `StoreError`; what has returned is committed. Times are milliseconds since 1970."""

    # --- episodes ----------------------------------------------------------------------------------------

    async def put(self, episode: Episode, *, fence: int) -> None:
        """Add an episode, or replace it. Bumps `healing`."""
        table = healing_episodes
        row = {
            "id": episode.id,
            "state": episode.state,
            "diagnosis": episode.diagnosis,
            "subject": episode.subject,
            "created_ms": _milliseconds(episode.created),
            "ended_ms": None if episode.ended is None else _milliseconds(episode.ended),
            "body": dict(episode.body),
        }
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await upsert(connection, table, [row], replace=row.keys() - {"id"})
            await bump(connection, HEALING)

    async def recent(self, *, limit: int = 20, state: EpisodeState | None = None) -> list[Episode]:
        """The latest, newest first."""
        table = healing_episodes
        statement = select(table).order_by(table.c.created_ms.desc(), table.c.id.desc()).limit(min(limit, _MOST))
        if state is not None:
            statement = statement.where(table.c.state == state)
        return await self._all(Episode, statement)

    # --- signals -----------------------------------------------------------------------------------------

    async def add_signals(self, counts: Mapping[tuple[SignalKind, str, str], int], *, now_ms: int) -> None:
        """Add what was seen, by kind, subject and value; forget what was last seen long ago."""
        table = health_signals
        rows = [
            {
                "kind": kind,
                "subject": subject[:200],
                "value": value[:256],
                "start_ms": now_ms - now_ms % HOUR_MS if kind == "field" else 0,
                "count": count,
                "first_ms": now_ms,
                "last_ms": now_ms,
            }
            for (kind, subject, value), count in sorted(counts.items())
        ]
        if not rows:
            return
        async with self._database.write() as connection:
            await upsert(connection, table, rows, replace=["last_ms"], add=["count"])
            old = (table.c.last_ms < now_ms - _KEEP_MS) | (
                (table.c.kind == "field") & (table.c.last_ms < now_ms - _KEEP_FIELDS_MS)
            )
            await connection.execute(delete(table).where(old))

    async def signals(self, *, since_ms: int = 0, recent_ms: int = 0) -> list[Signal]:
        """Those last seen since then, in the order in which they were first seen; the hours of the kind `field` are
        summed, apart before and since `recent_ms`."""
        table = health_signals.c
        first = func.min(table.first_ms).label("first_ms")
        statement = (
            select(
                *(table.kind, table.subject, table.value),
                *(func.max(table.start_ms).label("start_ms"), func.sum(table["count"]).label("count")),
                *(first, func.max(table.last_ms).label("last_ms")),
            )
            .where(table.last_ms >= since_ms)
            .group_by(table.kind, table.subject, table.value, table.start_ms >= recent_ms)
            .order_by(first, table.subject, table.value)
            .limit(_MOST_SIGNALS)
        )
        rows = await self._rows(statement)
        return [Signal(**{**row._mapping, "count": int(row._mapping["count"])}) for row in rows]


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
