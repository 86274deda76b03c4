"""From what waits for a channel to the messages that it gets, and the trace of an attempt to send one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from tilores_core.contracts import SEVERITIES, AlertNotice, AlertState, NoticeEntry, Span, Trace

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import Delivery
    from tilores_core.store.alerts import StoredAlert

_MOST_TRACED: Final = 20


def group(ready: Sequence[Delivery], alerts: Mapping[str, StoredAlert], messages: int) -> list[tuple[Delivery, ...]]:
    """What shares a message: alerts of one kind; all of them when there are more kinds than `messages` may be sent.

    `messages`: at least one. The most severe come first.
    """

    def severity(delivery: Delivery) -> int:
        return SEVERITIES.index(alerts[delivery.fingerprint].alert.severity)

    tests = [(delivery,) for delivery in ready if delivery.reason == "test"]
    kinds: dict[str, list[Delivery]] = {}
    for delivery in sorted((delivery for delivery in ready if delivery.reason != "test"), key=severity):
        kinds.setdefault(alerts[delivery.fingerprint].alert.kind, []).append(delivery)
    groups = [tuple(found) for found in kinds.values()]
    if len(groups) + len(tests) > messages:
        groups = [tuple(delivery for found in groups for delivery in found)] if groups else []
    return [*groups, *tests][:messages]


def notice_of(message: str, deliveries: Sequence[Delivery], alerts: Mapping[str, StoredAlert]) -> AlertNotice | None:
    """The message as it is now: a figure may have risen since it was decided. None when its alerts were removed."""
    entries = []
    for delivery in deliveries:
        stored = alerts.get(delivery.fingerprint)
        if stored is None:
            continue
        is_over = delivery.reason == "resolved"
        # What was to be sent as open is followed by a message about its end.
        state = "resolved" if is_over else "acknowledged" if stored.state == "acknowledged" else "open"
        entries.append(
            NoticeEntry(
                alert=stored.alert,
                reason=delivery.reason,
                state=cast(AlertState, state),
                count=stored.raised,
                first_at=stored.first_ms / 1000,
                last_at=stored.last_ms / 1000,
                resolved_at=stored.resolved_ms / 1000 if is_over and stored.resolved_ms is not None else None,
                escalation=delivery.escalation,
            )
        )
    if not entries:
        return None
    entries.sort(key=lambda entry: (entry.state == "resolved", SEVERITIES.index(entry.alert.severity)))
    return AlertNotice(id=message, entries=tuple(entries))


def trace_of(
    notice: AlertNotice,
    deliveries: Sequence[Delivery],
    channel: str,
    *,
    began: float,
    ended: float,
    error: str | None,
) -> Trace:
    """One attempt to send a message: the wait for it, with the call of the channel and, up to 20, the alerts in it.

    `began`, `ended`: of the call, in seconds since the epoch. `error`: the code of what failed.
    """
    alerts = [
        Span(
            kind="alert",
            name=entry.alert.kind,
            started=entry.last_at,
            ended=entry.last_at,
            attributes={
                "severity": entry.alert.severity,
                "source": entry.alert.source,
                "reason": entry.reason,
                "state": entry.state,
                "raised": entry.count,
                **{
                    name: value
                    for name in ("model", "spectrum", "prompt_version")
                    if (value := getattr(entry.alert, name)) is not None
                },
            },
        )
        for entry in notice.entries[:_MOST_TRACED]
    ]
    sending = Span(kind="alert", name=f"send to {channel}", started=began, ended=ended, error=error)
    started = min(began, *(span.started for span in alerts), *(delivery.created_ms / 1000 for delivery in deliveries))
    root = Span(
        kind="alert",
        name="alert delivery",
        started=started,
        ended=ended,
        attributes={
            "channel": channel,
            "message": notice.id,
            "severity": notice.severity,
            "alerts": len(notice.entries),
            "attempt": deliveries[0].attempts + 1,
        },
        error=error,
        children=(*alerts, sending),
    )
    return Trace(id=str(uuid4()), root=root, tags=(f"channel:{channel}", f"severity:{notice.severity}"))
