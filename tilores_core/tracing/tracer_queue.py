"""The queue in front of one tracer, with a task of its own, so that a slow tracer delays no request and no other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

from tilores_core.contracts import Feedback, SupportsFeedback, Trace, Tracer
from tilores_core.errors import InvalidRequestError
from tilores_core.resilience import wait_for_event
from tilores_core.settings import TracingTable

log = structlog.get_logger(part="tracing")

_TRIES: Final = 2
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_SECONDS_BETWEEN_LINES: Final = 60.0


class PendingTrace:
    """A trace that the first tracer to need it builds, and the others share; None when it cannot be built."""

    def __init__(self, build: Callable[[], Coroutine[Any, Any, Trace | None]]) -> None:
        self._build: Callable[[], Coroutine[Any, Any, Trace | None]] | None = build
        self._building: asyncio.Task[Trace | None] | None = None

    async def build(self) -> Trace | None:
        if self._build is not None:
            self._building = asyncio.create_task(self._build())
            self._build = None  # what it builds from holds records
        return None if self._building is None else await asyncio.shield(self._building)


Item = Trace | PendingTrace | Feedback


class TracerQueue:
    """Sends to the tracer in batches, and counts what is lost. A failed batch is sent once more, unless the tracer
    says that it would be rejected again (`InvalidRequestError`).

    `sent`, `dropped` and `failures` (of calls) since the start; feedback counts as a trace does.
    """

    def __init__(self, name: str, tracer: Tracer, table: TracingTable) -> None:
        self.name = name
        self.takes_feedback = isinstance(tracer, SupportsFeedback)
        self._tracer = tracer
        self._table = table
        self._waiting: deque[Item] = deque()
        self._some = asyncio.Event()
        self._flush_now = asyncio.Event()
        self._closing = False
        self._in_flight = 0
        self._failing = 0  # failures in a row
        self._since: float | None = None
        self._error: str | None = None
        self._last_line = 0.0
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.dropped = 0
        self.failures = 0

    def put(self, item: Item) -> bool:
        """Queue without waiting; False when the queue is full and the item is dropped."""
        if len(self._waiting) >= self._table.max_waiting or self._closing:
            self.dropped += 1
            return False
        self._waiting.append(item)
        self._some.set()
        if len(self._waiting) >= self._table.max_batch:
            self._flush_now.set()
        return True

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self, seconds: float) -> None:
        """Flush for at most `seconds`; what is left then is dropped. The tracer's owner closes the tracer."""
        self._closing = True
        self._some.set()
        self._flush_now.set()
        task, self._task = self._task, None
        if task is not None:
            # Not wait_for: that goes on waiting for a task that ignores its cancellation.
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()
            await asyncio.wait({task}, timeout=0.2)
        left = len(self._waiting) + self._in_flight
        self._waiting.clear()
        self._in_flight = 0
        self.dropped += left
        if left:
            log.warning("tracer.traces_lost", tracer=self.name, lost=left)

    def report(self) -> Mapping[str, Any]:
        """For health and statistics; `since` in seconds since the epoch."""
        return {
            "state": "failing" if self._failing else "ok",
            "since": self._since,
            "error": self._error,
            "waiting": len(self._waiting) + self._in_flight,
            "sent": self.sent,
            "dropped": self.dropped,
            "failures": self.failures,
        }

    # --- the task ----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            if not self._closing and len(self._waiting) < self._table.max_batch:
                await self._wait_for_flush(self._table.schedule_delay_seconds)
            if batch := await self._take():
                await self._deliver(batch)
            if not self._waiting:
                if self._closing:
                    return
                self._some.clear()

    async def _take(self) -> list[Trace] | Feedback | None:
        """Traces up to the next feedback, or that feedback: it needs the trace that it belongs to."""
        traces: list[Trace] = []
        while self._waiting and len(traces) < self._table.max_batch:
            if traces and isinstance(self._waiting[0], Feedback):
                break
            item = self._waiting.popleft()
            if isinstance(item, Feedback):
                return item
            self._in_flight += 1
            trace = item if isinstance(item, Trace) else await item.build()
            if trace is None:
                self._in_flight -= 1
                self.dropped += 1
            else:
                traces.append(trace)
        return traces or None

    async def _deliver(self, batch: list[Trace] | Feedback) -> None:
        size = len(batch) if isinstance(batch, list) else 1
        self._in_flight = size
        for tries in range(1, _TRIES + 1):
            error = await self._send(batch)
            if error is None:
                self._record_success(size)
                break
            self._record_failure(error)
            if tries == _TRIES or self._closing or isinstance(error, InvalidRequestError):
                self.dropped += size
                break
            await self._pause()
        self._in_flight = 0
        if self._failing and not self._closing:
            await self._pause()

    async def _send(self, batch: list[Trace] | Feedback) -> Exception | None:
        try:
            async with asyncio.timeout(self._table.send_seconds):
                if isinstance(batch, list):
                    await self._tracer.record(batch)
                elif isinstance(self._tracer, SupportsFeedback):
                    await self._tracer.feedback(batch)
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is None or me.cancelling():
                raise
            return RuntimeError("cancelled itself")
        except Exception as error:  # a stranger's code
            return error
        return None

    async def _pause(self) -> None:
        """Back off while the tracer fails, longer each time; closing cuts the pause short."""
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._failing - 1, 10), _LONGEST_PAUSE)
        end = time.monotonic() + pause
        while not self._closing and (left := end - time.monotonic()) > 0:
            await self._wait_for_flush(left)

    async def _wait_for_flush(self, seconds: float) -> None:
        self._flush_now.clear()
        await wait_for_event(self._flush_now, seconds)

    def _record_success(self, size: int) -> None:
        self.sent += size
        if self._failing:
            log.info("tracer.recovered", tracer=self.name, dropped=self.dropped)
            self._failing, self._error, self._since = 0, None, time.time()

    def _record_failure(self, error: Exception) -> None:
        """Keep only the kind of an error: its text may quote an address, a key, or what was sent."""
        self.failures += 1
        self._failing += 1
        self._error = type(error).__name__
        if self._failing == 1:
            self._since = time.time()
        now = time.monotonic()
        if self._failing == 1 or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            log.warning(
                "tracer.failed", tracer=self.name, error=self._error, failures=self.failures, dropped=self.dropped
            )
