"""What is sent of an alert, when and where to: pure decisions from its row, the settings and the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from tilores_core.contracts import SEVERITIES, Alert, Severity
from tilores_core.settings import AlertsTable, MaintenanceTable, RouteTable

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import DeliveryPlan
    from tilores_core.store.alerts import Silence, StoredAlert

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK_MS: Final = 60_000
"""By so much the clocks of two machines may differ."""
_WORTH_AN_END_MS: Final = 60_000
"""An alert that was over before anything was sent of it is reported, as resolved, when it lasted this long."""


def is_under_maintenance(window: MaintenanceTable, alert: Alert, now: float) -> bool:
    """Whether the window is in force at `now` (seconds since the epoch) and is about this alert."""
    if window.kinds and not any(fnmatchcase(alert.kind, kind) for kind in window.kinds):
        return False
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(window.zone))
    start, end = window.hours
    for day in (local.date(), local.date() - timedelta(days=1)):
        if window.days and _WEEKDAYS[day.weekday()] not in window.days:
            continue
        begins = datetime.combine(day, start, local.tzinfo)
        ends = datetime.combine(day + timedelta(days=end <= start), end, local.tzinfo)
        if begins <= local < ends:
            return True
    return False


def _has_passed(since_ms: int | None, pause_ms: float, now_ms: int) -> bool:
    """Whether the pause is over. One that began in the future did so before the clock was put back: it is."""
    return since_ms is None or not -_CLOCK_MS <= now_ms - since_ms < pause_ms


def _matches(route: RouteTable, alert: Alert) -> bool:
    return (
        (not route.severities or alert.severity in route.severities)
        and (not route.kinds or any(fnmatchcase(alert.kind, kind) for kind in route.kinds))
        and (not route.sources or alert.source in route.sources)
        and (not route.spectrums or alert.spectrum in route.spectrums)
    )


class AlertPolicy:
    """Decides when and to which channels an alert is sent, from `[alerts]`.

    `channels`: the names of those that are there, in the order of `[use] alerts`.
    """

    def __init__(self, table: AlertsTable, channels: Sequence[str]) -> None:
        self._table = table
        self._channels = tuple(channels)

    def channels(self, alert: Alert) -> tuple[str, ...]:
        """Where an alert goes: the channels of its routes; all of them when it has none that is there."""
        routed = {name for route in self._table.routes if _matches(route, alert) for name in route.channels}
        return tuple(name for name in self._channels if name in routed) or self._channels

    def is_sent(self, severity: Severity) -> bool:
        return SEVERITIES.index(severity) <= SEVERITIES.index(self._table.min_severity)

    def is_held(self, stored: StoredAlert, silences: Sequence[Silence], now_ms: int) -> bool:
        """Whether a silence or a maintenance window keeps everything of it back for now."""
        alert = stored.alert
        if any(silence.matches(alert, stored.fingerprint) for silence in silences):
            return True
        return any(is_under_maintenance(window, alert, now_ms / 1000) for window in self._table.maintenance)

    def escalation(self, severity: Severity) -> tuple[int, int]:
        """The pause in milliseconds before each escalation, and how many there are."""
        table = self._table.escalation
        minutes, times = {
            "CRITICAL": (table.critical_minutes, table.critical_times),
            "HIGH": (table.high_minutes, table.high_times),
            "MEDIUM": (table.medium_minutes, table.medium_times),
        }.get(severity, (0.0, 0))
        return round(minutes * 60_000), times

    def decide(self, stored: StoredAlert, silences: Sequence[Silence], now_ms: int) -> DeliveryPlan | None:
        """What is to be sent now; None: nothing yet. `silences`: those in force.

        - Not yet sent in this episode: sent, unless the last message about it is younger than `repeat_minutes`.
        - More severe than when it was sent: sent at once.
        - Open and not acknowledged: escalated as its severity says; repeated when it was raised again and
          `repeat_minutes` have passed.
        - Resolved: its end is sent once to where its beginning was.
        """
        from tilores_core.store.alert_deliveries import DeliveryPlan

        severity = stored.alert.severity
        is_noticed = stored.noticed_episode == stored.episode
        if not self.is_sent(severity) and not (is_noticed and stored.state == "resolved"):
            return DeliveryPlan(alert=stored, reason=None)
        if self.is_held(stored, silences, now_ms):
            return None
        channels = self.channels(stored.alert)
        due = now_ms + round(self._table.group_seconds * 1000)
        if stored.state == "resolved":
            if not (is_noticed or self._is_worth_an_end(stored, now_ms)):
                return DeliveryPlan(alert=stored, reason=None)
            return DeliveryPlan(
                alert=stored, reason="resolved", channels=channels, escalation=stored.escalation, due_ms=due
            )
        if self._has_risen(stored) or (not is_noticed and self._may_repeat(stored, now_ms)):
            return DeliveryPlan(alert=stored, reason="raised", channels=channels, due_ms=due)
        if not is_noticed or stored.state == "acknowledged":
            return None
        pause, times = self.escalation(severity)
        if stored.escalation < times and _has_passed(stored.escalated_ms, pause, now_ms):
            level = stored.escalation + 1
            return DeliveryPlan(alert=stored, reason="escalated", channels=channels, escalation=level, due_ms=now_ms)
        if stored.raised > stored.noticed_raised and self._may_repeat(stored, now_ms):
            return DeliveryPlan(
                alert=stored, reason="repeated", channels=channels, escalation=stored.escalation, due_ms=due
            )
        return None

    def _may_repeat(self, stored: StoredAlert, now_ms: int) -> bool:
        return _has_passed(stored.noticed_ms, self._table.repeat_minutes * 60_000, now_ms)

    def _has_risen(self, stored: StoredAlert) -> bool:
        if stored.noticed_severity is None or stored.state == "acknowledged":
            return False
        return SEVERITIES.index(stored.alert.severity) < SEVERITIES.index(stored.noticed_severity)

    def _is_worth_an_end(self, stored: StoredAlert, now_ms: int) -> bool:
        lasted = (stored.resolved_ms or now_ms) - stored.first_ms
        return lasted >= _WORTH_AN_END_MS and self._may_repeat(stored, now_ms)
