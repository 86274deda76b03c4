"""`[alerts]`: when and where alerts are sent; the channels' own settings are in their plugins' tables."""

from __future__ import annotations

from datetime import time
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from tilores_core.contracts import Severity
from tilores_core.settings.table import Table

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class EscalationTable(Table):
    """`[alerts.escalation]`: when an alert that is neither acknowledged nor resolved is sent again. LOW and INFO are
    never escalated."""

    critical_minutes: float = Field(5.0, gt=0, le=1440, description="pause before each escalation of CRITICAL")
    critical_times: int = Field(3, ge=0, le=20, description="how often a CRITICAL alert is escalated")
    high_minutes: float = Field(15.0, gt=0, le=1440, description="the same for HIGH")
    high_times: int = Field(2, ge=0, le=20, description="the same for HIGH")
    medium_minutes: float = Field(60.0, gt=0, le=1440, description="the same for MEDIUM")
    medium_times: int = Field(1, ge=0, le=20, description="the same for MEDIUM")


class RouteTable(Table):
    """`[[alerts.routes]]`: which alerts go to which channels. What is empty matches every alert; an alert goes to the
    channels of all routes that match, and to all of `[use] alerts` when none does."""

    channels: tuple[str, ...] = Field(min_length=1, description="names of channels, of those in [use] alerts")
    severities: tuple[Severity, ...] = Field((), description="severities")
    kinds: tuple[str, ...] = Field((), description="kinds of alerts; `*` stands for any characters")
    sources: tuple[str, ...] = Field((), description="parts that raised it")
    spectrums: tuple[str, ...] = Field((), description="spectrums; alerts without one do not match")


class MaintenanceTable(Table):
    """`[[alerts.maintenance]]`: times at which nothing is sent. What still holds afterwards is sent then."""

    days: tuple[Day, ...] = Field((), description="days on which it begins; empty: every day")
    start: str = Field(pattern=_TIME, description="HH:MM")
    end: str = Field(pattern=_TIME, description="HH:MM; before start: on the next day")
    zone: str = Field("UTC", description="time zone, as Europe/Berlin")
    kinds: tuple[str, ...] = Field((), description="kinds of alerts; `*` stands for any characters; empty: all")

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("there is no such time zone") from None
        return value

    @property
    def hours(self) -> tuple[time, time]:
        return time.fromisoformat(self.start), time.fromisoformat(self.end)


class AlertsTable(Table):
    """`[alerts]`: when and where alerts are sent; `[use] alerts` names the channels."""

    min_severity: Severity = Field("LOW", description="less severe alerts are kept and listed, not sent")
    repeat_minutes: float = Field(
        15.0,
        gt=0,
        le=10_080,
        description="at most one message about one alert in so long, but for escalations and its end",
    )
    group_seconds: float = Field(5.0, ge=0, le=300, description="how long a message waits for alerts of its kind")
    max_per_minute: int = Field(
        10, ge=1, le=1000, description="messages per minute and channel; beyond it alerts wait and share one message"
    )
    expire_hours: float = Field(
        24.0, gt=0, le=8760, description="an alert that was not raised again for so long is resolved"
    )
    send_seconds: float = Field(10.0, gt=0, le=120, description="longest time a channel may take for one message")
    give_up_hours: float = Field(
        24.0, gt=0, le=720, description="how long a message is tried again before it is given up"
    )
    keep_days: float = Field(30.0, gt=0, le=3650, description="how long resolved alerts and messages are kept")
    grounding_blocked: int = Field(
        5, ge=1, description="blocked answers in five minutes, in one process, from which an alert is raised"
    )
    escalation: EscalationTable = EscalationTable()
    routes: tuple[RouteTable, ...] = ()
    maintenance: tuple[MaintenanceTable, ...] = ()
