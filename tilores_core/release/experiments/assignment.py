"""Which arm a turn belongs to: a pure function of its unit, the experiments and their weights. No I/O."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from tilores_core.chat.messages import last_question
from tilores_core.contracts import Prompt, Turn
from tilores_core.release.experiments.plan import Arm, ExperimentPlan
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


@dataclass(frozen=True, slots=True)
class Assigned:
    experiment: RunningExperiment
    arm: Arm
    unit: str


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
    """The `PromptAssignment` of a process. `holdout`: buckets that never take part.

    A unit's arm is remembered in a bounded table, since most callers ask more than once.
    """

    def __init__(self, default_model: str, *, holdout: float = 0.0) -> None:
        self._default_model = default_model
        self._holdout = round(holdout * BUCKETS)
        self._running: tuple[RunningExperiment, ...] = ()
        self._known: OrderedDict[tuple[str, int, str], Arm | None] = OrderedDict()
        self.exposures: dict[tuple[str, int, Arm], int] = {}
        """Units that met an arm for the first time in this process, by experiment, step and arm, until taken."""

    @property
    def running(self) -> tuple[RunningExperiment, ...]:
        return self._running

    def replace(self, running: tuple[RunningExperiment, ...]) -> None:
        """From the next turn on. The same experiments with the same weights give every unit the arm that it had."""
        if running != self._running:
            self._running = running
            self._known.clear()

    def __call__(self, turn: Turn, state: PromptState) -> Prompt:
        """The candidate's prompt for the turns that are its, the one in production for all others."""
        assigned = self.assign(turn, count=True)
        if assigned is None or assigned.arm == "control":
            return state.production
        return state.labelled(assigned.experiment.plan.label) or state.production

    def assign(self, turn: Turn, *, count: bool = False) -> Assigned | None:
        """None for a turn that takes part in no experiment. Only live turns do."""
        if turn.purpose != "live":
            return None
        for experiment in self._running:
            if not self._is_target(turn, experiment.plan):
                continue
            unit = unit_of(turn, experiment.plan)
            key = (experiment.id, experiment.step, unit)
            known = self._known
            if key in known:
                arm = known[key]
            else:
                arm = known[key] = self._arm(experiment, unit)
                if len(known) > _MOST_UNITS:
                    known.popitem(last=False)
                if arm is not None and count:
                    counter = (experiment.id, experiment.step, arm)
                    self.exposures[counter] = self.exposures.get(counter, 0) + 1
            if arm is not None:
                return Assigned(experiment, arm, unit)
        return None

    def take_exposures(self) -> dict[tuple[str, int, Arm], int]:
        taken, self.exposures = self.exposures, {}
        return taken

    def _arm(self, experiment: RunningExperiment, unit: str) -> Arm | None:
        place = bucket(_LAYER, unit)
        first, end = experiment.slice
        if place < self._holdout or not first <= place < end:
            return None
        salt = experiment.id.encode()
        return "candidate" if bucket(salt, unit) < experiment.weight * BUCKETS else "control"

    def _is_target(self, turn: Turn, plan: ExperimentPlan) -> bool:
        if plan.models and (turn.model or self._default_model) not in plan.models:
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
