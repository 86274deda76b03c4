"""A counter per topic, raised with every change, and a feed that reads the counters twice a second.

Replicas see cheaply whether another process has changed something.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import BigInteger, Column, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import StoreError
from tilores_core.resilience import cancel_tasks, wait_for_event
from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, metadata, upsert

log = structlog.get_logger(part="store")

Listener = Callable[[int], None]

changes = Table(
    f"{PREFIX}changes",
    metadata,
    Column("topic", String(64), primary_key=True),
    Column("counter", BigInteger, nullable=False),
)


async def bump(connection: AsyncConnection, *topics: str) -> None:
    """Raise the counters of `topics` within the transaction that makes the change.

    A reader of the new counter sees the change as well. A topic stays locked until the transaction ends, so this is
    its last statement; several topics go into one call, which locks them in one order.
    """
    for topic in sorted(topics):
        await upsert(connection, changes, [{"topic": topic, "counter": 1}], add=["counter"])


class Changes:
    """The counters, by topic."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counters(self) -> dict[str, int]:
        """All counters by topic; one that was never raised is not there. Raises `StoreError`."""
        return {row.topic: row.counter for row in await self._database.rows(select(changes))}

    async def since(self, known: Mapping[str, int]) -> dict[str, int]:
        """The counters that are not as in `known`. (They may be lower: another state was put in place.)"""
        return {topic: counter for topic, counter in (await self.counters()).items() if known.get(topic) != counter}

    async def bump(self, *topics: str) -> None:
        """In a transaction of its own, for a change that is not in this database."""
        async with self._database.write() as connection:
            await bump(connection, *topics)


class ChangeFeed:
    """Calls the listeners of a topic with its counter, soon after the counter was raised.

    Several changes may arrive as one call. A topic that was ever raised is reported once at the beginning, so that a
    listener misses nothing between reading the state and its first call. `poll_now` polls at once: a message from
    another process saves the wait, and nothing is lost without one.
    """

    def __init__(self, changes: Changes, *, seconds: float = 0.5, longest_pause: float = 15.0) -> None:
        self._changes = changes
        self._seconds = seconds
        self._longest_pause = longest_pause
        self._listeners: dict[str, list[Listener]] = {}
        self._known: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failing_since: float | None = None
        """`time.monotonic()` of the first of the polls that failed in a row; None when the last one did not."""

    def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener`, which must be quick, on the event loop."""
        self._listeners.setdefault(topic, []).append(listener)
        if topic in self._known:
            _notify(topic, listener, self._known[topic])

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="tilores change feed")

    def poll_now(self) -> None:
        """Poll now; once for all calls meanwhile."""
        self._wanted.set()

    async def aclose(self) -> None:
        await cancel_tasks(self._task)

    async def _watch(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            try:
                changed = await self._changes.since(self._known)
            except Exception as error:  # without the feed a process would go on with old prompts for ever
                failures += 1
                self._note_failure(error)
            else:
                failures = 0
                self._note_success()
                self._notify_all(changed)
            await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        if failures:
            # Replicas must not all return to a database at once when it is back, so `poll_now` has no effect here.
            longest = min(self._longest_pause, self._seconds * 2 ** min(failures, 10))
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311
            return
        await wait_for_event(self._wanted, self._seconds)

    def _notify_all(self, changed: dict[str, int]) -> None:
        self._known |= changed
        for topic, counter in changed.items():
            for listener in tuple(self._listeners.get(topic, ())):
                _notify(topic, listener, counter)

    def _note_failure(self, error: Exception) -> None:
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            said = error.message if isinstance(error, StoreError) else type(error).__name__
            log.warning("store.feed_failed", error=said)

    def _note_success(self) -> None:
        if self.failing_since is not None:
            log.info("store.feed_recovered", seconds=round(time.monotonic() - self.failing_since, 1))
            self.failing_since = None


def _notify(topic: str, listener: Listener, counter: int) -> None:
    try:
        listener(counter)
    except Exception as error:
        log.error("store.listener_failed", topic=topic, error=type(error).__name__)
