"""Work that waits its turn: a few at a time, the most urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import cast

import structlog

log = structlog.get_logger(part="prewarm")

Work = Callable[[], Awaitable[None]]


class Pool:
    """At most `size` pieces of work at one time; the rest wait, `most` of them.

    Of equal urgency the first that came goes first. Workers are there only while there is work.
    """

    def __init__(self, size: int, *, most: int | None = None) -> None:
        self._size = size
        self._most = most
        self._waiting: list[tuple[float, int, Work, Callable[[], None] | None]] = []
        self._numbers = count()
        self._workers: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._workers)

    def submit(self, work: Work, *, priority: float = 0, dropped: Callable[[], None] | None = None) -> None:
        """`dropped` is called instead when there is no room left and this one had waited longest."""
        if self._closed:
            if dropped is not None:
                dropped()
            return
        heappush(self._waiting, (-priority, next(self._numbers), work, dropped))
        if self._most is not None and len(self._waiting) > self._most:
            *_, let_go = heappop(self._waiting)
            if let_go is not None:
                let_go()
        if len(self._workers) < self._size:
            worker = asyncio.create_task(self._run())
            self._workers.add(worker)

    async def _run(self) -> None:
        try:
            while self._waiting:
                *_, work, _ = heappop(self._waiting)
                try:
                    await work()
                except Exception as error:  # a mistake of ours; the text may hold anything
                    log.error("prewarm.task_failed", error=type(error).__name__)
                await asyncio.sleep(0)  # callers are answered also between pieces of work that wait for nothing
        finally:
            # At once, and not in a callback: what is submitted meanwhile needs a new worker.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def aclose(self) -> None:
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for *_, dropped in waiting:
            if dropped is not None:
                dropped()
        workers = tuple(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
