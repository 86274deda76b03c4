"""Notices as lines of the log of the process that delivers them."""

from __future__ import annotations

from typing import Final

import structlog

from tilores_core import AlertChannelSpec, AlertNotice, PluginContext, hookimpl

log = structlog.get_logger(part="alerts")

_MOST_LINES: Final = 50


class LogChannel:
    """One line for each alert; those beyond fifty are one line with their number."""

    async def send(self, notice: AlertNotice) -> None:
        for entry in notice.entries[:_MOST_LINES]:
            alert = entry.alert
            values = {
                "kind": alert.kind,
                "severity": alert.severity,
                "reason": entry.reason,
                "title": alert.title,
                "detail": alert.detail,
                "count": entry.count,
                "fingerprint": alert.fingerprint[:12],
            }
            if entry.state == "resolved" or alert.severity == "INFO":
                log.info("alerts.notice", **values)
            elif alert.severity in ("CRITICAL", "HIGH"):
                log.error("alerts.notice", **values)
            else:
                log.warning("alerts.notice", **values)
        if (rest := len(notice.entries) - _MOST_LINES) > 0:
            log.warning("alerts.notice_cut", alerts=len(notice.entries), not_shown=rest)

    async def aclose(self) -> None:
        return None


def build(context: PluginContext) -> LogChannel:
    return LogChannel()


@hookimpl
def register_alert_channels() -> list[AlertChannelSpec]:
    return [AlertChannelSpec(name="log", factory=build, summary="Lines in the worker's log")]
