"""What one process changes the others hear of: by their own look at the counters, and at once by a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from tilores_core.cache.tiered import TieredCache
from tilores_core.settings import CacheTable
from tilores_core.store import lazy
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing.tiers import SharedStore, SharedTier
from tilores_core.testing.waiting import eventually

NEVER = 3600.0


class Process:
    """The parts of a server that hear of changes, joined as the server joins them."""

    def __init__(self, folder: Path, redis: SharedStore) -> None:
        self.cache = TieredCache([("shared", SharedTier(redis))], table=CacheTable())
        self.store = LazyStore(store_address(None, folder), announce=self.cache.announce)
        self.cache.on_announcement(lambda _: self.store.poll_now())
        self.heard: list[int] = []
        self.store.listen("batch", self.heard.append)

    async def change(self) -> None:
        await (await self.store.get()).changes.bump("batch")
        self.store.notify("batch")

    async def aclose(self) -> None:
        await self.cache.aclose()
        await self.store.aclose()


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    redis = SharedStore()
    one, other = Process(tmp_path, redis), Process(tmp_path, redis)
    for process in (one, other):
        await process.cache.start()
        await process.store.get()
    await eventually(lambda: len(redis.listeners) == 2)
    yield one, other
    for process in (one, other):
        await process.aclose()


async def test_a_change_is_heard_without_any_message(processes: tuple[Process, Process]) -> None:
    one, other = processes
    late: list[int] = []
    await (await one.store.get()).changes.bump("batch")  # and nobody announces it
    await eventually(lambda: other.heard)
    other.store.listen("batch", late.append)
    assert (other.heard, late) == ([1], [1])


async def test_who_listens_once_the_store_is_open_hears_too(tmp_path: Path) -> None:
    store = LazyStore(store_address(None, tmp_path))
    heard: list[int] = []
    await (await store.get()).changes.bump("batch")
    store.listen("batch", heard.append)
    await eventually(lambda: heard)
    assert heard == [1]
    await store.aclose()


async def test_a_message_makes_the_others_look_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy, "ChangeFeed", partial(lazy.ChangeFeed, seconds=NEVER))
    redis = SharedStore()
    one, other = Process(tmp_path, redis), Process(tmp_path, redis)
    try:
        for process in (one, other):
            await process.cache.start()
        await eventually(lambda: len(redis.listeners) == 2)
        await one.change()
        await other.store.get()
        await eventually(lambda: other.heard == [1])  # its first look
        for count in (2, 3):
            await one.change()
            await eventually(lambda: other.heard[-1] == count)  # noqa: B023
        assert (await other.cache.stats())["invalidations"]["heard"] == 0, "nothing was to be removed"
        assert (await other.cache.stats())["invalidations"]["unreadable"] == 0
    finally:
        await one.aclose()
        await other.aclose()


async def test_a_message_before_the_store_is_opened_is_no_reason_to_open_it(tmp_path: Path) -> None:
    process = Process(tmp_path, SharedStore())
    process.store.poll_now()
    process.store.notify("batch")
    assert process.store.opened is None
    await process.aclose()


async def test_nobody_looks_where_nobody_listens(tmp_path: Path) -> None:
    store = LazyStore(store_address(None, tmp_path))
    await store.get()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "tilores change feed"]
    await store.aclose()
