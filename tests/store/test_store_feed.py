"""Replicas hear of each other's changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from tests.store.postgres_server import NewAddress, PostgresServer
from tilores_core.store.lazy import ChangeFeed
from tilores_core.store.store import Store
from tilores_core.testing.waiting import eventually

QUICK = 0.02
NEVER = 3600.0


@pytest.fixture
async def replica(store: Store) -> AsyncIterator[Store]:
    other = await Store.open(store.database.address)
    yield other
    await other.aclose()


async def test_a_change_of_another_replica_is_told(store: Store, replica: Store) -> None:
    heard: list[int] = []
    feed = ChangeFeed(replica.changes.since, seconds=QUICK)
    feed.listen("x", heard.append)
    feed.start()
    try:
        for count in (1, 2):
            await store.changes.bump("x", "y")
            await eventually(lambda: heard[-1:] == [count])  # noqa: B023
        assert heard == [1, 2], "each once"
        late: list[int] = []
        feed.listen("x", late.append)
        assert late == [2], "who comes later learns what is known"
    finally:
        await feed.aclose()


async def test_what_was_before_the_start_is_told_once(store: Store) -> None:
    await store.changes.bump("x")
    heard: list[int] = []
    feed = ChangeFeed(store.changes.since, seconds=QUICK)
    feed.listen("x", heard.append)
    feed.start()
    await eventually(lambda: heard == [1])
    await asyncio.sleep(QUICK * 5)  # five more looks at the counter
    assert heard == [1]
    await feed.aclose()


async def test_poll_now_saves_the_wait(store: Store, replica: Store) -> None:
    await store.changes.bump("x")
    heard: list[int] = []
    feed = ChangeFeed(replica.changes.since, seconds=NEVER)
    feed.listen("x", heard.append)
    feed.start()
    await eventually(lambda: heard == [1])
    await store.changes.bump("x")
    feed.poll_now()
    feed.poll_now()
    await eventually(lambda: heard == [1, 2])
    await feed.aclose()


async def test_a_listener_that_fails_disturbs_nobody(store: Store) -> None:
    heard: list[int] = []

    def fail(_: int) -> None:
        raise LookupError

    feed = ChangeFeed(store.changes.since, seconds=QUICK)
    feed.listen("x", fail)
    feed.listen("x", heard.append)
    feed.start()
    for count in (1, 2):
        await store.changes.bump("x")
        await eventually(lambda: heard[-1:] == [count])  # noqa: B023
    await feed.aclose()


async def test_a_poll_that_fails_in_an_unforeseen_way_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    since, failures = store.changes.since, iter([RuntimeError("a fault of the driver")])

    async def fail_once(known: Mapping[str, int]) -> dict[str, int]:
        for failure in failures:
            raise failure
        return await since(known)

    monkeypatch.setattr(store.changes, "since", fail_once)
    feed = ChangeFeed(store.changes.since, seconds=QUICK)
    feed.listen("x", heard.append)
    feed.start()
    await store.changes.bump("x")
    await eventually(lambda: heard == [1])
    assert feed.failing_since is None
    await feed.aclose()


async def test_an_outage_is_outlived(postgres: PostgresServer, new_address: NewAddress) -> None:
    store = await Store.open(new_address("postgresql"))
    heard: list[int] = []
    feed = ChangeFeed(store.changes.since, seconds=QUICK, longest_pause=0.2)
    feed.listen("x", heard.append)
    feed.start()
    try:
        await store.changes.bump("x")
        await eventually(lambda: heard == [1])
        postgres.stop()
        await eventually(lambda: feed.failing_since is not None)
        postgres.start()
        await store.changes.bump("x")
        await eventually(lambda: heard == [1, 2])
        await eventually(lambda: feed.failing_since is None)
    finally:
        await feed.aclose()
        await store.aclose()
