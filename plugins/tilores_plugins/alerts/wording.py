"""A notice as text and as JSON, for channels that have no form of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from tilores_core import AlertNotice, NoticeEntry

MOST_SHOWN: Final = 20


def printable(text: str) -> str:
    """Return `text` in one line, without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def facts(entry: NoticeEntry) -> Iterator[tuple[str, str]]:
    """What is known of an alert beside its title, as name and value."""
    alert = entry.alert
    yield "severity", alert.severity
    yield "kind", alert.kind
    for name in ("source", "model", "spectrum", "prompt_version"):
        if value := getattr(alert, name):
            yield name.replace("_", " "), printable(value)
    for name, value in sorted(alert.labels.items()):
        yield printable(name), printable(value)
    for name, number in sorted(alert.values.items()):
        yield printable(name), f"{number:g}"
    yield "raised", f"{entry.count} times" if entry.count > 1 else "once"
    yield "first", format_time(entry.first_at)
    if entry.count > 1:
        yield "last", format_time(entry.last_at)
    if entry.resolved_at is not None:
        yield "resolved", format_time(entry.resolved_at)
    if entry.escalation:
        yield "escalation", str(entry.escalation)
    yield "fingerprint", alert.fingerprint[:12]


def word(entry: NoticeEntry) -> str:
    """The state of an alert in one word."""
    if entry.reason == "test":
        return "TEST"
    return "RESOLVED" if entry.state == "resolved" else entry.alert.severity


def paragraphs(notice: AlertNotice) -> Iterator[str]:
    """One paragraph for each alert that is shown, and one for the rest."""
    for entry in notice.entries[:MOST_SHOWN]:
        lines = [f"[{word(entry)}] {printable(entry.alert.title)}"]
        if entry.alert.detail:
            lines.append(printable(entry.alert.detail))
        lines += [f"  {name}: {value}" for name, value in facts(entry)]
        yield "\n".join(lines)
    if (rest := len(notice.entries) - MOST_SHOWN) > 0:
        yield f"and {rest} more alerts: {len(notice.entries)} altogether, raised {notice.count} times"


def as_json(notice: AlertNotice, most: int) -> dict[str, Any]:
    """The notice with at most so many of its alerts. Times are seconds since the epoch."""
    return {
        "id": notice.id,
        "severity": notice.severity,
        "resolved": notice.is_resolved,
        "headline": printable(notice.headline),
        "alerts_total": len(notice.entries),
        "raised_total": notice.count,
        "alerts": [
            {
                "fingerprint": entry.alert.fingerprint,
                **entry.alert.as_dict(),
                "reason": entry.reason,
                "state": entry.state,
                "count": entry.count,
                "escalation": entry.escalation,
                "first_at": entry.first_at,
                "last_at": entry.last_at,
                "resolved_at": entry.resolved_at,
            }
            for entry in notice.entries[:most]
        ],
    }
