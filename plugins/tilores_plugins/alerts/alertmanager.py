"""Alerts to a Prometheus Alertmanager, by its API v2: https://prometheus.io/docs/alerting/latest/clients/.

Alertmanager takes alerts with the same labels for one alert. It resolves one whose `endsAt` has passed, so that of an
open alert is a day ahead, and its end sets it to when it was resolved. A test ends by itself after some minutes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tilores_core import (
    Alert,
    AlertChannel,
    AlertChannelSpec,
    AlertNotice,
    NoticeEntry,
    PluginContext,
    Severity,
    hookimpl,
)

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_SEVERITIES: Final[tuple[Severity, ...]] = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFO")
_TEST_SECONDS: Final = 300.0  # longer than Alertmanager gathers the alerts of a group before it notifies


class Settings(BaseModel):
    """`[plugins.alertmanager]`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: SecretStr | None = Field(
        None, description="of the Alertmanager, such as http://alertmanager:9093; none: the channel is off"
    )
    timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest time for one message")
    hold_hours: float = Field(
        25.0, gt=0, le=8760, description="Alertmanager resolves an alert by itself that was not sent for so long"
    )


def alerts_of(entry: NoticeEntry, *, now: float, hold_seconds: float) -> Iterator[dict[str, Any]]:
    """The alert; and where it was raised before, the end of those of other severities: they have other labels."""
    held = min(_TEST_SECONDS, hold_seconds) if entry.reason == "test" else hold_seconds
    ends = (entry.resolved_at or now) if entry.state == "resolved" else now + held
    times = {"startsAt": _time(entry.first_at), "endsAt": _time(max(ends, entry.first_at))}
    labels = _labels(entry.alert)
    yield {"labels": labels, "annotations": _annotations(entry), **times}
    if entry.count > 1 and entry.reason in ("raised", "resolved"):
        over = {"startsAt": _time(entry.first_at), "endsAt": _time(max(now, entry.first_at))}
        for severity in _SEVERITIES:
            if severity != entry.alert.severity:
                yield {"labels": labels | {"severity": severity.lower()}, **over}


def _labels(alert: Alert) -> dict[str, str]:
    labels = {f"label_{_NO_NAME.sub('_', name)}": value for name, value in alert.labels.items()}
    labels |= {"alertname": alert.kind, "severity": alert.severity.lower(), "source": alert.source}
    for name in ("model", "spectrum", "prompt_version"):
        if (value := getattr(alert, name)) is not None:
            labels[name] = value
    return labels


def _annotations(entry: NoticeEntry) -> dict[str, str]:
    alert = entry.alert
    values = {f"value_{_NO_NAME.sub('_', name)}": f"{number:g}" for name, number in alert.values.items()}
    return values | {
        "summary": alert.title,
        "description": alert.detail,
        "count": str(entry.count),
        "fingerprint": alert.fingerprint,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def build(context: PluginContext) -> AlertChannel:
    """Raises `PluginError` when there is no address."""
    from tilores_plugins.alerts.http_post import HttpChannel

    settings: Settings = context.settings

    def request(notice: AlertNotice) -> tuple[list[dict[str, Any]], dict[str, str]]:
        now, hold = time.time(), settings.hold_hours * 3600
        return [one for entry in notice.entries for one in alerts_of(entry, now=now, hold_seconds=hold)], {}

    fix = "set ALERTMANAGER_URL, or url in its table"
    return HttpChannel.to(context, settings.url, request, path="/api/v2/alerts", fix=fix)


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [
        AlertChannelSpec(
            name="alertmanager",
            factory=build,
            settings=Settings,
            requires={"httpx": "tilores-core[alerts]"},
            environment={"url": "ALERTMANAGER_URL"},
            summary="A Prometheus Alertmanager",
        )
    ]
