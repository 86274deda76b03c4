"""What the tables of alerts promise, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import pytest

from tilores_core import Alert
from tilores_core.errors import StoreError
from tilores_core.store.alert_deliveries import LEASE, DeliveryPlan
from tilores_core.store.alerts import Silence, StoredAlert
from tilores_core.store.store import Store
from tilores_core.store.topics import AlertReport

DOWN = Alert(
    kind="model.down", severity="HIGH", title="Model down", source="models", model="demo:1", labels={"a": "ü"}
)


def raised(alert: Alert = DOWN, count: int = 1, at: int = 1000) -> AlertReport:
    return AlertReport(fingerprint=alert.fingerprint, alert=alert, count=count, first_ms=at, last_ms=at)


async def stored(store: Store, alert: Alert = DOWN) -> StoredAlert:
    found = await store.alerts.get(alert.fingerprint)
    assert found is not None
    return found


async def test_alert_raised_again_is_counted_and_after_its_end_is_another_episode(store: Store) -> None:
    await store.alerts.report([raised(count=3)])
    await store.alerts.report([raised(count=2, at=2000)])
    first = await stored(store)
    assert (first.alert, first.state, first.episode, first.raised) == (DOWN, "open", 1, 5)
    assert (first.first_ms, first.last_ms) == (1000, 2000)
    assert await store.alerts.acknowledge(DOWN.fingerprint, 2500, "desk")
    assert not await store.alerts.acknowledge(DOWN.fingerprint, 2500, "desk")
    await store.alerts.report([AlertReport(fingerprint=DOWN.fingerprint, cleared_ms=3000)])
    assert ((await stored(store)).state, (await stored(store)).resolved_ms) == ("resolved", 3000)
    await store.alerts.report([raised(at=4000)])
    again = await stored(store)
    assert (again.state, again.episode, again.raised, again.first_ms) == ("open", 2, 1, 4000)
    assert (again.resolved_ms, again.acknowledged_by) == (None, None)
    assert await store.alerts.counts() == {("open", "HIGH"): 1}


async def test_alert_is_found_by_the_beginning_of_its_fingerprint(store: Store) -> None:
    await store.alerts.report([raised()])
    assert await store.alerts.get(DOWN.fingerprint[:6]) is not None
    assert await store.alerts.get("%") is None
    assert await store.alerts.get("_" * 32) is None


async def test_alert_not_raised_for_its_time_expires(store: Store) -> None:
    short = Alert(kind="source.down", severity="HIGH", title="Source down", source="source", expires_seconds=2.0)
    await store.alerts.report([raised(), raised(short)])
    assert await store.alerts.expire(2000, after_ms=5000) == 0
    assert await store.alerts.expire(3001, after_ms=5000) == 1
    assert (await stored(store, short)).state == "resolved"
    assert (await stored(store)).state == "open"


async def test_writes_of_a_former_leader_are_refused(store: Store) -> None:
    await store.alerts.report([raised()])
    fence = await store.leases.acquire(LEASE, "one", 30.0)
    assert fence is not None
    plan = DeliveryPlan(alert=await stored(store), reason="raised", channels=("log",))
    await store.deliveries.plan([plan], now_ms=1, fence=fence)
    (ready,) = await store.deliveries.ready("log", 1, 10)
    await store.leases.release(LEASE, "one", fence)
    newer = await store.leases.acquire(LEASE, "two", 30.0)
    assert newer is not None
    for write in (
        store.deliveries.plan([plan], now_ms=1, fence=fence),
        store.deliveries.claim({"m": [ready]}, fence=fence),
        store.deliveries.mark_sent("m", now_ms=2, fence=fence),
    ):
        with pytest.raises(StoreError, match="lease 'alerts'"):
            await write
    await store.deliveries.claim({"m": [ready]}, fence=newer)
    await store.deliveries.mark_sent("m", now_ms=2, fence=newer)
    assert await store.deliveries.counts() == {("log", "sent"): 1}
    assert await store.deliveries.list_sent_since("log", 0) == [2]


async def test_what_waits_for_a_channel_becomes_the_newer_message(store: Store) -> None:
    await store.alerts.report([raised()])
    fence = await store.leases.acquire(LEASE, "one", 30.0)
    assert fence is not None
    await store.deliveries.plan(
        [DeliveryPlan(alert=await stored(store), reason="raised", channels=("a", "b"))], now_ms=1, fence=fence
    )
    (one,) = await store.deliveries.ready("a", 1, 10)
    await store.deliveries.claim({"m": [one]}, fence=fence)
    await store.alerts.report([AlertReport(fingerprint=DOWN.fingerprint, cleared_ms=5)])
    resolved = await stored(store)
    await store.deliveries.plan(
        [DeliveryPlan(alert=resolved, reason="resolved", channels=("a", "b"))], now_ms=6, fence=fence
    )
    assert [(it.reason, it.message) for it in await store.deliveries.get_claimed("a")] == [("raised", "m")]
    assert [it.reason for it in await store.deliveries.ready("a", 6, 10)] == ["resolved"]
    assert [it.reason for it in await store.deliveries.ready("b", 6, 10)] == ["resolved"]
    assert await store.alerts.list_unsettled(10) == []


async def test_silence_matches_what_it_names(store: Store) -> None:
    silence = Silence(kind="model.*", source="models", starts_ms=10, ends_ms=20, owner="desk")
    made = await store.silences.add(silence)
    assert await store.silences.current(5) == []
    assert len(await store.silences.current(5, upcoming=True)) == 1
    (found,) = await store.silences.current(10)
    assert found.matches(DOWN, DOWN.fingerprint)
    other = Alert(kind="model.down", severity="HIGH", title="x", source="else")
    assert not found.matches(other, other.fingerprint)
    assert await store.silences.end(made, 15)
    assert not await store.silences.end(made, 15)
    assert await store.silences.current(15) == []
