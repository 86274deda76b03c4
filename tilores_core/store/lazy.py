"""The store, opened when it is first needed, with the feed of its changes; before that no SQLAlchemy is imported."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import structlog

from tilores_core.errors import StoreError, TiloresError
from tilores_core.resilience import cancel_tasks, wait_for_event
from tilores_core.store.address import Address

if TYPE_CHECKING:
    from tilores_core.store.leases import Leases
    from tilores_core.store.store import Store


log = structlog.get_logger(part="store")

Listener = Callable[[int], None]
Since = Callable[[Mapping[str, int]], Awaitable[dict[str, int]]]
"""The counters that are not as the given ones: `Changes.since`."""


class LazyStore:
    """The one store of a process, opened by the first `get`; after a failure the next `get` tries again.

    `announce` is called with a topic by `notify`: it sends a message to the other processes, where there is a way.
    """

    def __init__(self, address: Address, *, announce: Callable[[str], None] = lambda _: None) -> None:
        self.address = address
        self._announce = announce
        self._opening: asyncio.Task[Store] | None = None
        self._store: Store | None = None
        self._feed = ChangeFeed(self._since)

    @property
    def opened(self) -> Store | None:
        """The store, if it has been opened."""
        return self._store

    @property
    def failing_since(self) -> float | None:
        """`time.monotonic()` of the first of the polls that failed in a row; None when the last one did not."""
        return self._feed.failing_since

    async def get(self) -> Store:
        """The open store. Raises `ConfigError`, `StoreError`."""
        if self._store is not None:
            return self._store
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_note_error)
        # A caller that is cancelled leaves it open for the others, and `aclose` a whole store to close.
        return await asyncio.shield(self._opening)

    async def _open(self) -> Store:
        try:
            # Half a second of importing: in a thread, so that requests are answered meanwhile.
            module: Any = await asyncio.to_thread(import_module, "tilores_core.store.store")
            store: Store = await module.Store.open(self.address)
        finally:
            self._opening = None
        self._store = store
        self._feed.start()
        return store

    async def leases(self) -> Leases:
        """Raises as `get`."""
        return (await self.get()).leases

    async def warm_up(self) -> None:
        """Open it before it is needed. Never raises: `get` tries again, and its caller says what failed."""
        with suppress(TiloresError):
            await self.get()

    # --- changes -----------------------------------------------------------------------------------------

    def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener`, which must be quick, soon after a change of the topic, once the store is open."""
        self._feed.listen(topic, listener)
        if self._store is not None:
            self._feed.start()

    def notify(self, topic: str) -> None:
        """Tell the other processes that this one has committed a change of the topic."""
        self._announce(topic)

    def poll_now(self) -> None:
        """Poll for changes now, because another process announced one."""
        self._feed.poll_now()

    async def _since(self, known: Mapping[str, int]) -> dict[str, int]:
        return await (await self.get()).changes.since(known)

    async def ping(self) -> bool:
        """Make a query without effect; False if the store is not open. Raises `StoreError`."""
        if self._store is None:
            return False
        from sqlalchemy import text

        async with self._store.database.read() as connection:
            await connection.execute(text("SELECT 1"))
        return True

    async def aclose(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._feed.aclose()
        if self._store is not None:
            await self._store.aclose()
            self._store = None


def _note_error(opening: asyncio.Task[Store]) -> None:
    """Its callers raise the error; asyncio is not to report it as well when all of them were cancelled."""
    if not opening.cancelled():
        opening.exception()


class ChangeFeed:
    """Calls the listeners of a topic with its counter, soon after the counter was raised.

    Several changes may arrive as one call. A topic that was ever raised is reported once at the beginning, so that a
    listener misses nothing between reading the state and its first call. `poll_now` polls at once: a message from
    another process saves the wait, and nothing is lost without one.
    """

    def __init__(self, since: Since, *, seconds: float = 0.5, longest_pause: float = 15.0) -> None:
        self._since = since
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
        """Begin to poll, unless it does, or no one listens."""
        if self._task is None and self._listeners:
            self._task = asyncio.create_task(self._watch(), name="tilores change feed")

    def poll_now(self) -> None:
        """Poll now; once for all calls meanwhile."""
        self._wanted.set()

    async def aclose(self) -> None:
        await cancel_tasks(self._task)
        self._task = None

    async def _watch(self) -> None:
        failures = 0
        while True:
            self._wanted.clear()
            try:
                changed = await self._since(self._known)
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
