"""When an alert is sent, how often, to whom, and what becomes of it when something fails."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.alerts.alerting import alerting
from tilores_core import Alert
from tilores_core.alerts.desk import AlertDesk
from tilores_core.alerts.policy import is_under_maintenance
from tilores_core.contracts import SEVERITIES, Severity
from tilores_core.errors import AlertChannelError, AlertRefusedError, StoreError
from tilores_core.settings import MaintenanceTable
from tilores_core.testing.alerts import sample_alert


def alert(severity: Severity = "LOW", number: int = 0, kind: str = "quality.floor") -> Alert:
    return sample_alert(kind=kind, severity=severity, labels={"n": str(number)})


async def test_alert_is_sent_once_and_its_end_once(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        for _ in range(3):
            it.queue.raise_alert(alert())
        await it.step()
        await it.minutes(5)
        assert it.said() == ["raised"]
        assert it.channels["one"].notices[0].count == 3
        it.queue.clear(alert().fingerprint)
        await it.step()
        await it.minutes(30)
        assert it.said() == ["raised", "resolved"]
        assert it.channels["one"].notices[1].is_resolved


@pytest.mark.parametrize(
    ("severity", "minutes"),
    [("CRITICAL", [5, 10, 15]), ("HIGH", [15, 30]), ("MEDIUM", [60]), ("LOW", []), ("INFO", [])],
)
async def test_alert_is_escalated_as_its_severity_says(
    tmp_path: Path, severity: Severity, minutes: list[int]
) -> None:
    async with alerting(tmp_path, min_severity="INFO") as it:
        it.queue.raise_alert(alert(severity))
        await it.step()
        seen = []
        for minute in range(1, 130):
            before = len(it.said())
            await it.step(60.0)
            seen += [minute] * (len(it.said()) - before)
        assert seen == minutes
        assert it.said() == ["raised"] + ["escalated"] * len(minutes)
        assert [notice.entries[0].escalation for notice in it.channels["one"].notices] == [*range(len(minutes) + 1)]


async def test_escalation_is_as_set(tmp_path: Path) -> None:
    table = {"critical_minutes": 1, "critical_times": 2, "high_minutes": 2, "high_times": 1, "medium_minutes": 3}
    async with alerting(tmp_path, escalation=table | {"medium_times": 2}) as it:

        def escalations() -> list[int]:
            entries = [entry for notice in it.channels["one"].notices for entry in notice.entries]
            severities: tuple[Severity, ...] = ("CRITICAL", "HIGH", "MEDIUM")
            return [max(e.escalation for e in entries if e.alert.severity == one) for one in severities]

        for number, severity in enumerate(SEVERITIES[:3]):
            it.queue.raise_alert(alert(severity, number, kind=severity.lower()))
        await it.step()
        await it.minutes(4)
        assert escalations() == [2, 1, 1]
        await it.minutes(6)
        assert escalations() == [2, 1, 2]


async def test_acknowledged_alert_is_neither_escalated_nor_repeated(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        it.queue.raise_alert(alert("CRITICAL"))
        await it.minutes(6)
        assert it.said() == ["raised", "escalated"]
        assert await it.store.alerts.acknowledge(alert().fingerprint, 0, "desk")
        for _ in range(5):
            it.queue.raise_alert(alert("CRITICAL"))
            await it.minutes(5)
        it.queue.clear(alert().fingerprint)
        await it.step()
        assert it.said() == ["raised", "escalated", "resolved"]


async def test_alert_raised_again_and_again_is_repeated_as_rarely_as_set(tmp_path: Path) -> None:
    for minutes, expected in ((15, 5), (30, 3)):
        async with alerting(tmp_path / str(minutes), repeat_minutes=minutes) as it:
            for _ in range(61):
                it.queue.raise_alert(alert())
                await it.step(60.0)
            assert len(it.said()) == expected
            assert it.channels["one"].notices[-1].entries[0].reason == "repeated"


async def test_alert_that_comes_and_goes_is_limited(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        for _ in range(20):
            it.queue.raise_alert(alert())
            await it.step(50.0)
            it.queue.clear(alert().fingerprint)
            await it.step(50.0)
        assert it.said() == ["raised", "resolved"] * 3


async def test_more_severe_alert_is_sent_at_once(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        for severity in ("MEDIUM", "HIGH", "LOW"):
            it.queue.raise_alert(alert(severity))
            await it.step(1.0)
        assert [notice.severity for notice in it.channels["one"].notices] == ["MEDIUM", "HIGH"]


async def test_less_severe_alerts_are_kept_and_not_sent(tmp_path: Path) -> None:
    async with alerting(tmp_path, min_severity="HIGH") as it:
        it.queue.raise_alert(alert("MEDIUM"))
        await it.step()
        assert it.said() == []
        assert (await it.stored(alert())).settled
        it.queue.raise_alert(alert("HIGH"))
        await it.step()
        assert it.said() == ["raised"]


async def test_alerts_of_one_kind_share_a_message_when_they_come_together(tmp_path: Path) -> None:
    async with alerting(tmp_path, group_seconds=5) as it:
        it.queue.raise_alert(alert(number=1))
        await it.step(1.0)
        it.queue.raise_alert(alert(number=2))
        it.queue.raise_alert(alert(kind="model.down"))
        await it.step(1.0)
        assert it.said() == []
        await it.step(5.0)
        assert sorted(it.said()) == ["raised", "raised+raised"]


async def test_storm_is_one_message_with_its_count(tmp_path: Path) -> None:
    async with alerting(tmp_path, max_per_minute=3) as it:
        for number in range(1000):
            it.queue.raise_alert(alert(number=number % 500, kind=f"kind.{number % 500}"))
        await it.step()
        (notice,) = it.channels["one"].notices
        assert (len(notice.entries), notice.count) == (500, 1000)
        assert "499 more alerts, raised 1000 times" in notice.headline


async def test_messages_of_a_minute_are_limited_and_the_rest_follows(tmp_path: Path) -> None:
    async with alerting(tmp_path, max_per_minute=2) as it:
        for number in range(5):
            it.queue.raise_alert(alert(number=number, kind=f"kind.{number}"))
            await it.step(1.0)
        assert len(it.said()) == 2
        await it.step(60.0)
        assert it.said() == ["raised", "raised", "raised+raised+raised"]


async def test_limit_of_a_minute_holds_over_a_restart(tmp_path: Path) -> None:
    async with alerting(tmp_path, max_per_minute=1) as it:
        it.queue.raise_alert(alert(number=1))
        await it.step()
        clock = it.clock
    async with alerting(tmp_path, max_per_minute=1, clock=clock) as it:
        it.queue.raise_alert(alert(number=2, kind="other"))
        await it.step(1.0)
        assert it.said() == []
        await it.step(60.0)
        assert it.said() == ["raised"]


async def test_routes_choose_channels_by_severity_kind_source_and_spectrum(tmp_path: Path) -> None:
    routes = [
        {"channels": ["pager"], "severities": ["CRITICAL"]},
        {"channels": ["quality"], "kinds": ["quality.*"], "spectrums": ["billing"]},
        {"channels": ["infra"], "sources": ["cache", "models"]},
    ]
    async with alerting(tmp_path, "pager", "quality", "infra", routes=routes) as it:
        for raised in (
            sample_alert(severity="CRITICAL", spectrum="billing", title="a"),
            sample_alert(kind="cache.tier_down", source="cache", title="b"),
            sample_alert(kind="quality.floor", spectrum="credit", title="c"),
        ):
            it.queue.raise_alert(raised)
        await it.step()
        titles = {
            name: sorted(e.alert.title for n in one.notices for e in n.entries) for name, one in it.channels.items()
        }
        assert titles == {"pager": ["a", "c"], "quality": ["a", "c"], "infra": ["b", "c"]}, "no route: everywhere"


# --- silences and maintenance ----------------------------------------------------------------------------


async def test_silence_ends_by_time_and_what_still_holds_is_sent_then(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        desk = AlertDesk(it.system._store, ("one",), clock=it.clock)
        await desk.silence(owner="desk", minutes=10, kind="quality.*")
        it.queue.raise_alert(alert())
        await it.step()
        assert (await desk.list_alerts())[0]["silenced"]
        await it.minutes(9)
        assert it.said() == []
        await it.minutes(2)
        assert it.said() == ["raised"]


async def test_silence_until_clear_ends_with_the_condition(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        desk = AlertDesk(it.system._store, ("one",), clock=it.clock)
        it.queue.raise_alert(alert("CRITICAL"))
        await it.step()
        await desk.silence(owner="desk", until_clear=True, fingerprint=alert().fingerprint[:8])
        await it.minutes(60)
        assert it.said() == ["raised"]
        it.queue.clear(alert().fingerprint)
        await it.step()
        assert it.said() == ["raised", "resolved"]
        assert await desk.silences() == []
        it.queue.raise_alert(alert("CRITICAL"))
        await it.step()
        assert it.said() == ["raised", "resolved", "raised"]


async def test_maintenance_holds_alerts_back(tmp_path: Path) -> None:
    now = datetime.fromtimestamp(1_790_000_000.0, UTC)
    window = {"start": now.strftime("%H:%M"), "end": f"{(now.hour + 1) % 24:02}:{now.minute:02}"}
    async with alerting(tmp_path, maintenance=[window]) as it:
        it.queue.raise_alert(alert())
        await it.step()
        assert it.said() == []
        await it.minutes(61)
        assert it.said() == ["raised"]


@pytest.mark.parametrize(
    ("at", "zone", "days", "kinds", "expected"),
    [
        ("2026-11-28T23:30", "UTC", (), (), True),
        ("2026-11-29T01:59", "UTC", (), (), True),
        ("2026-11-29T02:00", "UTC", (), (), False),
        ("2026-11-29T01:00", "UTC", ("sat",), (), True),  # it began on Saturday
        ("2026-11-29T01:00", "UTC", ("sun",), (), False),
        ("2026-11-29T23:30", "UTC", ("sun",), (), True),
        ("2026-11-28T22:30", "Europe/Berlin", (), (), True),
        ("2026-11-29T01:30", "Europe/Berlin", (), (), False),
        ("2026-11-28T23:30", "UTC", (), ("quality.*",), True),
        ("2026-11-28T23:30", "UTC", (), ("cache.*",), False),
    ],
)
def test_maintenance_window_over_midnight(
    at: str, zone: str, days: tuple[str, ...], kinds: tuple[str, ...], expected: bool
) -> None:
    window = MaintenanceTable.model_validate(
        {"start": "23:00", "end": "02:00", "zone": zone, "days": days, "kinds": kinds}
    )
    now = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    assert is_under_maintenance(window, alert(), now) is expected


# --- failures ------------------------------------------------------------------------------------------


async def test_failed_message_is_tried_again_with_growing_pauses_and_the_same_id(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        channel = it.channels["one"]
        channel.error = AlertChannelError("down")
        it.queue.raise_alert(alert())
        with capture_logs() as lines:
            await it.step()
            (waiting,) = await it.store.deliveries.of_alert(alert().fingerprint)
            assert (waiting.state, waiting.attempts, waiting.error) == ("waiting", 1, "down")
            for _ in range(200):
                await it.step(3.0)
            assert 5 <= channel.calls <= 12, "2, 4, 8, … seconds and then every five minutes, or half as long"
            channel.error = None
            await it.minutes(6)
        assert [line["event"] for line in lines if line["event"] != "alerts.sent"] == [
            "alerts.send_failed",  # once for its reason
            "fault.over",
        ]
        assert it.said() == ["raised"]
        (sent,) = await it.store.deliveries.of_alert(alert().fingerprint)
        assert (sent.state, sent.message) == ("sent", channel.notices[0].id)


async def test_each_attempt_to_send_is_traced_with_its_alerts(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        it.channels["one"].error = AlertChannelError("down")
        it.queue.raise_alert(alert("HIGH"))
        it.queue.raise_alert(alert("HIGH", 1))
        await it.step()
        it.channels["one"].error = None
        await it.minutes(1)
        failed, sent = (trace.root for trace in it.traces)
        assert (failed.error, failed.attributes["attempt"]) == ("alert_channel", 1)
        assert (sent.error, sent.attributes["attempt"], sent.attributes["alerts"]) == (None, 2, 2)
        assert [span.name for span in sent.children] == ["quality.floor", "quality.floor", "send to one"]
        assert sent.ended - sent.started == 60.0
        assert sent.children[0].attributes["severity"] == "HIGH"
        assert it.traces[0].id != it.traces[1].id


async def test_retry_after_is_waited_for_also_over_a_restart(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        it.channels["one"].error = AlertChannelError("slow down", retry_after=100.0)
        it.queue.raise_alert(alert())
        await it.step()
        it.queue.raise_alert(alert(number=1))
        await it.step(50.0)
        assert it.channels["one"].calls == 1
        clock = it.clock
    async with alerting(tmp_path, clock=clock) as it:
        await it.step(40.0)
        assert it.said() == []
        await it.step(11.0)
        assert it.said() == ["raised", "raised"]


async def test_a_clock_that_is_put_back_holds_no_message_up(tmp_path: Path) -> None:
    async with alerting(tmp_path, "one", "late", max_per_minute=1, repeat_minutes=15) as it:
        late = it.channels["late"]
        late.error = AlertChannelError("slow down", retry_after=300.0)
        it.queue.raise_alert(alert("CRITICAL"))
        await it.step()
        late.error = None
        await it.step(-3600.0)
        assert (it.said("late"), it.said()) == (["raised"], ["raised", "escalated"])
        it.queue.raise_alert(alert("CRITICAL", 1, kind="other"))
        await it.step(60.0)
        assert it.said()[2:] == ["raised"]
        it.queue.raise_alert(alert("CRITICAL", 2, kind="third"))
        await it.step(3600.0)  # and forward again
        assert "raised" in it.said()[3]


async def test_dead_channel_does_not_hold_up_another(tmp_path: Path) -> None:
    async with alerting(tmp_path, "dead", "alive") as it:
        it.channels["dead"].error = RuntimeError("a secret")
        for number in range(3):
            it.queue.raise_alert(alert(number=number))
            await it.step(1.0)
        assert len(it.said("alive")) == 3
        (dead,) = (d for d in await it.store.deliveries.of_alert(alert().fingerprint) if d.channel == "dead")
        assert dead.error == "RuntimeError"


async def test_refused_message_lets_others_go_first(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        it.channels["one"].error = AlertRefusedError("too large")
        it.queue.raise_alert(alert(number=1))
        await it.step()
        it.channels["one"].error = None
        it.queue.raise_alert(alert(number=2))
        await it.step(0.1)
        (notice,) = it.channels["one"].notices
        assert notice.entries[0].alert.labels == {"n": "2"}
        await it.step(10.0)
        assert len(it.said()) == 2


async def test_message_that_the_store_could_not_note_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alerting(tmp_path) as it:

        async def full(*_: object, **__: object) -> None:
            raise StoreError("the disk is full")

        it.queue.raise_alert(alert())
        with monkeypatch.context() as broken:
            broken.setattr(it.store.deliveries, "mark_sent", full)
            for _ in range(3):
                with pytest.raises(StoreError):
                    await it.step(10.0)
        await it.step(10.0)
        assert it.said() == ["raised"]
        assert await it.store.deliveries.counts() == {("one", "sent"): 1}


async def test_end_of_an_alert_that_became_less_severe_is_sent(tmp_path: Path) -> None:
    async with alerting(tmp_path, min_severity="HIGH") as it:
        for severity in ("HIGH", "LOW"):
            it.queue.raise_alert(alert(severity))
            await it.minutes(20)
        it.queue.clear(alert().fingerprint)
        await it.step()
        assert it.said() == ["raised", "escalated", "resolved"]


async def test_message_is_given_up_after_its_time(tmp_path: Path) -> None:
    async with alerting(tmp_path, give_up_hours=1) as it:
        it.channels["one"].error = AlertChannelError("down")
        it.queue.raise_alert(alert())
        await it.step()
        await it.minutes(70)
        (given_up,) = await it.store.deliveries.of_alert(alert().fingerprint)
        assert given_up.state == "failed"
        assert it.system.counted["one", "given_up"] == 1


async def test_hanging_channel_is_given_its_time(tmp_path: Path) -> None:
    async with alerting(tmp_path, send_seconds=0.05) as it:
        it.channels["one"].hangs = True
        it.queue.raise_alert(alert())
        await it.step()
        (waiting,) = await it.store.deliveries.of_alert(alert().fingerprint)
        assert waiting.error == "no answer within 0.05 s"


async def test_what_was_raised_and_resolved_while_a_channel_was_down_is_one_message(tmp_path: Path) -> None:
    async with alerting(tmp_path, group_seconds=5) as it:
        it.channels["one"].error = AlertChannelError("down")
        it.queue.raise_alert(alert(number=0))
        await it.step()
        await it.step(6.0)
        it.queue.raise_alert(alert(number=1, kind="model.down"))
        await it.step()
        it.queue.clear(alert(number=1, kind="model.down").fingerprint)
        await it.step(1.0)
        it.channels["one"].error = None
        await it.minutes(6)
        assert it.said() == ["raised", "resolved"]


async def test_alert_that_nobody_raises_any_more_ends(tmp_path: Path) -> None:
    async with alerting(tmp_path, expire_hours=2) as it:
        short = sample_alert(kind="source.down", expires_seconds=300.0, severity="LOW")
        it.queue.raise_alert(short)
        it.queue.raise_alert(alert())
        await it.step()
        await it.minutes(6)
        assert ((await it.stored(short)).state, (await it.stored(alert())).state) == ("resolved", "open")
        await it.minutes(120)
        assert (await it.stored(alert())).state == "resolved"


async def test_resolved_alerts_are_removed_after_their_days(tmp_path: Path) -> None:
    async with alerting(tmp_path, keep_days=1) as it:
        it.queue.raise_alert(alert())
        it.queue.clear(alert().fingerprint)
        await it.step()
        await it.step(20 * 3600.0)
        assert await it.store.alerts.get(alert().fingerprint) is not None
        await it.step(8 * 3600.0)
        assert await it.store.alerts.get(alert().fingerprint) is None
