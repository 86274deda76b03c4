"""Being told of changes that other replicas make: the counters are read twice a second."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from tilores_core.errors import StoreError
from tilores_core.store.changes import Changes

log = structlog.get_logger(part="store")

Listener = Callable[[int], None]


class ChangeFeed:
    """Calls the listeners of a topic, soon after its counter was raised, with the counter.

    Several changes may be told as one. A topic that was ever raised is told once at the beginning, so nothing falls
    between a listener's first look and its first call. `hasten` makes it look at once: a message from elsewhere can
    save the wait, and when none comes nothing is lost.
    """

    def __init__(self, changes: Changes, *, seconds: float = 0.5, longest_pause: float = 15.0) -> None:
        self._changes = changes
        self._seconds = seconds
        self._longest_pause = longest_pause
        self._listeners: dict[str, list[Listener]] = {}
        self._known: dict[str, int] = {}
        self._hastened = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.failing_since: float | None = None
        """`time.monotonic()` of the first of the looks that failed; None when the last one did not."""

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """`listener` must be quick and is called on the event loop. What is returned ends it."""
        self._listeners.setdefault(topic, []).append(listener)
        if topic in self._known:
            _tell(topic, listener, self._known[topic])

        def end() -> None:
            with suppress(ValueError):
                self._listeners[topic].remove(listener)

        return end

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="tilores change feed")

    def hasten(self) -> None:
        """Look now. May be called as often as one likes: it is one look for all calls meanwhile."""
        self._hastened.set()

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _watch(self) -> None:
        failures = 0
        while True:
            self._hastened.clear()
            try:
                changed = await self._changes.since(self._known)
            except StoreError as error:
                failures += 1
                self._note_failure(error)
            else:
                failures = 0
                self._note_success()
                self._tell_all(changed)
            await self._pause(failures)

    async def _pause(self, failures: int) -> None:
        if failures:
            # A database that comes back is not met by all replicas at once; being hastened does not help it either.
            longest = min(self._longest_pause, self._seconds * 2 ** min(failures, 10))
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._hastened.wait()

    def _tell_all(self, changed: dict[str, int]) -> None:
        self._known |= changed
        for topic, counter in changed.items():
            for listener in tuple(self._listeners.get(topic, ())):
                _tell(topic, listener, counter)

    def _note_failure(self, error: StoreError) -> None:
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            log.warning("store.feed_failed", error=error.message)

    def _note_success(self) -> None:
        if self.failing_since is not None:
            log.info("store.feed_recovered", seconds=round(time.monotonic() - self.failing_since, 1))
            self.failing_since = None


def _tell(topic: str, listener: Listener, counter: int) -> None:
    try:
        listener(counter)
    except Exception as error:
        log.error("store.listener_failed", topic=topic, error=type(error).__name__)
