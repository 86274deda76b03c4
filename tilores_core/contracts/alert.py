"""Alerts: what is raised (`Alert`, `AlertSink`), and what a channel delivers (`AlertNotice`, `AlertChannel`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Protocol

from tilores_core.contracts.source import empty_mapping

Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO"]
SEVERITIES: Final[tuple[Severity, ...]] = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO")
"""The most severe first."""

AlertState = Literal["open", "acknowledged", "resolved"]
NoticeReason = Literal["raised", "repeated", "escalated", "resolved", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that someone should look at. It never holds a customer's data or a secret: it leaves the machine.

    `kind`: dotted, what is wrong (`model.down`). `source`: the part that found it. `labels` tell alerts of one kind
    apart; `values` are the figures of this time and change without making it another alert. `expires_seconds`: the
    alert is resolved when it was not raised again for so long; None: as `[alerts] expire_hours` says.
    """

    kind: str
    severity: Severity
    title: str
    source: str
    detail: str = ""
    model: str | None = None
    spectrum: str | None = None
    prompt_version: str | None = None
    labels: Mapping[str, str] = field(default_factory=empty_mapping)
    values: Mapping[str, float] = field(default_factory=empty_mapping)
    expires_seconds: float | None = None

    @property
    def fingerprint(self) -> str:
        """32 hex digits of the SHA-256 of what makes it this alert: not of severity, words or figures."""
        parts = [self.kind, self.source, self.model, self.spectrum, self.prompt_version, sorted(self.labels.items())]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Its fields by name, as JSON values."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return own | {"labels": dict(self.labels), "values": dict(self.values)}


class AlertSink(Protocol):
    """Where alerts are raised. Neither method waits or raises; both may be called from any thread or event loop."""

    def raise_alert(self, alert: Alert) -> None:
        """The condition holds. Raising it again counts it; what is sent, and how often, is decided behind this."""

    def clear(self, fingerprint: str) -> None:
        """The condition no longer holds. A fingerprint that is not open is ignored."""


class NoAlerts:
    """An `AlertSink` of a process without one: it ignores everything."""

    def raise_alert(self, alert: Alert) -> None:
        return None

    def clear(self, fingerprint: str) -> None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeEntry:
    """One alert of a notice. Times are seconds since the epoch.

    `count`: how often it was raised since it opened. `escalation`: how often it was escalated, 0 the first time.
    `resolved_at`: None while the condition holds.
    """

    alert: Alert
    reason: NoticeReason
    state: AlertState = "open"
    count: int = 1
    first_at: float
    last_at: float
    resolved_at: float | None = None
    escalation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertNotice:
    """One message for a channel: one alert, several that belong together, or a storm.

    `id` is the same when the notice is sent again after a failure, so that a receiver can drop what it had.
    `entries`: the most severe first, at least one. A channel shows as many as its message takes and the number of
    the rest.
    """

    id: str
    entries: tuple[NoticeEntry, ...]

    @property
    def severity(self) -> Severity:
        """The most severe of the entries'."""
        return min((entry.alert.severity for entry in self.entries), key=SEVERITIES.index)

    @property
    def is_resolved(self) -> bool:
        """Whether no entry's condition holds any more."""
        return all(entry.state == "resolved" for entry in self.entries)

    @property
    def count(self) -> int:
        """How often the alerts of this notice were raised, together."""
        return sum(entry.count for entry in self.entries)

    @property
    def headline(self) -> str:
        """One line without line breaks: state or severity, title, and how many more there are."""
        first = self.entries[0]
        word = {"test": "TEST", "resolved": "RESOLVED"}.get(first.reason, first.alert.severity)
        if self.is_resolved:
            word = "RESOLVED"
        title = " ".join(first.alert.title.split())
        more, tail = len(self.entries) - 1, ""
        if more:
            tail = f" (and {more} more alert{'s' if more > 1 else ''}, raised {self.count} times together)"
        elif first.count > 1:
            tail = f" (raised {first.count} times)"
        escalated = f", escalation {first.escalation}" if first.escalation else ""
        return f"[{word}{escalated}] {title}{tail}"


class AlertChannel(Protocol):
    """Somewhere notices go. Called in the event loop of the worker process, one notice at a time."""

    async def send(self, notice: AlertNotice) -> None:
        """Deliver the notice; when it returns, the receiver has it.

        Raises `AlertChannelError` when the channel does not take anything now: it is tried again, after `retry_after`
        seconds where that is given. Raises `AlertRefusedError` when the receiver refuses this notice: others go on
        before it. Anything else counts as the first. Has a deadline, after which it is cancelled.
        """

    async def aclose(self) -> None: ...
