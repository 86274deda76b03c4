"""What is to be sent of alerts: one row for each alert, reason and channel, from the decision until it is sent.

    waiting -> sent | failed

Rows that go out as one message share `message`, its id, which is kept before it is sent: a message that is sent again
after a crash has the same id. Only who leads writes here: each write is refused once the lease has another fence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, Index, String, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.contracts import NoticeReason
from tilores_core.store.alerts import StoredAlert, alerts
from tilores_core.store.changes import bump
from tilores_core.store.leases import require_lease
from tilores_core.store.repository import Repository
from tilores_core.store.schema import fit_row, make_table
from tilores_core.store.topics import ALERTS

DeliveryState = Literal["waiting", "sent", "failed"]
LEASE: Final = "alerts"
ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Times are milliseconds since 1970. `error`: why the last attempt failed; None before one has."""

    id: Annotated[str, String(64)] = field(default_factory=lambda: uuid4().hex)
    channel: Annotated[str, String(100)]
    fingerprint: Annotated[str, String(64)]
    reason: Annotated[NoticeReason, String(16)]
    escalation: int = 0
    state: Annotated[DeliveryState, String(16)] = "waiting"
    message: Annotated[str | None, String(64)] = None
    created_ms: int
    due_ms: int
    attempts: int = 0
    next_ms: int
    ended_ms: int | None = None
    error: str | None = None


alert_deliveries = make_table(
    "alert_deliveries",
    Delivery,
    Index(None, "state", "channel"),
    Index(None, "fingerprint"),
    Index(None, "ended_ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """What was decided of an alert: a message to these channels, or (`reason` None) that nothing more is sent."""

    alert: StoredAlert
    reason: NoticeReason | None
    channels: tuple[str, ...] = ()
    escalation: int = 0
    due_ms: int = 0


class Deliveries(Repository):
    """All methods raise `StoreError`, and those with a `fence` also when the lease `alerts` has another one."""

    async def plan(self, planned: Sequence[DeliveryPlan], *, now_ms: int, fence: int) -> None:
        """Note the messages and that they were decided, in one transaction."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            for plan in sorted(planned, key=lambda plan: plan.alert.fingerprint):
                await _note(connection, plan, now_ms)
                if plan.reason is not None:
                    for channel in plan.channels:
                        delivery = Delivery(
                            channel=channel,
                            fingerprint=plan.alert.fingerprint,
                            reason=plan.reason,
                            escalation=plan.escalation,
                            created_ms=now_ms,
                            due_ms=plan.due_ms,
                            next_ms=plan.due_ms,
                        )
                        await _put(connection, delivery)
            await bump(connection, ALERTS)

    async def ask_for_test(self, fingerprint: str, channels: Sequence[str], *, now_ms: int) -> None:
        """A test message, which the process that leads will send."""
        async with self._database.write() as connection:
            for channel in channels:
                test = Delivery(
                    channel=channel,
                    fingerprint=fingerprint,
                    reason="test",
                    created_ms=now_ms,
                    due_ms=now_ms,
                    next_ms=now_ms,
                )
                await _add(connection, test)
            await bump(connection, ALERTS)

    async def get_claimed(self, channel: str) -> list[Delivery]:
        """What belongs to messages that were put together and not yet sent; the oldest first."""
        return await self._waiting(channel, alert_deliveries.c.message.is_not(None))

    async def ready(self, channel: str, now_ms: int, limit: int) -> list[Delivery]:
        """What can be put into a message; the oldest first."""
        at_least = and_(alert_deliveries.c.message.is_(None), alert_deliveries.c.due_ms <= now_ms)
        return await self._waiting(channel, at_least, limit)

    async def claim(self, messages: Mapping[str, Sequence[Delivery]], *, fence: int) -> None:
        """Put these into messages with these ids."""
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            for message, deliveries in messages.items():
                these = alert_deliveries.c.id.in_([delivery.id for delivery in deliveries])
                await connection.execute(update(alert_deliveries).where(these).values(message=message))

    async def mark_sent(self, message: str, *, now_ms: int, fence: int) -> None:
        await self._end(message, {"state": "sent", "ended_ms": now_ms, "error": None}, fence)

    async def mark_failed(self, message: str, error: str, *, now_ms: int, fence: int) -> None:
        """It is given up."""
        await self._end(message, {"state": "failed", "ended_ms": now_ms, "error": error[:ERROR_CHARACTERS]}, fence)

    async def retry(self, message: str, error: str, *, next_ms: int, fence: int) -> None:
        await self._end(message, {"next_ms": next_ms, "error": error[:ERROR_CHARACTERS]}, fence)

    async def list_sent_since(self, channel: str, since_ms: int) -> list[int]:
        """When each message was sent, of those since then."""
        row = alert_deliveries.c
        statement = (
            select(func.max(row.ended_ms))
            .where(row.channel == channel, row.state == "sent", row.ended_ms >= since_ms)
            .group_by(row.message)
        )
        return [int(found[0]) for found in await self._rows(statement)]

    async def of_alert(self, fingerprint: str, limit: int = 50) -> list[Delivery]:
        """The newest first."""
        row = alert_deliveries.c
        statement = select(alert_deliveries).where(row.fingerprint == fingerprint)
        return await self._all(Delivery, statement.order_by(row.created_ms.desc(), row.id).limit(limit))

    async def counts(self) -> dict[tuple[str, str], int]:
        """How many there are by channel and state."""
        row = alert_deliveries.c
        statement = select(row.channel, row.state, func.count()).group_by(row.channel, row.state)
        return {(channel, state): count for channel, state, count in map(tuple, await self._rows(statement))}

    async def remove_before(self, ended_ms: int) -> int:
        """Remove what ended before then; how many."""
        return await self._change(delete(alert_deliveries).where(alert_deliveries.c.ended_ms < ended_ms))

    async def give_up_others(self, channels: Sequence[str], created_ms: int, now_ms: int) -> int:
        """Give up what was decided before then for channels that are no longer there; how many."""
        row = alert_deliveries.c
        old = row.state == "waiting", row.channel.not_in(channels), row.created_ms < created_ms
        values = {"state": "failed", "ended_ms": now_ms, "error": "the channel is no longer in [use] alerts"}
        return await self._change(update(alert_deliveries).where(*old).values(values))

    async def _waiting(
        self, channel: str, condition: ColumnElement[bool], limit: int | None = None
    ) -> list[Delivery]:
        row = alert_deliveries.c
        statement = select(alert_deliveries).where(row.state == "waiting", row.channel == channel, condition)
        return await self._all(Delivery, statement.order_by(row.created_ms, row.id).limit(limit))

    async def _end(self, message: str, values: Mapping[str, Any], fence: int) -> None:
        row = alert_deliveries.c
        statement = update(alert_deliveries).where(row.message == message, row.state == "waiting")
        async with self._database.write() as connection:
            await require_lease(connection, LEASE, fence)
            await connection.execute(statement.values(**values, attempts=row.attempts + 1))
            await bump(connection, ALERTS)


async def _note(connection: AsyncConnection, plan: DeliveryPlan, now_ms: int) -> None:
    """On the alert's row. It may have been raised or resolved since: what is noted is of what was read."""
    alert = plan.alert
    values: dict[str, Any] = {}
    if plan.reason is not None and (plan.reason != "resolved" or alert.noticed_episode != alert.episode):
        values |= {
            "noticed_episode": alert.episode,
            "noticed_ms": now_ms,
            "noticed_severity": alert.alert.severity,
            "noticed_raised": alert.raised,
            "escalation": plan.escalation,
        }
        if plan.reason != "repeated":
            values["escalated_ms"] = now_ms
    row = alerts.c
    where = [row.fingerprint == alert.fingerprint, row.episode == alert.episode]
    if alert.state == "resolved" or plan.reason is None:
        values["settled"] = True
        where += [row.state == alert.state, row.raised == alert.raised]
    if values:
        await connection.execute(update(alerts).where(*where).values(**values))


async def _put(connection: AsyncConnection, delivery: Delivery) -> None:
    """What waits for the channel already, and is in no message yet, becomes the newer one: one message says both."""
    row = alert_deliveries.c
    waiting = and_(row.state == "waiting", row.message.is_(None), row.reason != "test")
    statement = update(alert_deliveries).where(
        waiting, row.channel == delivery.channel, row.fingerprint == delivery.fingerprint
    )
    newer = statement.values(reason=delivery.reason, escalation=delivery.escalation)
    if not (await connection.execute(newer)).rowcount:
        await _add(connection, delivery)


async def _add(connection: AsyncConnection, delivery: Delivery) -> None:
    await connection.execute(alert_deliveries.insert().values(fit_row(alert_deliveries, asdict(delivery))))
