"""What a web process has seen of experiments, added to the store every second."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from contextlib import suppress
from typing import Final

import structlog

from tilores_core.contracts import Outcome
from tilores_core.errors import StoreError, is_perhaps_done
from tilores_core.release.experiments.assignment import Assignment
from tilores_core.resilience import cancel_tasks
from tilores_core.store.lazy import LazyStore

log = structlog.get_logger(part="release")

FLUSH_SECONDS: Final = 1.0
_MOST_UNITS: Final = 50_000

Key = tuple[str, int, str]


class ExperimentRecorder:
    """Counts outcomes for their arms. Only sums leave the process: no question, no answer, no unit.

    A turn that a fallback answered, that could not be scored, or whose unit has a score already in this process is
    left out of the scores and counted as such. While the store is away sums are kept: no experiment starts meanwhile.
    """

    def __init__(self, assignment: Assignment, store: LazyStore) -> None:
        self._assignment = assignment
        self._store = store
        self._sums: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        """By the names of `ArmSums`."""
        self._scored: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._flushing = asyncio.Lock()
        self.excluded: Counter[tuple[str, str]] = Counter()
        """Turns that were left out of the scores, by experiment and why: fallback, unreliable, repeat."""

    def record(self, outcome: Outcome, score: float | None) -> None:
        """A turn that ended. `score`: in [0, 1], None when it was not scored. Never waits."""
        arm, answer = outcome.arm, outcome.answer
        if arm is None:
            return
        sums = self._sums[arm.experiment_id, arm.step, arm.arm]
        if answer is None:
            sums["turns"] += 1
            sums["errors"] += 1
            return
        if answer.model != outcome.model:
            sums["excluded_fallback"] += 1
            self.excluded[arm.name, "fallback"] += 1
            return
        sums["turns"] += 1
        seconds, cost = outcome.timings.get("total", 0.0), answer.cost or 0.0
        sums["latency"] += seconds
        sums["latency_squares"] += seconds * seconds
        sums["cost"] += cost
        sums["cost_squares"] += cost * cost
        if score is None:
            return
        unit = (arm.experiment_id, arm.unit)
        if unit in self._scored:
            sums["excluded_repeat"] += 1
            self.excluded[arm.name, "repeat"] += 1
            return
        if arm.unit:
            self._scored[unit] = None
            if len(self._scored) > _MOST_UNITS:
                self._scored.popitem(last=False)
        records = float(outcome.customer_records or 0)
        sums["scored"] += 1
        sums["score"] += score
        sums["score_squares"] += score * score
        sums["records"] += records
        sums["records_squares"] += records * records
        sums["score_records"] += score * records

    def record_unreliable(self, outcome: Outcome) -> None:
        """A turn whose score cannot be relied on."""
        if (arm := outcome.arm) is not None:
            self._sums[arm.experiment_id, arm.step, arm.arm]["excluded_unreliable"] += 1
            self.excluded[arm.name, "unreliable"] += 1

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="experiment sums")

    async def aclose(self) -> None:
        with suppress(StoreError):
            await self.flush()  # and what is being added is added, not given up half-way and added again
        await cancel_tasks(self._task)

    async def flush(self) -> None:
        """Add what was seen. Raises `StoreError`; what was not added is kept for the next time.

        What was perhaps added is given up: counted twice it would tilt an experiment, left out it does not.
        """
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        running = {experiment.plan.name for experiment in self._assignment.running}
        for labels in [labels for labels in self.excluded if labels[0] not in running]:
            del self.excluded[labels]
        for (experiment, step, arm), units in self._assignment.take_exposures().items():
            self._sums[experiment, step, arm]["units"] += units
        taken, self._sums = self._sums, defaultdict(lambda: defaultdict(float))
        if not taken:
            return
        try:
            await (await self._store.get()).experiments.add(taken)
        except BaseException as error:
            if is_perhaps_done(error):
                raise
            for key, sums in taken.items():
                for name, value in sums.items():
                    self._sums[key][name] += value
            raise

    async def _run(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
                failing = False
            except StoreError as error:
                if not failing:
                    log.warning("experiments.sums_waiting", error=error.message)
                failing = True
