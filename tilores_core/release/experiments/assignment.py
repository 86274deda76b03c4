"""What a web process does for experiments: it finds the arm of a turn, a pure function of its unit, the experiments
and their weights; and it adds what the arms have shown to the store, every second."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import structlog

from tilores_core.chat.messages import last_question
from tilores_core.contracts import Arm, ExperimentArm, Outcome, PromptChoice, Turn
from tilores_core.errors import StoreError, is_perhaps_done
from tilores_core.release.experiments.plan import ARMS, ExperimentPlan
from tilores_core.release.prompt_state import PromptState
from tilores_core.resilience import cancel_tasks
from tilores_core.spectrums import classify
from tilores_core.store.lazy import LazyStore

log = structlog.get_logger(part="release")

FLUSH_SECONDS: Final = 1.0
BUCKETS: Final = 10_000
_LAYER: Final = b"tilores.experiments"
_MOST_UNITS: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningExperiment:
    """What assignment needs of an experiment. `slice`: the buckets of all traffic that take part, first and end;
    those of two experiments never overlap. `weight`: the candidate's share of them. `step`: counts the weights."""

    id: str
    plan: ExperimentPlan
    slice: tuple[int, int]
    weight: float
    step: int


def bucket(salt: bytes, unit: str) -> int:
    """0 to 9,999, even over units, and independent between salts."""
    digest = blake2b(unit.encode("utf-8", "replace"), digest_size=8, key=salt[:64]).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def unit_of(turn: Turn, plan: ExperimentPlan) -> str:
    """What keeps its arm: the session or the customer. "" for a turn without one, which is a unit of its own."""
    if plan.unit == "customer" and turn.customer_id:
        return f"customer {turn.customer_id}"
    return turn.session_id or turn.customer_id or ""


@dataclass(slots=True)
class _ArmCounts:
    """Of one arm in this process. `exposed`: units that met it for the first time, `new` of them since they were last
    taken."""

    turns: int = 0
    exposed: int = 0
    new: int = 0


_OUTSIDE: Final = _ArmCounts()  # of turns that take part in no experiment

_Assigned = tuple[PromptState, _ArmCounts, PromptChoice]
"""What a unit is answered with while the state is in force, and what counts its turns."""


@dataclass(slots=True)
class _AtWork:
    """A running experiment with its counts. `units`: what they were assigned to. `choices`: of a turn that is a unit
    of its own, by arm, while `state` is in force; empty while this process does not have the candidate."""

    experiment: RunningExperiment
    arms: dict[Arm, _ArmCounts]
    targeted: bool
    units: OrderedDict[str, _Assigned] = field(default_factory=OrderedDict)
    state: PromptState | None = None
    choices: dict[Arm, PromptChoice] = field(default_factory=dict)

    def choices_in(self, state: PromptState) -> dict[Arm, PromptChoice]:
        if self.state is not state:
            self.state, self.choices = state, {}
            experiment, plan = self.experiment, self.experiment.plan
            if (prompt := state.get_labelled(plan.label)) is not None:
                made = (ExperimentArm(experiment.id, plan.name, experiment.step, arm, "") for arm in ARMS)
                self.choices["control"] = state.choice._replace(arm=next(made))
                self.choices["candidate"] = PromptChoice(prompt, plan.model, next(made))
        return self.choices

    def take_new(self) -> Iterator[tuple[tuple[str, int, Arm], int]]:
        for arm, counts in self.arms.items():
            if counts.new:
                yield (self.experiment.id, self.experiment.step, arm), counts.new
                counts.new = 0


class Assignment:
    """Gives a turn the prompt and the model of its arm: no I/O, no waiting.

    `holdout`: share of the traffic that never takes part.

    What a unit was assigned to is remembered in bounded tables, since most callers ask more than once.
    """

    def __init__(self, *, holdout: float = 0.0) -> None:
        self._holdout = round(holdout * BUCKETS)
        self._at_work: tuple[_AtWork, ...] = ()
        self._by_session = False
        self._exposures: Counter[tuple[str, int, Arm]] = Counter()
        self.sessions: dict[str | None, _Assigned] = {}
        """The choices for sessions that depend on nothing else: all that a cached reply looks at."""

    @property
    def running(self) -> tuple[RunningExperiment, ...]:
        return tuple(one.experiment for one in self._at_work)

    @property
    def assigned(self) -> dict[tuple[str, str], int]:
        """Turns by experiment and arm, of experiments that run."""
        return {key: counts.turns for key, counts in self._counts() if counts.turns}

    @property
    def exposed(self) -> dict[tuple[str, str], int]:
        """Units that met an arm for the first time here, by experiment and arm; of experiments that run."""
        return {key: counts.exposed for key, counts in self._counts() if counts.exposed}

    def replace(self, running: tuple[RunningExperiment, ...]) -> None:
        """From the next turn on. The same experiments with the same weights give every unit the arm that it had."""
        self._exposures = self.take_exposures()
        same = {one.experiment: one for one in self._at_work}
        arms = {one.experiment.plan.name: one.arms for one in self._at_work}
        self._at_work = tuple(
            same.get(one)
            or _AtWork(
                one,
                arms.get(one.plan.name) or {arm: _ArmCounts() for arm in ARMS},
                targeted=bool(one.plan.models or one.plan.spectrums),
            )
            for one in running
        )
        self._by_session = not any(one.targeted or one.experiment.plan.unit == "customer" for one in self._at_work)
        self.sessions = {}

    def __call__(self, turn: Turn, model: str, state: PromptState) -> PromptChoice:
        """What the turn's arm is answered with; what is in production for a turn that takes part in no experiment.

        Only live turns take part.
        """
        if turn.purpose != "live":
            return state.choice
        found: _Assigned | None = None
        for one in self._at_work:
            if one.targeted and not _is_target(turn, model, one.experiment.plan):
                continue
            if turn.session_id or turn.customer_id:
                found = self._assign(one, unit_of(turn, one.experiment.plan), state)
            else:
                found = self._assign_once(one, turn.run_id or turn.request_id, state)
            if found[1] is not _OUTSIDE:
                break
        found = found or (state, _OUTSIDE, state.choice)
        if self._by_session and turn.session_id:
            if len(self.sessions) >= _MOST_UNITS:
                self.sessions.clear()
            self.sessions[turn.session_id] = found
        found[1].turns += 1
        return found[2]

    def take_exposures(self) -> Counter[tuple[str, int, Arm]]:
        """Units that met an arm for the first time in this process, by experiment's id, step and arm, since the last
        call."""
        taken, self._exposures = self._exposures, Counter()
        for one in self._at_work:
            taken.update(dict(one.take_new()))
        return taken

    def _counts(self) -> Iterator[tuple[tuple[str, str], _ArmCounts]]:
        for one in self._at_work:
            for arm, counts in one.arms.items():
                yield (one.experiment.plan.name, arm), counts

    def _assign(self, one: _AtWork, unit: str, state: PromptState) -> _Assigned:
        before = one.units.get(unit)
        if before is not None and before[0] is state:
            return before
        if not one.choices_in(state):  # this process does not have the candidate
            return state, _OUTSIDE, state.choice
        if before is None:
            arm = self._find_arm(one, bucket(_LAYER, unit), bucket(one.experiment.id.encode(), unit))
        else:
            arm = None if before[2].arm is None else before[2].arm.arm
        found = state, _OUTSIDE, state.choice
        if arm is not None:
            choice, counts = one.choices[arm], one.arms[arm]
            found = state, counts, choice._replace(arm=choice.arm and choice.arm._replace(unit=unit))
            if before is None:
                counts.exposed += 1
                counts.new += 1
        one.units[unit] = found
        if len(one.units) > _MOST_UNITS:
            one.units.popitem(last=False)
        return found

    def _assign_once(self, one: _AtWork, own: str, state: PromptState) -> _Assigned:
        """Of a turn that is a unit of its own. No other process sees it: a hash that costs nearly nothing will do."""
        number = hash(own)
        arm = self._find_arm(one, number % BUCKETS, number // BUCKETS % BUCKETS)
        if arm is None or not one.choices_in(state):
            return state, _OUTSIDE, state.choice
        counts = one.arms[arm]
        counts.exposed += 1
        counts.new += 1
        return state, counts, one.choices[arm]

    def _find_arm(self, one: _AtWork, place: int, side: int) -> Arm | None:
        first, end = one.experiment.slice
        if place < self._holdout or not first <= place < end:
            return None
        return "candidate" if side < one.experiment.weight * BUCKETS else "control"


def _is_target(turn: Turn, model: str, plan: ExperimentPlan) -> bool:
    if plan.models and model not in plan.models:
        return False
    return not plan.spectrums or classify(last_question(turn.messages)) in plan.spectrums


def free_slice(share: float, taken: list[tuple[int, int]], *, holdout: float = 0.0) -> tuple[int, int] | None:
    """Buckets for a share of the traffic that no running experiment has; None when there are not enough in a row."""
    size = max(1, round(share * BUCKETS))
    start = round(holdout * BUCKETS)
    if share >= 1.0:  # all that there is
        size = BUCKETS - start
    for first, end in sorted(taken):
        if first - start >= size:
            break
        start = max(start, end)
    return (start, start + size) if start + size <= BUCKETS else None


class ExperimentRecorder:
    """Counts outcomes for their arms. Only sums leave the process: no question, no answer, no unit.

    A turn that a fallback answered, that could not be scored, or whose unit has a score already in this process is
    left out of the scores and counted as such. While the store is away sums are kept: no experiment starts meanwhile.
    """

    def __init__(self, assignment: Assignment, store: LazyStore) -> None:
        self._assignment = assignment
        self._store = store
        self._sums: dict[tuple[str, int, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
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
