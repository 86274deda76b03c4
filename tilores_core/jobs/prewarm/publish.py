"""Warmed entries between processes: the worker notes their keys in the store, web processes fetch the entries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.errors import TiloresError
from tilores_core.jobs.prewarm.entries import MOST_WATCHED, WarmedEntries
from tilores_core.resilience import cancel_tasks
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import PREWARM

log = structlog.get_logger(part="prewarm")

REPORT: Final = "prewarm"
_SECONDS: Final = 0.5
_AT_ONCE: Final = 64
_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY_SECONDS: Final = 60.0


class PublishedEntries:
    """The worker's side: keys of warmed entries, and statistics, written to the store about twice a second.

    In place of `WarmedEntries`: the worker answers no callers, so its own memory serves only to write again into the
    shared tier what did not get there. A key is written to the store once its entry is in the shared tier.
    """

    def __init__(self, store: LazyStore, cache: TieredCache) -> None:
        self._store = store
        self._cache = cache
        self._keys: dict[str, None] = {}
        self._written: Mapping[str, Any] | None = None
        self._writing = asyncio.Lock()

    def watch(self, key: str) -> None:
        self._keys[key] = None

    def pin(self, keys: Iterable[str]) -> None:
        self._keys.update(dict.fromkeys(keys))

    async def keep(self) -> None:
        """Nothing is kept in this process."""

    def as_plain(self) -> dict[str, Any]:
        return {"warmed_answers": 0, "used_answers": 0, "used_share": None, "hits": 0, "kept_in_memory": 0}

    async def run(self, statistics: Callable[[], Mapping[str, Any]]) -> None:
        """Write until cancelled; what could not be written is written the next time."""
        while True:
            try:
                await self.flush(statistics())
            except Exception as error:  # written the next time; the next look may fare better
                if not isinstance(error, TiloresError):
                    log.error("prewarm.failed", error=type(error).__name__)
            await asyncio.sleep(_SECONDS)

    async def flush(self, statistics: Mapping[str, Any]) -> int:
        """Write what is new; how many entries are not in the shared tier yet. Raises `StoreError`, `ConfigError`."""
        async with self._writing:
            keys = list(self._keys)
            for start in range(0, len(keys), _AT_ONCE):
                chunk = keys[start : start + _AT_ONCE]
                shared = await self._cache.share(chunk)
                if not shared:  # the tier is down
                    break
                await (await self._store.get()).warmed.add([key for key in chunk if key in shared])
                for key in shared:
                    self._keys.pop(key, None)
                self._store.notify(PREWARM)
            if statistics != self._written:
                await (await self._store.get()).reports.put(REPORT, statistics)
                self._written = statistics
            return len(self._keys)

    async def settle(self, statistics: Callable[[], Mapping[str, Any]], seconds: float) -> int:
        """As `flush`, again and again for so many seconds, until nothing is left; how many are."""
        until = time.monotonic() + seconds
        while True:
            left = await self.flush(statistics())
            if not left:
                return 0
            if time.monotonic() >= until:
                log.warning("prewarm.entries_not_shared", entries=left)
                return left
            await asyncio.sleep(_SECONDS)


class EntrySync:
    """A web process's side: fetches newly warmed entries into memory and counts the hits on them."""

    def __init__(self, store: LazyStore, entries: WarmedEntries) -> None:
        self._store = store
        self._entries = entries
        self._since = 0
        self._unread: dict[str, None] = {}
        self._pause = _RETRY_SECONDS
        self._reading = asyncio.Lock()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, *, at_once: bool) -> None:
        """Fetch whenever the worker says that it has warmed something. `at_once`: look now, which opens the store."""
        self._store.listen(PREWARM, lambda _: self.wake())
        self._task = asyncio.create_task(self._run(), name="warmed entries")
        if at_once:
            self.wake()

    def wake(self) -> None:
        """Something was warmed."""
        self._woken.set()

    async def aclose(self) -> None:
        await cancel_tasks(self._task)

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            with suppress(TiloresError):  # the next message, or the next look at the statistics, tries again
                await self.sync()

    async def sync(self) -> None:
        """Fetch what was warmed since the last call, and what could not be read then.

        Raises `StoreError`, `ConfigError`.
        """
        async with self._reading:
            keys, self._since = await (await self._store.get()).warmed.since(self._since)
            wanted = list(dict.fromkeys([*self._unread, *keys]))[-MOST_WATCHED:]
            self._unread = dict.fromkeys(wanted)
            self._unread = dict.fromkeys(await self._entries.refresh(wanted))
            if self._unread:  # the shared tier did not answer
                asyncio.get_running_loop().call_later(self._pause, self.wake)
                self._pause = min(2 * self._pause, _LONGEST_RETRY_SECONDS)
            else:
                self._pause = _RETRY_SECONDS
