"""What the repositories promise, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select

from tilores_core.errors import StoreError, UnstorableTextError
from tilores_core.resilience import acquire_lease
from tilores_core.store.address import Address
from tilores_core.store.changes import bump
from tilores_core.store.leases import leases
from tilores_core.store.store import Store
from tilores_core.testing.waiting import settle

SOON = 0.4  # long enough for a slow machine to ask twice in


async def test_one_statement_that_reads_needs_no_transaction(store: Store) -> None:
    sent: list[str] = []
    engine = store.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *said: sent.append(said[2]))
    await store.jobs.get("j")
    assert [statement.split()[0] for statement in sent] == ["SELECT"]


# --- changes ---------------------------------------------------------------------


async def test_counters_rise_and_are_compared(store: Store) -> None:
    assert await store.changes.counters() == {}
    await store.changes.bump("b", "a")
    await store.changes.bump("a")
    assert await store.changes.counters() == {"a": 2, "b": 1}
    assert await store.changes.since({"a": 1, "b": 1}) == {"a": 2}
    assert await store.changes.since({"a": 9}) == {"a": 2, "b": 1}, "lower is a change as well"


async def test_a_change_that_is_rolled_back_is_not_counted(store: Store) -> None:
    async def fail() -> None:
        async with store.database.write() as connection:
            await bump(connection, "a")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await store.changes.counters() == {}


async def test_no_rise_is_lost_between_replicas(store: Store, address: Address) -> None:
    other = await Store.open(address)
    try:
        await asyncio.gather(*(one.changes.bump("x", "y") for one in (store, other) * 10))
    finally:
        await other.aclose()
    assert await store.changes.counters() == {"x": 20, "y": 20}


# --- leases ----------------------------------------------------------------------


async def test_a_lease_has_one_holder(store: Store) -> None:
    assert await store.leases.acquire("warm", "one", 30.0) == 1
    assert await store.leases.acquire("warm", "two", 30.0) is None
    assert await store.leases.acquire("warm", "one", 30.0) is None, "nor the same one twice"
    assert await store.leases.acquire("other", "two", 30.0) is not None
    assert await store.leases.holder("warm") == "one"


async def test_renewing_and_releasing(store: Store) -> None:
    async def end() -> int:
        async with store.database.read() as connection:
            return int((await connection.execute(select(leases.c.expires_ms))).scalar_one())

    fence = await store.leases.acquire("warm", "one", 60.0)
    assert fence is not None
    before = await end()
    assert await store.leases.renew("warm", "one", fence, 90.0)
    assert await end() >= before + 30_000
    assert await store.leases.holder("warm") == "one"
    assert await store.leases.release("warm", "one", fence)
    assert not await store.leases.release("warm", "one", fence)
    assert not await store.leases.renew("warm", "one", fence, 60.0)
    assert await store.leases.holder("warm") is None


async def test_the_fence_rises_with_every_holder(store: Store) -> None:
    fences = []
    for holder in ("one", "two", "one"):
        fence = await store.leases.acquire("warm", holder, 30.0)
        assert fence is not None
        fences.append(fence)
        await store.leases.release("warm", holder, fence)
    assert fences == [1, 2, 3]


async def test_a_holder_that_is_late_has_lost(store: Store) -> None:
    late = await store.leases.acquire("warm", "one", SOON / 4)
    assert late is not None
    await asyncio.sleep(SOON / 2)  # the database's clock decides
    follower = await store.leases.acquire("warm", "two", 30.0)
    assert follower is not None
    assert follower > late
    assert not await store.leases.renew("warm", "one", late, 30.0)
    assert not await store.leases.release("warm", "one", late)
    assert await store.leases.holder("warm") == "two"


async def test_a_later_lease_of_the_same_holder_is_not_the_earlier_one(store: Store) -> None:
    late = await store.leases.acquire("warm", "one", SOON / 4)
    assert late is not None
    await asyncio.sleep(SOON / 2)  # the database's clock decides
    assert await store.leases.acquire("warm", "one", 30.0) is not None
    assert not await store.leases.renew("warm", "one", late, 30.0)
    assert not await store.leases.release("warm", "one", late)
    assert await store.leases.holder("warm") == "one"


async def test_forgetting_a_lease(store: Store) -> None:
    fence = await store.leases.acquire("warm", "one", 30.0)
    assert fence is not None
    await store.leases.forget("warm")
    assert await store.leases.holder("warm") == "one", "not while someone has it"
    await store.leases.release("warm", "one", fence)
    await store.leases.forget("warm")
    assert await store.leases.acquire("warm", "one", 30.0) == 1


async def test_of_many_replicas_one_gets_the_lease(address: Address) -> None:
    stores = [await Store.open(address) for _ in range(4)]
    try:
        for round_ in range(3):
            asked = (
                one.leases.acquire(f"warm-{round_}", f"h{number}", 30.0) for number, one in enumerate(stores * 3)
            )
            got = [fence for fence in await asyncio.gather(*asked) if fence]
            assert len(got) == 1
    finally:
        await asyncio.gather(*(one.aclose() for one in stores))


async def test_acquired_lease_is_renewed_and_released(
    store: Store, monkeypatch: pytest.MonkeyPatch, pass_time: Callable[[float], None]
) -> None:
    renew, renewed = store.leases.renew, asyncio.Event()

    async def noted(name: str, holder: str, fence: int, seconds: float) -> bool:
        done = await renew(name, holder, fence, seconds)
        renewed.set()
        return done

    monkeypatch.setattr(store.leases, "renew", noted)
    lease = await acquire_lease(store.leases, "warm", seconds=60.0)
    assert lease is not None
    async with lease:
        assert await acquire_lease(store.leases, "warm", seconds=60.0) is None
        await settle()
        pass_time(25.0)  # it is renewed after a third of it
        await renewed.wait()
        assert not lease.lost.is_set()
        assert await store.leases.holder("warm") == lease.holder
    assert await store.leases.holder("warm") is None


async def test_lease_taken_by_another_is_lost_and_not_released(store: Store) -> None:
    lease = await acquire_lease(store.leases, "warm", seconds=SOON)
    assert lease is not None
    async with lease:
        await store.leases.release("warm", lease.holder, lease.fence)
        assert await store.leases.acquire("warm", "two", 30.0) is not None
        async with asyncio.timeout(60):
            await lease.lost.wait()
    assert await store.leases.holder("warm") == "two", "what is not ours is not released"


# --- batch jobs ------------------------------------------------------------------


async def test_a_job_from_beginning_to_end(store: Store) -> None:
    options = {"model": "demo:simulated-1", "nested": {"list": [1, 2.5, None, "ü"]}}
    made = await store.jobs.create("j", owner="desk", options=options, lines=3)
    assert (made.state, made.owner, made.options, made.lines, made.totals) == ("queued", "desk", options, 3, {})
    assert abs(made.created - datetime.now(UTC)) < timedelta(seconds=30)
    running = await store.jobs.start("j", 1)
    assert running is not None
    assert running.started is not None
    assert running.started >= made.created
    assert (running.state, running.fence) == ("running", 1)
    further = await store.jobs.progress("j", 1, {"done": 2, "cost": 0.25}, lines=4)
    assert further is not None
    assert (further.totals, further.lines) == ({"done": 2, "cost": 0.25}, 4)
    done = await store.jobs.finish("j", 1, "done", totals={"done": 4})
    assert done is not None
    assert done.ended is not None
    assert (done.state, done.started, done.error) == ("done", running.started, None)
    assert await store.jobs.get("j") == done
    assert await store.changes.counters() == {"batch": 3}, "each change of its state was announced"


async def test_ids_are_taken_once(store: Store) -> None:
    await store.jobs.create("j", owner="desk")
    with pytest.raises(StoreError, match="a batch job 'j' already"):
        await store.jobs.create("j", owner="other")
    kept = await store.jobs.get("j")
    assert kept is not None
    assert kept.owner == "desk"
    assert await store.jobs.get("nobody") is None


async def test_a_holder_that_lost_its_lease_writes_nothing(store: Store) -> None:
    await store.jobs.create("j", owner="desk")
    assert await store.jobs.start("j", 5)
    assert await store.jobs.start("j", 5) is None
    taken = await store.jobs.start("j", 6)
    assert taken is not None
    assert taken.fence == 6
    before = await store.changes.counters()
    assert await store.jobs.progress("j", 5, {"done": 1}) is None
    assert await store.jobs.finish("j", 5, "failed", totals={}, error="no") is None
    assert await store.jobs.get("j") == taken
    assert await store.changes.counters() == before
    ended = await store.jobs.finish("j", 6, "failed", totals={}, error="x\0" + "y" * 9000)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.startswith("xy")
    assert len(ended.error) == 2000
    assert await store.jobs.start("j", 7) is None, "what has ended is not begun again"


async def test_cancelling(store: Store) -> None:
    for job_id in ("waiting", "running"):
        await store.jobs.create(job_id, owner="desk")
    await store.jobs.start("running", 1)
    waiting, running = await store.jobs.cancel("waiting"), await store.jobs.cancel("running")
    assert waiting is not None
    assert (waiting.state, waiting.ended is not None) == ("cancelled", True)
    assert running is not None
    assert (running.state, running.ended) == ("cancelling", None)
    followed = await store.jobs.start("running", 2)
    assert followed is not None
    assert followed.state == "cancelling", "whoever takes it over ends it"
    ended = await store.jobs.finish("running", 2, "cancelled", totals={"done": 1})
    assert ended is not None
    assert ended.state == "cancelled"
    assert await store.jobs.cancel("running") is None
    assert await store.jobs.cancel("nobody") is None


async def test_listing(store: Store) -> None:
    for number in range(7):
        await store.jobs.create(f"j{number}", owner="desk")
    await store.jobs.start("j3", 1)
    await store.jobs.finish("j3", 1, "done", totals={})
    everything = await store.jobs.recent()
    assert await store.jobs.recent(limit=3) == everything[:3]
    assert everything == sorted(everything, key=lambda job: (job.created, job.id), reverse=True)
    assert {job.id for job in everything} == {f"j{number}" for number in range(7)}
    assert [job.id for job in await store.jobs.recent(ended=True)] == ["j3"]
    assert "j3" not in {job.id for job in await store.jobs.recent(ended=False)}


async def test_only_what_has_ended_can_be_deleted(store: Store) -> None:
    await store.jobs.create("j", owner="desk")
    assert not await store.jobs.delete("j")
    await store.jobs.cancel("j")
    assert await store.jobs.delete("j")
    assert await store.jobs.get("j") is None


async def test_texts_that_one_of_the_databases_would_refuse_are_refused_by_both(store: Store) -> None:
    for text in ("x" * 65, "a\0b"):
        with pytest.raises(UnstorableTextError, match=r"batch_jobs\.id is longer than 64"):
            await store.jobs.create(text, owner="desk")
    with pytest.raises(StoreError, match=r"leases\.holder is longer than 200"):
        await store.leases.acquire("name", "x" * 201, 1.0)
    assert await store.jobs.recent() == []
    assert await store.changes.counters() == {}
    with pytest.raises(UnstorableTextError) if store.database.address.kind == "postgresql" else nullcontext():
        assert await store.jobs.get("a\0b") is None
