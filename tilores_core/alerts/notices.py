"""From what waits for a channel to the messages that it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from tilores_core.contracts import SEVERITIES, AlertNotice, AlertState, NoticeEntry

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import Delivery
    from tilores_core.store.alerts import StoredAlert


def group(ready: Sequence[Delivery], alerts: Mapping[str, StoredAlert], messages: int) -> list[tuple[Delivery, ...]]:
    """What shares a message: alerts of one kind; all of them when there are more kinds than `messages` may be sent.

    `messages`: at least one. The most severe come first.
    """

    def severity(delivery: Delivery) -> int:
        return SEVERITIES.index(alerts[delivery.fingerprint].alert.severity)

    tests = [(delivery,) for delivery in ready if delivery.reason == "test"]
    kinds: dict[str, list[Delivery]] = {}
    for delivery in sorted((one for one in ready if one.reason != "test"), key=severity):
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
