"""From turns to tracers: sample, build the tree behind the request, hand it to each tracer's queue."""

from __future__ import annotations

import asyncio
import math
import random as _random
import sys
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tilores_core.contracts import Customer, Feedback, Outcome, Tracer
from tilores_core.errors import OverloadedError
from tilores_core.settings import TracingTable
from tilores_core.tracing.capture import Capture
from tilores_core.tracing.tracer_queue import TracerQueue
from tilores_core.tracing.tree import Resolve, Shown, TreeMaker

log = structlog.get_logger(part="tracing")

_NEVER = sys.maxsize
_BUILT_IN_A_ROW = 20  # then others may run

Remembered = Callable[[str], Customer | None]


class Tracing:
    """An observer of the engine; cached answers that never reach the engine come by `take`, one in `gap` of them.

    `resolve`, `shown` and `remembered`: see `TreeMaker` and `Capture`. `random`: from 0 up to 1.
    """

    def __init__(
        self,
        tracers: Mapping[str, Tracer],
        table: TracingTable,
        *,
        resolve: Resolve,
        shown: Shown,
        remembered: Remembered,
        deployment: Mapping[str, str],
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.queues = tuple(TracerQueue(name, tracer, table) for name, tracer in tracers.items())
        self._table = table
        self._capture = Capture(table.capture, longest=table.max_characters, remembered=remembered)
        self._maker = TreeMaker(resolve=resolve, shown=shown, deployment=deployment, full=table.capture == "full")
        self._random = random
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue(table.max_waiting)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failed = 0

    def __bool__(self) -> bool:
        return bool(self.queues)

    # --- what comes in -----------------------------------------------------------------------------------

    async def __call__(self, outcome: Outcome) -> None:
        """The engine's observer."""
        if self.wants(outcome):
            self.take(outcome)

    def wants(self, outcome: Outcome) -> bool:
        """Errors always, all else by the share that `[tracing]` says."""
        if outcome.error is not None or outcome.answer is None:
            return True
        share = self._table.sample if outcome.answer.cache_tier == "miss" else self._table.sample_hits
        return share >= 1 or self._random() < share

    def gap(self) -> int:
        """How many cached answers to leave out before the next that is traced: drawn at random, so that no rhythm of
        the callers decides (a geometric distribution, by inversion)."""
        share = self._table.sample_hits
        if not self.queues or share <= 0:
            return _NEVER
        if share >= 1:
            return 0
        return int(math.log(1.0 - self._random()) / math.log(1.0 - share))

    def take(self, outcome: Outcome) -> None:
        """Trace this one, without waiting; dropped and counted when there are too many already."""
        try:
            self._outcomes.put_nowait(outcome)
        except asyncio.QueueFull:
            self.dropped += 1

    @property
    def takes_feedback(self) -> bool:
        return any(queue.takes_feedback for queue in self.queues)

    @property
    def takes_texts(self) -> bool:
        """May what somebody wrote leave the process as it is?"""
        return self._table.capture == "full"

    def give(self, feedback: Feedback) -> None:
        """Queue a score for the tracers that take one. Raises `OverloadedError` when none has room."""
        taken = [queue.put(feedback) for queue in self.queues if queue.takes_feedback]
        if not any(taken):
            raise OverloadedError("too much waits to be traced", retry_after=5.0, fix="send the feedback again later")

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.queues and self._task is None:
            for queue in self.queues:
                queue.start()
            self._task = asyncio.get_running_loop().create_task(self._build_all())

    async def aclose(self) -> None:
        """Send what waits, within `flush_seconds`."""
        task, self._task = self._task, None
        if task is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + self._table.flush_seconds
        try:
            async with asyncio.timeout_at(end):
                await self._outcomes.join()
        except TimeoutError:
            self.dropped += self._outcomes.qsize()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = max(0.0, end - loop.time())
        await asyncio.gather(*(queue.aclose(left) for queue in self.queues))

    def report(self) -> Mapping[str, Any]:
        """Of each tracer, by name: `state` (`ok`, `failing`), `since`, `error` (its kind), `waiting`, `sent`,
        `dropped`, `failures`. `not_built`: turns that were lost before any tracer was told, as there were too many
        (`dropped`) or as one was odd (`failed`); `waiting`: those whose turn is yet to come."""
        return {
            "not_built": self.dropped + self.failed,
            "waiting": self._outcomes.qsize(),
            "dropped": self.dropped,
            "failed": self.failed,
            "tracers": {queue.name: dict(queue.report()) for queue in self.queues},
        }

    # --- building ----------------------------------------------------------------------------------------

    async def _build_all(self) -> None:
        built = 0
        while True:
            outcome = await self._outcomes.get()
            try:
                await self._build(outcome)
            except Exception as error:  # one odd turn must not end the tracing of all others
                self.failed += 1
                log.warning("tracing.turn_failed", error=type(error).__name__, failed=self.failed)
            finally:
                self._outcomes.task_done()
            del outcome  # it holds records
            built += 1
            if built % _BUILT_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def _build(self, outcome: Outcome) -> None:
        if self._capture.mode == "none":
            captured = self._capture.of(outcome)
        else:
            captured = await asyncio.to_thread(self._capture.of, outcome)
        trace = self._maker.trace(outcome, captured)
        for queue in self.queues:
            queue.put(trace)
