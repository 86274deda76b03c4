"""Alerts that were raised: one row for each fingerprint, with its latest episode and what was planned of it.

open -> acknowledged
  |          |
  v          v
   resolved          raised again: open, and the next episode

Alerts that match a silence are kept and listed, and nothing is sent of them until it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Index,
    Row,
    String,
    Text,
    Update,
    and_,
    case,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.contracts import SEVERITIES, Alert, AlertState, Severity
from tilores_core.store.changes import bump
from tilores_core.store.repository import Repository, read_row
from tilores_core.store.schema import fit_row, insert, make_table
from tilores_core.store.topics import ALERTS, AlertReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAlert:
    """An alert and how it stands. Times are milliseconds since 1970; `raised`: how often, in this episode.

    `settled`: nothing more is to be sent of this episode. `noticed_*`: of the last message that was planned, with
    the episode that it was about (0: none yet); `escalated_ms`: of the first message or the last escalation.
    """

    alert: Alert
    fingerprint: Annotated[str, String(64)]
    state: Annotated[AlertState, String(16)]
    episode: int
    raised: int
    first_ms: int
    last_ms: int
    acknowledged_ms: int | None = None
    acknowledged_by: Annotated[str | None, String(200)] = None
    resolved_ms: int | None = None
    settled: bool = False
    noticed_episode: int = 0
    noticed_ms: int | None = None
    noticed_severity: Annotated[Severity | None, String(16)] = None
    noticed_raised: int = 0
    escalation: int = 0
    escalated_ms: int | None = None


alerts = make_table(
    "alerts",
    StoredAlert,
    Column("kind", String(100), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", String(300), nullable=False),
    Column("detail", Text, nullable=False),
    Column("source", String(100), nullable=False),
    Column("model", String(200)),
    Column("spectrum", String(100)),
    Column("prompt_version", String(200)),
    Column("labels", JSON, nullable=False),
    Column("figures", JSON, nullable=False),
    Column("expires_after_ms", BigInteger),
    Index(None, "settled"),
    Index(None, "last_ms"),
    key=("fingerprint",),
    without=("alert",),
)
LIMITS: Final = {
    column.name: column.type.length for column in alerts.c if isinstance(column.type, String) and column.type.length
}
"""The longest text of each column, in characters."""
DETAIL_CHARACTERS: Final = 2000


class Alerts(Repository):
    """All methods raise `StoreError`. Those that change something raise the topic `alerts`."""

    async def report(self, reports: Sequence[AlertReport]) -> None:
        """Note what was raised and cleared, in one transaction."""
        async with self._database.write() as connection:
            # In one order, so that two processes do not wait for each other's rows.
            for report in sorted(reports, key=lambda report: report.fingerprint):
                if report.alert is not None and report.count:
                    await _raise(connection, report, report.alert)
                if report.cleared_ms is not None:
                    await connection.execute(_resolve(alerts.c.fingerprint == report.fingerprint, report.cleared_ms))
            await bump(connection, ALERTS)

    async def resolve(self, fingerprint: str, now_ms: int) -> bool:
        """Resolve it by hand; False when it is not open. It opens again when it is raised again."""
        return await self._change(_resolve(alerts.c.fingerprint == fingerprint, now_ms), ALERTS) > 0

    async def acknowledge(self, fingerprint: str, now_ms: int, by: str) -> bool:
        """Someone looks after it: no repetition, no escalation. False when it is not open."""
        statement = (
            update(alerts)
            .where(alerts.c.fingerprint == fingerprint, alerts.c.state == "open")
            .values(state="acknowledged", acknowledged_ms=now_ms, acknowledged_by=by[: LIMITS["acknowledged_by"]])
        )
        return await self._change(statement, ALERTS) > 0

    async def get(self, fingerprint: str) -> StoredAlert | None:
        """By its fingerprint, or by the beginning of one that no other has."""
        literal = fingerprint.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        statement = select(alerts).where(alerts.c.fingerprint.like(f"{literal}%", escape="\\")).limit(2)
        rows = await self._rows(statement)
        return _read_stored(rows[0]) if len(rows) == 1 else None

    async def recent(self, *, states: Iterable[AlertState] = (), limit: int = 100) -> list[StoredAlert]:
        """Of the given states (default all), the one that was raised last first."""
        statement = select(alerts).order_by(alerts.c.last_ms.desc(), alerts.c.fingerprint).limit(limit)
        if wanted := tuple(states):
            statement = statement.where(alerts.c.state.in_(wanted))
        return [_read_stored(row) for row in await self._rows(statement)]

    async def list_unsettled(self, limit: int) -> list[StoredAlert]:
        """Of which something may have to be sent; those that are over or of which nothing was sent come first.

        (However many are open, the others come to their turn.)
        """
        row = alerts.c
        is_later = case((and_(row.noticed_episode == row.episode, row.state != "resolved"), 1), else_=0)
        statement = select(alerts).where(row.settled.is_(False))
        statement = statement.order_by(is_later, row.first_ms, row.fingerprint).limit(limit)
        return [_read_stored(row) for row in await self._rows(statement)]

    async def of(self, fingerprints: Iterable[str]) -> dict[str, StoredAlert]:
        """Those alerts that are there, by fingerprint; of some thousands at most."""
        statement = select(alerts).where(alerts.c.fingerprint.in_(set(fingerprints)))
        return {row.fingerprint: _read_stored(row) for row in await self._rows(statement)}

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many there are by state and severity."""
        statement = select(alerts.c.state, alerts.c.severity, func.count()).group_by(
            alerts.c.state, alerts.c.severity
        )
        return {(state, severity): count for state, severity, count in map(tuple, await self._rows(statement))}

    async def expire(self, now_ms: int, after_ms: int) -> int:
        """Resolve those that were not raised for as long as they say, or `after_ms`; how many."""
        age = now_ms - alerts.c.last_ms
        limit = func.coalesce(alerts.c.expires_after_ms, after_ms)
        stale = select(alerts.c.fingerprint).where(alerts.c.state != "resolved", age > limit)
        if not await self._rows(stale.limit(1)):  # without a lock, which most calls need not take
            return 0
        return await self._change(_resolve(age > limit, now_ms), ALERTS)

    async def remove_before(self, last_ms: int) -> int:
        """Remove resolved ones that were raised last before then; how many."""
        statement = delete(alerts).where(
            alerts.c.state == "resolved", alerts.c.settled.is_(True), alerts.c.last_ms < last_ms
        )
        return await self._change(statement)


async def _raise(connection: AsyncConnection, report: AlertReport, alert: Alert) -> None:
    expires = None if alert.expires_seconds is None else round(alert.expires_seconds * 1000)
    texts = alert.as_dict()
    labels, figures = texts.pop("labels"), texts.pop("values")
    del texts["expires_seconds"]
    latest = {
        **{name: _cut(name, value) for name, value in texts.items()},
        "labels": labels,
        "figures": figures,
        "expires_after_ms": expires,
        "last_ms": report.last_ms,
        "settled": False,
    }
    first = {"state": "open", "episode": 1, "raised": report.count, "first_ms": report.first_ms}
    planned = {"noticed_episode": 0, "noticed_raised": 0, "escalation": 0}
    again, row = alerts.c.state == "resolved", alerts.c

    def reopened(then: Any, else_: Any) -> Any:
        return case((again, then), else_=else_)

    statement = insert(connection, alerts).values(fingerprint=report.fingerprint, **latest, **first, **planned)
    statement = statement.on_conflict_do_update(
        index_elements=[row.fingerprint],
        set_={
            **latest,
            "state": reopened("open", row.state),
            "episode": reopened(row.episode + 1, row.episode),
            "raised": reopened(report.count, row.raised + report.count),
            "first_ms": reopened(report.first_ms, row.first_ms),
            "acknowledged_ms": reopened(None, row.acknowledged_ms),
            "acknowledged_by": reopened(None, row.acknowledged_by),
            "resolved_ms": None,
            "escalation": reopened(0, row.escalation),
            "escalated_ms": reopened(None, row.escalated_ms),
        },
    )
    await connection.execute(statement)


def _cut(name: str, value: str | None) -> str | None:
    """What a plugin says may be of any length; a title that is cut is better than none."""
    return None if value is None else value.replace("\0", "")[: LIMITS.get(name, DETAIL_CHARACTERS)]


def _resolve(which: ColumnElement[bool], now_ms: int) -> Update:
    statement = update(alerts).where(which, alerts.c.state != "resolved")
    return statement.values(state="resolved", resolved_ms=now_ms, settled=False)


def _read_stored(row: Row[Any]) -> StoredAlert:
    expires = None if row.expires_after_ms is None else row.expires_after_ms / 1000
    severity = row.severity if row.severity in SEVERITIES else "HIGH"
    alert = read_row(Alert, row, severity=severity, values=row.figures, expires_seconds=expires)
    return read_row(StoredAlert, row, alert=alert)


# --- silences ---------------------------------------------------------------------------------------------


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
