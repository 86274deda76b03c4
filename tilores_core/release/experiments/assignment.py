"""Which arm a turn belongs to: a pure function of its unit, the experiments and their weights. No I/O."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from tilores_core.chat.messages import last_question
from tilores_core.contracts import Arm, ExperimentArm, PromptChoice, Turn
from tilores_core.release.experiments.plan import ARMS, ExperimentPlan
from tilores_core.release.prompt_state import PromptState
from tilores_core.spectrums import classify

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
    """What keeps its arm; a turn without one is a unit of its own."""
    if plan.unit == "customer" and turn.customer_id:
        return f"customer {turn.customer_id}"
    return turn.session_id or turn.customer_id or turn.run_id or turn.request_id


@dataclass(frozen=True, slots=True)
class _Assigned:
    """What a unit is answered with while `state` is in force; no `choice`: it does not take part. `turns` counts its
    arm's."""

    state: PromptState
    arm: ExperimentArm | None
    choice: PromptChoice | None
    turns: list[int]


@dataclass(frozen=True, slots=True)
class _AtWork:
    """A running experiment, what its units were assigned to, and the number of turns of each arm."""

    experiment: RunningExperiment
    targeted: bool
    by_customer: bool
    turns: dict[Arm, list[int]]
    units: OrderedDict[str, _Assigned] = field(default_factory=OrderedDict)


class Assignment:
    """The `PromptAssignment` of a process. `holdout`: share of the traffic that never takes part.

    What a unit was assigned to is remembered in a bounded table, since most callers ask more than once.
    """

    def __init__(self, *, holdout: float = 0.0) -> None:
        self._holdout = round(holdout * BUCKETS)
        self._at_work: tuple[_AtWork, ...] = ()
        self._exposures: Counter[tuple[str, int, Arm]] = Counter()
        self.exposed: Counter[tuple[str, str]] = Counter()
        """Units that met an arm for the first time here, by experiment and arm; of experiments that run."""

    @property
    def running(self) -> tuple[RunningExperiment, ...]:
        return tuple(one.experiment for one in self._at_work)

    @property
    def assigned(self) -> dict[tuple[str, str], int]:
        """Turns by experiment and arm, of experiments that run."""
        return {
            (one.experiment.plan.name, arm): turns[0]
            for one in self._at_work
            for arm, turns in one.turns.items()
            if turns[0]
        }

    def replace(self, running: tuple[RunningExperiment, ...]) -> None:
        """From the next turn on. The same experiments with the same weights give every unit the arm that it had."""
        same = {one.experiment: one for one in self._at_work}
        named = {one.experiment.plan.name: one.turns for one in self._at_work}
        self._at_work = tuple(same.get(one) or _set_to_work(one, named.get(one.plan.name)) for one in running)
        names = {one.plan.name for one in running}
        for key in [key for key in self.exposed if key[0] not in names]:
            del self.exposed[key]

    def __call__(self, turn: Turn, model: str, state: PromptState) -> PromptChoice:
        """What the turn's arm is answered with; what is in production for a turn that takes part in no experiment.

        Only live turns take part. This is in the path of every cached reply: mostly one look-up.
        """
        if turn.purpose != "live":
            return state.choice
        for one in self._at_work:
            if one.targeted and not _is_target(turn, model, one.experiment.plan):
                continue
            unit = turn.session_id
            if one.by_customer or not unit:
                unit = unit_of(turn, one.experiment.plan)
            found = one.units.get(unit)
            if found is None or found.state is not state:
                found = self._assign(one, unit, found, state)
            if found is not None and found.choice is not None:
                found.turns[0] += 1
                return found.choice
        return state.choice

    def take_exposures(self) -> Counter[tuple[str, int, Arm]]:
        """Units that met an arm for the first time in this process, by experiment's id, step and arm, since the last
        call."""
        taken, self._exposures = self._exposures, Counter()
        return taken

    def _assign(self, one: _AtWork, unit: str, before: _Assigned | None, state: PromptState) -> _Assigned | None:
        """None while this process does not have the candidate."""
        experiment = one.experiment
        plan = experiment.plan
        prompt = state.get_labelled(plan.label)
        if prompt is None:
            return None
        choice: PromptChoice | None = None
        arm = before.arm if before is not None else _find_arm(experiment, unit, self._holdout)
        if arm is not None:
            is_candidate = arm.arm == "candidate"
            choice = PromptChoice(prompt, plan.model, arm) if is_candidate else state.choice._replace(arm=arm)
            if before is None:
                self._exposures[experiment.id, experiment.step, arm.arm] += 1
                self.exposed[arm.name, arm.arm] += 1
        found = one.units[unit] = _Assigned(state, arm, choice, one.turns["control" if arm is None else arm.arm])
        if len(one.units) > _MOST_UNITS:
            one.units.popitem(last=False)
        return found


def _set_to_work(experiment: RunningExperiment, turns: dict[Arm, list[int]] | None) -> _AtWork:
    plan = experiment.plan
    return _AtWork(
        experiment,
        targeted=bool(plan.models or plan.spectrums),
        by_customer=plan.unit == "customer",
        turns={arm: [0] for arm in ARMS} if turns is None else turns,
    )


def _find_arm(experiment: RunningExperiment, unit: str, holdout: int) -> ExperimentArm | None:
    place = bucket(_LAYER, unit)
    first, end = experiment.slice
    if place < holdout or not first <= place < end:
        return None
    is_candidate = bucket(experiment.id.encode(), unit) < experiment.weight * BUCKETS
    arm: Arm = "candidate" if is_candidate else "control"
    return ExperimentArm(experiment.id, experiment.plan.name, experiment.step, arm, unit)


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
