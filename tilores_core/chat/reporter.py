"""Step five of the engine: one outcome per turn, for tracers and observers, which no turn ever waits for."""

from __future__ import annotations

import asyncio
import random as _random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from tilores_core.cache.tiered import Hit
from tilores_core.chat.customer_lookup import match_of_entry
from tilores_core.chat.turn_context import TurnContext
from tilores_core.contracts import Answer, CustomerOutcome, Observer, Outcome, Turn
from tilores_core.errors import error_code

log = structlog.get_logger(part="chat")

_QUEUE_SIZE = 1_000
_SECONDS_PER_OUTCOME = 5.0


class TraceSink(Protocol):
    """Where outcomes become traces; `Tracing` is one. No method waits."""

    sample_hits: float
    """The share of cached replies that are traced."""

    def put(self, outcome: Outcome) -> None:
        """Trace the outcome, or leave it out, as the settings say."""

    def take(self, outcome: Outcome) -> None:
        """Trace the outcome; it was chosen already."""


class QualitySink(Protocol):
    """Where live answers are counted and scored; `LiveQuality` is one. No method waits.

    For each reply from memory the engine takes one of `hits`, and adds to `recent` the run id, the stored answer's
    key, the model and the prompt's version: a method would cost as much as both.
    """

    hits: Iterator[int]
    recent: deque[tuple[str, str | None, Any, str | None]]

    def count(self, context: TurnContext, answer: Answer | None, error: BaseException | None) -> bool:
        """A turn has ended that was not answered from memory. Whether `take` is to get its outcome."""

    def take(self, outcome: Outcome) -> None:
        """The outcome of a turn that `count` wanted."""


class OutcomeReporter:
    """Makes the outcome of a turn and queues it: for each observer in a bounded queue of its own, and for `tracing`.

    A slow or broken observer delays neither a turn nor another observer; what does not fit its queue is dropped and
    counted. `random`: from 0 up to 1.
    """

    def __init__(
        self,
        observers: Sequence[Observer] = (),
        *,
        tracing: TraceSink | None = None,
        quality: QualitySink | None = None,
        clock: Callable[[], float] = time.time,
        random: Callable[[], float] = _random.random,
        queue_size: int = _QUEUE_SIZE,
    ) -> None:
        self._queues = tuple(_ObserverQueue(observer, queue_size) for observer in observers)
        self._tracing = tracing
        self.quality = quality
        self._clock = clock
        self._random = random
        self.share_of_hits = 1.0 if observers else tracing.sample_hits if tracing is not None else 0.0
        """The share of replies from memory that is reported."""

    # --- what comes in -----------------------------------------------------------------------------------

    def report(
        self, context: TurnContext, answer: Answer | None = None, *, error: BaseException | None = None
    ) -> None:
        """Report a turn that has ended, with an answer or with an error."""
        quality = self.quality
        wanted = quality is not None and quality.count(context, answer, error)
        if wanted or self._queues or self._tracing is not None:
            outcome = _outcome(context, answer, error)
            self._put(outcome)
            if wanted and quality is not None:
                quality.take(outcome)

    def report_cached(self, context: TurnContext, hit: Hit, stored: Callable[[TurnContext], Answer | None]) -> None:
        """Report a reply that was served from memory: all of them to observers, a share of them to tracers.

        `stored`: the answer that the reply was rendered from, None when it has expired. Called only for what is
        reported, as an outcome costs about as much as the reply.
        """
        share = self.share_of_hits
        if share <= 0.0 or (share < 1.0 and self._random() >= share):
            return
        answer = stored(context)
        if answer is None:
            kind = "unnamed" if context.customer_entry is None else "one"
            answer = Answer(
                text="",
                model=context.model,
                cost=0.0,
                age=hit.age(self._clock()),
                prompt_version=context.prompt.version,
                customer=CustomerOutcome(kind="unnamed" if kind == "unnamed" else "one"),
            )
        outcome = _outcome(context, replace(answer, cache_tier=hit.tier), None)
        if self._queues:
            self._put(outcome)
        elif self._tracing is not None:
            self._tracing.take(outcome)

    def report_rejected(self, turn: Turn, error: BaseException) -> None:
        """Report a turn that was rejected before the engine worked on it."""
        if self._queues or self._tracing is not None:
            code = error_code(error)
            self._put(Outcome(turn=turn, answer=None, timings={}, error=code, started_at=time.time()))

    def _put(self, outcome: Outcome) -> None:
        for queue in self._queues:
            queue.put(outcome)
        if self._tracing is not None:
            self._tracing.put(outcome)

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        for queue in self._queues:
            queue.start()

    async def aclose(self, seconds: float = 2.0) -> None:
        """Give the observers `seconds` for what is queued, then stop."""
        await asyncio.gather(*(queue.aclose(seconds) for queue in self._queues))

    @property
    def waiting(self) -> int:
        """Outcomes in the queues of observers."""
        return sum(queue.waiting for queue in self._queues)

    @property
    def dropped(self) -> int:
        """Outcomes that an observer did not get since the start."""
        return sum(queue.dropped for queue in self._queues)

    @property
    def failed(self) -> int:
        """Calls of observers that failed or took too long."""
        return sum(queue.failed for queue in self._queues)


class _ObserverQueue:
    """One observer with a queue and a task of its own."""

    def __init__(self, observer: Observer, size: int) -> None:
        self._observer = observer
        self._queue: asyncio.Queue[Outcome] = asyncio.Queue(size)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def put(self, outcome: Outcome) -> None:
        try:
            self._queue.put_nowait(outcome)
        except asyncio.QueueFull:
            self.dropped += 1

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            outcome = await self._queue.get()
            try:
                async with asyncio.timeout(_SECONDS_PER_OUTCOME):
                    await self._observer(outcome)
            except (Exception, asyncio.CancelledError) as error:  # a plugin's code: count, name the kind, go on
                me = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and (me is None or me.cancelling()):
                    raise
                self.failed += 1
                log.warning("observer.failed", error=type(error).__name__, failed=self.failed)
            self._queue.task_done()

    async def aclose(self, seconds: float) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            self.dropped += self._queue.qsize()
        task.cancel()
        await asyncio.wait({task}, timeout=seconds)


def _outcome(context: TurnContext, answer: Answer | None, error: BaseException | None) -> Outcome:
    timings = context.timings
    timings["total"] = total = time.perf_counter() - context.started
    match = context.match
    if match is None and answer is not None and answer.cache_tier != "miss":  # served before the source was needed
        timings.update(customer=0.0, cache=total)
        if context.customer_entry is not None:
            match = match_of_entry(context.customer_entry)
    return Outcome(
        turn=context.turn,
        answer=answer,
        timings=timings,
        attempts=tuple(context.attempts),
        customer=context.customer,
        model=context.model,
        arm=context.arm,
        error=None if error is None else error_code(error),
        started_at=time.time() - total,
        customer_tier=match.tier if match is not None else answer.cache_tier if answer is not None else None,
        customer_records=None if match is None else len(match.record_ids),
        tools=tuple(context.tools),
    )
