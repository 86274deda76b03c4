"""Where alerts are raised in a process: a bounded queue in memory, written to the store behind.

While the store does not take anything, what waits is kept in a file of the data folder, once a second, and another
process takes over the file of one that was killed. So a kill loses at most what was raised in the second before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from tilores_core.alerts.spill import SpillFile, take_over
from tilores_core.contracts import Alert
from tilores_core.errors import TiloresError
from tilores_core.resilience import cancel_tasks, wait_for_event
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import ALERTS, AlertReport

log = structlog.get_logger(part="alerts")

MARK: Final = "alerts"
"""Of the `WorkMark` that wakes the process which delivers."""

MOST_WAITING: Final = 10_000
"""Fingerprints that may wait to be written; alerts of further ones are dropped and counted."""
_GATHER_SECONDS: Final = 0.2
_MOST_PER_WRITE: Final = 200
_RETRY_SECONDS: Final = 1.0
_LOOK_FOR_OLD_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 3.0


class AlertQueue:
    """An `AlertSink`. `start` within the event loop that is to write, `aclose` at the end.

    `data_dir`: its folder `alerts` keeps what could not be written; a mark in it wakes the process that delivers.
    `clock`: seconds since the epoch.
    """

    def __init__(self, store: LazyStore, data_dir: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.raised = 0
        self.dropped = 0
        self.failed = 0
        """Writes that the store did not take; what they held was tried again."""
        self._store = store
        self._folder = data_dir / "alerts"
        self._file = SpillFile(self._folder)
        self._wake = WorkMark(data_dir, MARK).set
        self._clock = clock
        self._failing = self._spill_failing = False
        self._waiting: dict[str, AlertReport] = {}
        self._writing: dict[str, AlertReport] = {}  # older than what waits, and written before it
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return len(self._waiting) + len(self._writing)

    def raise_alert(self, alert: Alert) -> None:
        now = round(self._clock() * 1000)
        with self._lock:
            self.raised += 1
            found = self._of(alert.fingerprint)
            if found is None:
                return
            found.alert, found.count, found.last_ms, found.cleared_ms = alert, found.count + 1, now, None
            found.first_ms = found.first_ms or now
        self._notify()

    def clear(self, fingerprint: str) -> None:
        with self._lock:
            found = self._of(fingerprint)
            if found is None:
                return
            found.cleared_ms = round(self._clock() * 1000)
        self._notify()

    def _of(self, fingerprint: str) -> AlertReport | None:
        found = self._waiting.get(fingerprint)
        if found is None and self.waiting < MOST_WAITING:
            found = self._waiting[fingerprint] = AlertReport(fingerprint=fingerprint)
        self.dropped += found is None
        return found

    def _notify(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: `aclose` has written what there was
                self._loop.call_soon_threadsafe(self._awake.set)

    # --- writing -----------------------------------------------------------------------------------------

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name="alert queue")

    async def aclose(self) -> None:
        """Write what waits, to the store or else to the file."""
        if self._task is None:
            return
        await cancel_tasks(self._task)
        self._task = None
        if self.waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    if await self.flush():
                        return
            await self._spill()

    async def flush(self) -> bool:
        """Write now what waits; False when the store did not take it, and then it waits on."""
        if not self.waiting:
            return True
        try:
            while self._take():
                part = list(islice(self._writing.values(), _MOST_PER_WRITE))
                await self._write(part)
                with self._lock:
                    for report in part:
                        del self._writing[report.fingerprint]
        except TiloresError as error:
            self.failed += 1
            if not self._failing:  # it is tried again every second, and logged once for each time the store is away
                log.warning("alerts.queue_failed", waiting=self.waiting, error=error.message)
            self._failing = True
            return False
        self._failing = self._spill_failing = False
        await asyncio.to_thread(self._file.remove)
        return True

    def _take(self) -> bool:
        """Whether there is something to write."""
        with self._lock:
            if not self._writing:
                self._writing, self._waiting = self._waiting, {}
            return bool(self._writing)

    async def _run(self) -> None:
        with contextlib.suppress(OSError):
            await self._take_over()
        while True:
            if not await wait_for_event(self._awake, _LOOK_FOR_OLD_SECONDS):
                with contextlib.suppress(OSError):
                    await self._take_over()
                continue
            await asyncio.sleep(_GATHER_SECONDS)  # one write for all that is raised together
            self._awake.clear()
            try:
                done = await self.flush()
            except Exception as error:  # one alert's fault must not end the others
                done = False
                log.error("alerts.failed", error=type(error).__name__)
            if not done:
                await self._spill()
                await asyncio.sleep(_RETRY_SECONDS)
                self._awake.set()

    async def _write(self, reports: Sequence[AlertReport]) -> None:
        await (await self._store.get()).alerts.report(reports)
        self._store.notify(ALERTS)
        self._wake()

    async def _take_over(self) -> None:
        """Write what processes that were killed have left."""
        for path, reports in await asyncio.to_thread(take_over, self._folder, self._file):
            try:
                await self._write(reports)
            except TiloresError as error:  # it is this process's file now, and is looked at again later
                log.warning("alerts.queue_failed", waiting=len(reports), error=error.message)
                return
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _spill(self) -> None:
        with self._lock:
            reports = [replace(report) for part in (self._writing, self._waiting) for report in part.values()]
        try:
            await asyncio.to_thread(self._file.write, reports)
            self._spill_failing = False
        except OSError as error:
            if not self._spill_failing:
                log.error("alerts.spill_failed", waiting=len(reports), error=error.strerror or type(error).__name__)
            self._spill_failing = True
