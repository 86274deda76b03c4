"""Observers hear of every turn after it, through one bounded queue; no request ever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from tilores_core.contracts import Observer, Outcome

log = structlog.get_logger(part="chat")

_QUEUE_SIZE = 1_000
_SECONDS_PER_OBSERVER = 5.0


class Observers:
    """Feeds each outcome to each observer in turn. What does not fit into the queue is dropped and counted."""

    def __init__(self, observers: Sequence[Observer] = (), *, size: int = _QUEUE_SIZE) -> None:
        self._observers = tuple(observers)
        self._queue: asyncio.Queue[Outcome] = asyncio.Queue(size)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failed = 0

    def __bool__(self) -> bool:
        return bool(self._observers)

    @property
    def waiting(self) -> int:
        """Outcomes that nobody has been told of yet."""
        return self._queue.qsize()

    def tell(self, outcome: Outcome) -> None:
        """Hand over without waiting."""
        if not self._observers:
            return
        try:
            self._queue.put_nowait(outcome)
        except asyncio.QueueFull:
            self.dropped += 1

    def start(self) -> None:
        if self._observers and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while True:
            outcome = await self._queue.get()
            for observer in self._observers:
                try:
                    async with asyncio.timeout(_SECONDS_PER_OBSERVER):
                        await observer(outcome)
                except (Exception, asyncio.CancelledError) as error:  # a stranger's code: count, name the kind, go on
                    me = asyncio.current_task()
                    if isinstance(error, asyncio.CancelledError) and (me is None or me.cancelling()):
                        raise
                    self.failed += 1
                    log.warning("observer.failed", error=type(error).__name__, failed=self.failed)
            self._queue.task_done()

    async def aclose(self, seconds: float = 2.0) -> None:
        """Give what is queued `seconds` to be told, then stop."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            self.dropped += self._queue.qsize()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
