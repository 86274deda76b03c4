"""From outcomes to tracers: sample, queue for each tracer, build the trace behind the request."""

from __future__ import annotations

import asyncio
import random as _random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import structlog
from cachetools import LRUCache

from tilores_core.contracts import Customer, Feedback, Outcome, Trace, Tracer
from tilores_core.errors import OverloadedError
from tilores_core.settings import TracingTable
from tilores_core.tracing.capture import Capture
from tilores_core.tracing.tracer_queue import PendingTrace, TracerQueue
from tilores_core.tracing.tree import Resolve, Shown, TreeMaker

log = structlog.get_logger(part="tracing")

_RAILWAY: Final = {
    "RAILWAY_DEPLOYMENT_ID": "deployment_id",
    "RAILWAY_REPLICA_ID": "replica_id",
    "RAILWAY_REPLICA_REGION": "replica_region",
    "RAILWAY_SERVICE_NAME": "service",
    "RAILWAY_ENVIRONMENT_NAME": "environment",
    "RAILWAY_GIT_COMMIT_SHA": "commit",
}
_LONGEST_VALUE: Final = 200
_SCORES_KEPT: Final = 2_000

Remembered = Callable[[str], Customer | None]


def deployment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """Where this process runs, as far as its host says, for the metadata of every trace."""
    found = {name: variables.get(variable, "") for variable, name in _RAILWAY.items()}
    return {name: value[:_LONGEST_VALUE] for name, value in found.items() if value}


class Tracing:
    """The tracers of a process, each behind a `TracerQueue`. An outcome waits in those queues and nowhere else.

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
        self.sample_hits = table.sample_hits if tracers else 0.0
        self._failed = 0
        self._table = table
        self._capture = Capture(table.capture, longest=table.max_characters, remembered=remembered)
        self._scores: LRUCache[str, Mapping[str, float]] = LRUCache(_SCORES_KEPT)
        self._maker = TreeMaker(
            resolve=resolve,
            shown=shown,
            deployment=deployment,
            full=table.capture == "full",
            scores=lambda run_id: self._scores.get(run_id) or {},
        )
        self._random = random

    def __bool__(self) -> bool:
        return bool(self.queues)

    # --- what comes in -----------------------------------------------------------------------------------

    def put(self, outcome: Outcome) -> None:
        """Trace the outcome if it is an error or in the share that `[tracing]` says."""
        if self.wants(outcome):
            self.take(outcome)

    def wants(self, outcome: Outcome) -> bool:
        """Errors always, all else by the share that `[tracing]` says."""
        if outcome.error is not None or outcome.answer is None:
            return True
        share = self._table.sample if outcome.answer.cache_tier == "miss" else self._table.sample_hits
        return share >= 1 or self._random() < share

    def take(self, outcome: Outcome) -> None:
        """Trace this one, without waiting; a queue that is full drops and counts it."""
        pending = PendingTrace(partial(self.build, outcome))
        for queue in self.queues:
            queue.put(pending)

    def record(self, trace: Trace) -> None:
        """Queue a trace of something else than a turn: always when it failed, else by `[tracing] sample`."""
        if trace.root.error is not None or self._table.sample >= 1 or self._random() < self._table.sample:
            for queue in self.queues:
                queue.put(trace)

    def note_scores(self, run_id: str, scores: Mapping[str, float]) -> None:
        """Scores of an answer, each from 0 to 1. They are on its trace when they come before it is sent, which is
        `schedule_delay_seconds` after the reply."""
        if self.queues:
            self._scores[run_id] = scores

    @property
    def takes_feedback(self) -> bool:
        return any(queue.takes_feedback for queue in self.queues)

    @property
    def takes_texts(self) -> bool:
        """Whether texts that a caller wrote may leave the process as they are."""
        return self._table.capture == "full"

    def give(self, feedback: Feedback) -> None:
        """Queue a score for the tracers that take one. Raises `OverloadedError` when none has room."""
        taken = [queue.put(feedback) for queue in self.queues if queue.takes_feedback]
        if not any(taken):
            raise OverloadedError("too much waits to be traced", retry_after=5.0, fix="send the feedback again later")

    # --- life --------------------------------------------------------------------------------------------

    def start(self) -> None:
        for queue in self.queues:
            queue.start()

    async def aclose(self) -> None:
        """Send what waits, within `flush_seconds`."""
        await asyncio.gather(*(queue.aclose(self._table.flush_seconds) for queue in self.queues))

    def report(self) -> Mapping[str, Any]:
        """By tracer: `state` (`ok`, `failing`), `since`, `error` (kind), `waiting`, `sent`, `dropped`, `failures`."""
        return {queue.name: queue.report() for queue in self.queues}

    # --- building ----------------------------------------------------------------------------------------

    async def build(self, outcome: Outcome) -> Trace | None:
        """The trace of an outcome; None when it cannot be built."""
        try:
            if self._capture.mode == "none":
                captured = self._capture.of(outcome)
            else:  # masking may take milliseconds
                captured = await asyncio.to_thread(self._capture.of, outcome)
            return self._maker.trace(outcome, captured)
        except Exception as error:  # one odd turn must not end the tracing of all others
            self._failed += 1
            log.warning("tracing.turn_failed", error=type(error).__name__, failed=self._failed)
            return None
