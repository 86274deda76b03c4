"""Which arm a turn belongs to: a pure function of its unit, the experiments and their weights. No I/O."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tilores_core.chat.messages import last_question
from tilores_core.contracts import Arm, ExperimentArm, PromptChoice, Turn
from tilores_core.release.experiments.plan import ExperimentPlan
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


class Assignment:
    """The `PromptAssignment` of a process. `holdout`: share of the traffic that never takes part.

    A unit's arm is remembered in a bounded table, since most callers ask more than once.
    """

    def __init__(self, *, holdout: float = 0.0) -> None:
        self._holdout = round(holdout * BUCKETS)
        self._running: tuple[RunningExperiment, ...] = ()
        self._known: OrderedDict[tuple[str, int, str], ExperimentArm | None] = OrderedDict()
        self._exposures: Counter[tuple[str, int, Arm]] = Counter()
        self.assigned: Counter[tuple[str, str]] = Counter()
        """Turns by experiment and arm, and..."""
        self.exposed: Counter[tuple[str, str]] = Counter()
        """... units that met an arm for the first time in this process; of experiments that run."""

    @property
    def running(self) -> tuple[RunningExperiment, ...]:
        return self._running

    def replace(self, running: tuple[RunningExperiment, ...]) -> None:
        """From the next turn on. The same experiments with the same weights give every unit the arm that it had."""
        if running == self._running:
            return
        self._running = running
        names = {one.plan.name for one in running}
        for counts in (self.assigned, self.exposed):
            for key in [key for key in counts if key[0] not in names]:
                del counts[key]

    def __call__(self, turn: Turn, model: str, state: PromptState) -> PromptChoice:
        """What the turn's arm is answered with; what is in production for a turn that takes part in no experiment.

        Only live turns take part.
        """
        if turn.purpose != "live":
            return state.choice
        for experiment in self._running:
            plan = experiment.plan
            if not _is_target(turn, model, plan):
                continue
            prompt = state.get_labelled(plan.label)
            if prompt is None:  # this process does not have the candidate yet
                continue
            arm = self._arm(experiment, unit_of(turn, plan))
            if arm is not None:
                self.assigned[plan.name, arm.arm] += 1
                return (
                    PromptChoice(prompt, plan.model, arm)
                    if arm.arm == "candidate"
                    else state.choice._replace(arm=arm)
                )
        return state.choice

    def take_exposures(self) -> Counter[tuple[str, int, Arm]]:
        """Units that met an arm for the first time in this process, by experiment's id, step and arm, since the last
        call."""
        taken, self._exposures = self._exposures, Counter()
        return taken

    def _arm(self, experiment: RunningExperiment, unit: str) -> ExperimentArm | None:
        key = (experiment.id, experiment.step, unit)
        known = self._known
        if key in known:
            return known[key]
        found = known[key] = _find_arm(experiment, unit, self._holdout)
        if len(known) > _MOST_UNITS:
            known.popitem(last=False)
        if found is not None:
            self._exposures[experiment.id, experiment.step, found.arm] += 1
            self.exposed[found.name, found.arm] += 1
        return found


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
