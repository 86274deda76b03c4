"""What an operator does with alerts: list, show, acknowledge, resolve, silence, test. For commands and `/admin`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from tilores_core.contracts import SEVERITIES, Alert, AlertChannel, AlertNotice, AlertState, NoticeEntry, Severity
from tilores_core.errors import InvalidRequestError, UnknownNameError
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import AlertReport

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import Delivery
    from tilores_core.store.alerts import StoredAlert

MOST_LISTED: Final = 1000
_SHOWN: Final = 10
_SILENCE: Final = (
    *("id", "fingerprint", "kind", "severity", "source", "model", "spectrum"),
    *("until_clear", "owner", "comment"),
)
_FINGERPRINT: Final = re.compile("[0-9a-f]{1,64}")
_OPEN: Final[tuple[AlertState, ...]] = ("open", "acknowledged")


def sample_notice(severity: Severity, now: float) -> AlertNotice:
    """A message that says that it is a test."""
    alert = sample_alert(severity)
    return AlertNotice(id=uuid4().hex, entries=(NoticeEntry(alert=alert, reason="test", first_at=now, last_at=now),))


def sample_alert(severity: Severity) -> Alert:
    return Alert(
        kind="alerts.test",
        severity=severity,
        title="This is a test of the alert channel",
        detail="Nothing is wrong. It was sent by `tilores alerts test`, or through /admin/alerts/channels/test.",
        source="alerts",
    )


async def send_test(
    channels: Mapping[str, AlertChannel], severity: Severity, seconds: float
) -> dict[str, str | None]:
    """Send a test message from this process; by channel None, or why it failed."""

    async def send(channel: AlertChannel) -> str | None:
        try:
            async with asyncio.timeout(seconds):
                await channel.send(sample_notice(severity, time.time()))
        except TimeoutError:
            return f"no answer within {seconds:g} s"
        except Exception as error:  # a stranger's code
            return str(getattr(error, "message", type(error).__name__))
        return None

    return dict(zip(channels, await asyncio.gather(*(send(channel) for channel in channels.values())), strict=True))


class AlertDesk:
    """Lists, tests, acknowledges, resolves and silences alerts, for the command line and `/admin/alerts`.

    `channels`: names of `[use] alerts`. `wake`: wakes the process that delivers. `clock`: seconds since the epoch.

    All methods raise `StoreError`, and `InvalidRequestError` for what is not there.
    """

    def __init__(
        self,
        store: LazyStore,
        channels: Sequence[str],
        *,
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.channels = tuple(channels)
        self._store = store
        self._wake = wake
        self._clock = clock

    async def list_alerts(self, *, everything: bool = False, limit: int = 100) -> list[dict[str, Any]]:
        """Open and acknowledged ones, with `everything` also the resolved; the one that was raised last first."""
        store = await self._store.get()
        found = await store.alerts.recent(states=() if everything else _OPEN, limit=min(limit, MOST_LISTED))
        silences = await store.silences.current(self._now_ms())
        return [
            _to_row(stored) | {"silenced": any(it.matches(stored.alert, stored.fingerprint) for it in silences)}
            for stored in found
        ]

    async def show(self, fingerprint: str) -> dict[str, Any]:
        """One alert, its messages and the silences that match it. `fingerprint`: its beginning is enough."""
        store, stored = await self._store.get(), await self._find(fingerprint)
        silences = await store.silences.current(self._now_ms())
        matching = [silence for silence in silences if silence.matches(stored.alert, stored.fingerprint)]
        return _to_row(stored) | {
            "silenced": bool(matching),
            "silences": [silence.id for silence in matching],
            "deliveries": [_delivery(delivery) for delivery in await store.deliveries.of_alert(stored.fingerprint)],
        }

    async def acknowledge(self, fingerprint: str, by: str) -> dict[str, Any]:
        store, stored = await self._store.get(), await self._find(fingerprint)
        if not await store.alerts.acknowledge(stored.fingerprint, self._now_ms(), by):
            raise InvalidRequestError(f"alert {stored.fingerprint[:12]} is {stored.state}, not open")
        return await self.show(stored.fingerprint)

    async def resolve(self, fingerprint: str) -> dict[str, Any]:
        store, stored = await self._store.get(), await self._find(fingerprint)
        if not await store.alerts.resolve(stored.fingerprint, self._now_ms()):
            raise InvalidRequestError(f"alert {stored.fingerprint[:12]} is resolved already")
        return await self.show(stored.fingerprint)

    async def silence(
        self,
        *,
        owner: str,
        minutes: float | None = None,
        starts_in_minutes: float = 0.0,
        until_clear: bool = False,
        comment: str = "",
        **matchers: str | None,
    ) -> dict[str, Any]:
        """A silence for so long, or until the alert clears. `matchers`: `fingerprint`, `kind`, `severity`, `source`,
        `model`, `spectrum`; at least one."""
        from tilores_core.store.alerts import Silence

        wanted = {name: value for name, value in matchers.items() if value}
        for name, value in (*wanted.items(), ("comment", comment)):
            if "\0" in value:
                raise InvalidRequestError(f"{name} has a zero byte", param=name, fix="remove it")
        if not wanted:
            raise InvalidRequestError(
                "a silence must say what it matches", fix="name an alert, or a kind, severity, source, …"
            )
        if wanted.get("severity") not in (None, *SEVERITIES):
            raise InvalidRequestError(
                "there is no such severity", param="severity", fix=f"one of {', '.join(SEVERITIES)}"
            )
        if "fingerprint" in wanted:
            wanted["fingerprint"] = (await self._find(wanted["fingerprint"])).fingerprint
        if until_clear and "fingerprint" not in wanted:
            raise InvalidRequestError("only one alert can be silenced until it clears", param="until_clear")
        if minutes is None and not until_clear:
            raise InvalidRequestError(
                "a silence needs an end", param="minutes", fix="give minutes, or until_clear with an alert"
            )
        now = self._now_ms()
        starts = now + round(starts_in_minutes * 60_000)
        silence = Silence(
            **wanted,
            starts_ms=starts,
            ends_ms=None if minutes is None else starts + round(minutes * 60_000),
            until_clear=until_clear,
            created_ms=now,
            owner=owner,
            comment=comment,
        )
        made = await (await self._store.get()).silences.add(silence)
        return next(silence for silence in await self.silences() if silence["id"] == made)

    async def silences(self) -> list[dict[str, Any]]:
        """Those in force, and those that begin later."""
        store, now = await self._store.get(), self._now_ms()
        return [
            {
                **{name: getattr(silence, name) for name in _SILENCE},
                "starts": _seconds(silence.starts_ms),
                "ends": _seconds(silence.ends_ms),
            }
            for silence in await store.silences.current(now, upcoming=True)
        ]

    async def end_silence(self, silence_id: str) -> None:
        if not await (await self._store.get()).silences.end(silence_id, self._now_ms()):
            known = [silence["id"] for silence in await self.silences()]
            raise UnknownNameError(
                f"there is no silence '{silence_id[:40]}' in force", fix=f"there are: {_some(known)}"
            )

    async def ask_for_test(self, severity: Severity, channel: str | None = None) -> dict[str, Any]:
        """Have the process that delivers send a test message; the alert, whose messages say what came of it."""
        store, alert, now = await self._store.get(), sample_alert(severity), self._now_ms()
        channels = self.check_channel(self.channels, channel)
        raised = AlertReport(
            fingerprint=alert.fingerprint, alert=alert, count=1, first_ms=now, last_ms=now, cleared_ms=now
        )
        await store.alerts.report([raised])
        await store.deliveries.ask_for_test(alert.fingerprint, channels, now_ms=now)
        self._store.notify("alerts")
        self._wake()
        return await self.show(alert.fingerprint)

    @staticmethod
    def check_channel(channels: Sequence[str], channel: str | None) -> tuple[str, ...]:
        """This channel, or all. Raises `InvalidRequestError` when it, or any, is not there."""
        if not channels:
            raise InvalidRequestError("there is no alert channel", fix="name one in [use] alerts in plugins.toml")
        if channel is not None and channel not in channels:
            raise InvalidRequestError(
                f"there is no alert channel '{channel[:40]}'",
                param="channel",
                fix=f"one of {', '.join(channels)}",
            )
        return tuple(channels) if channel is None else (channel,)

    async def _find(self, fingerprint: str) -> StoredAlert:
        store = await self._store.get()
        stored = await store.alerts.get(fingerprint) if _FINGERPRINT.fullmatch(fingerprint) else None
        if stored is None:
            known = [stored.fingerprint[:12] for stored in await store.alerts.recent(limit=_SHOWN)]
            raise UnknownNameError(
                f"there is no alert '{fingerprint[:40]}', or more than one",
                param="fingerprint",
                fix=f"the latest: {_some(known)}; tilores alerts list --all has them all",
            )
        return stored

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) or "none"


def _to_row(stored: StoredAlert) -> dict[str, Any]:
    """Times are seconds since the epoch."""
    return {
        "fingerprint": stored.fingerprint,
        **stored.alert.as_dict(),
        "state": stored.state,
        "count": stored.raised,
        "first_at": _seconds(stored.first_ms),
        "last_at": _seconds(stored.last_ms),
        "acknowledged_at": _seconds(stored.acknowledged_ms),
        "acknowledged_by": stored.acknowledged_by,
        "resolved_at": _seconds(stored.resolved_ms),
        "escalation": stored.escalation,
        "sent_at": _seconds(stored.noticed_ms),
    }


def _seconds(at_ms: int | None) -> float | None:
    return None if at_ms is None else at_ms / 1000


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "channel": one.channel,
        "reason": one.reason,
        "state": one.state,
        "attempts": one.attempts,
        "decided_at": _seconds(one.created_ms),
        "next_at": _seconds(one.next_ms) if one.state == "waiting" else None,
        "ended_at": _seconds(one.ended_ms),
        "error": one.error,
        "message": one.message,
    }
