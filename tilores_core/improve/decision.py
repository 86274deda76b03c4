"""Whether a candidate is better than the present prompt, by held-out questions, and what follows: a version, and a
guarded roll-out on live traffic."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

from tilores_core.errors import DeploymentRefusedError, InvalidRequestError
from tilores_core.quality.evaluation import AnswerResult
from tilores_core.release.experiments.plan import ROLLOUT_STEPS, ExperimentPlan
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.settings.improve import ImproveTable
from tilores_core.statistics import MeanSPRT, Moments

log = structlog.get_logger(part="improve")

Outcome = Literal["deploy", "propose", "validate more", "optimize more", "reject"]
_ENOUGH: Final = 0.99
_TAU: Final = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done with the best candidate of a cycle, and why.

    `difference`: mean of the overall score, candidate minus present prompt, over `questions` held-out questions,
    with an interval that holds at every look. `confidence`: 1 minus the always-valid p-value, 0 unless it is better.

    `outcome`: `deploy` without a person; `propose`: a version that a person may deploy; `validate more`: better, but
    not for sure; `optimize more`: too small a gain, or a cell got worse; `reject`: not better.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    difference: float = 0.0
    confidence: float = 0.0
    low: float | None = None
    high: float | None = None
    questions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What a candidate must reach.

    `gain`: least difference in points of 1; `propose`, `auto`: confidence to propose, and to deploy by itself.
    """

    gain: float = 0.02
    propose: float = 0.8
    auto: float = 0.95


@dataclass(slots=True)
class HeldOutTest:
    """`automatic`: whether it may say deploy; else what could be deployed is proposed.

    Paired differences of held-out questions, looked at after every batch; one value a question, the mean over
    models, as the answers of several models to a question are not independent. Looking costs nothing: the test is
    the mixture SPRT (Johari et al., arXiv 1512.04922) on the differences."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    automatic: bool = True
    differences: list[float] = field(default_factory=list)
    test: MeanSPRT = field(default_factory=lambda: MeanSPRT(tau=_TAU, minimum=20))

    def add(self, differences: Iterable[float]) -> bool:
        """One more batch; whether it is clear enough to end."""
        self.differences += differences
        decision = self.decide()
        return decision.confidence >= max(_ENOUGH, self.thresholds.auto) or (decision.high or 1.0) < 0

    def decide(self, worse_cells: Sequence[tuple[str, str]] = ()) -> Decision:
        """What the differences so far say."""
        count = float(len(self.differences))
        look = self.test.look(Moments(count, 0.0, 0.0), Moments.of(self.differences))
        confidence = 1.0 - look.p_value if look.difference > 0 else 0.0
        outcome, reasons = self._outcome(look.difference, confidence, worse_cells)
        finite = math.isfinite(look.low)
        return Decision(
            outcome=outcome,
            reasons=reasons,
            difference=look.difference,
            confidence=confidence,
            low=look.low if finite else None,
            high=look.high if finite else None,
            questions=len(self.differences),
        )

    def _outcome(
        self, difference: float, confidence: float, worse: Sequence[tuple[str, str]]
    ) -> tuple[Outcome, tuple[str, ...]]:
        limits = self.thresholds
        points = f"{100 * difference:+.1f} points on held-out questions, confidence {confidence:.1%}"
        if difference <= 0:
            return "reject", (f"not better: {points}",)
        if worse:
            cells = ", ".join(f"{model} on {spectrum}" for model, spectrum in worse)
            return "optimize more", (f"{points}, but worse: {cells}",)
        if difference < limits.gain:
            return "optimize more", (f"{points}; at least {100 * limits.gain:g} points are needed",)
        if confidence >= limits.auto and not self.automatic:
            return "propose", (f"{points}; a person decides (--propose, or [improve] automatic = false)",)
        if confidence >= limits.auto:
            return "deploy", (f"{points}; {limits.auto:.0%} is enough to deploy without a person",)
        if confidence >= limits.propose:
            return "propose", (f"{points}; {limits.propose:.0%} is enough to propose",)
        return "validate more", (f"{points}; at least {limits.propose:.0%} is needed: ask more questions",)


def question_differences(
    before: Mapping[tuple[str, str], AnswerResult], after: Mapping[tuple[str, str], AnswerResult]
) -> list[float]:
    """One difference of the overall score for each question, the mean over models; a call without an answer in one
    of the two leaves out the pair."""
    by_question: dict[str, list[float]] = {}
    for key, row in sorted(after.items()):
        old = before.get(key)
        if row.scores is not None and old is not None and old.scores is not None:
            by_question.setdefault(key[1], []).append(row.scores.overall - old.scores.overall)
    return [math.fsum(values) / len(values) for _, values in sorted(by_question.items())]


ACTOR: Final = "improvement"


class AutomatedImprovementDeployment:
    """Makes a version of a candidate, and deploys it by a guarded roll-out where the decision says so.

    Every step may be made again after a crash: the version and the roll-out of the same cycle are found again.
    """

    def __init__(
        self, prompts: ProductionPromptManager, tester: ProductionABTester, table: ImproveTable | None = None
    ) -> None:
        self._prompts = prompts
        self._tester = tester
        self._table = table or ImproveTable()

    async def carry_out(
        self, decision: Decision, cycle_id: str, parts: Mapping[str, str], *, parent: int
    ) -> dict[str, Any]:
        """Do what was decided; returned are the `version` that was made, or None; `done`: what was done, for the
        report; `rollout`: the experiment that goes on, where one was begun. Raises `StoreError`."""
        if decision.outcome not in ("deploy", "propose"):
            return {"version": None, "done": "nothing"}
        reason = f"improvement cycle {cycle_id}: {decision.reasons[0]}"
        number = await self._find_or_make(cycle_id, parts, reason, parent)
        if decision.outcome == "propose":
            return {"version": number, "done": f"proposed: tilores prompts deploy {number}"}
        name = f"improve-{cycle_id[-6:]}"
        if name not in {one.name for one in await self._tester.recent()}:
            try:
                await self._tester.start(self._plan(name, number), actor=ACTOR, reason=reason)
            except (DeploymentRefusedError, InvalidRequestError) as error:
                log.warning("improve.not_deployed", version=number, error=type(error).__name__)
                return {"version": number, "done": f"proposed, as the roll-out was refused: {error.message}"}
        done = (
            f"a guarded roll-out of version {number} was begun ({name}); it goes on with the callers of "
            f"`tilores serve` and its worker, and waits while there are none; end it: tilores experiments stop {name}"
        )
        return {"version": number, "done": done, "rollout": name}

    async def find_outcome(self, name: str) -> dict[str, Any] | None:
        """What became of a roll-out; None while it goes on. Raises `StoreError`, `InvalidRequestError` without
        one of this name."""
        found = await self._tester.get(name)
        if found.state != "ended":
            return None
        verdict = found.verdict
        return {
            "experiment": name,
            "outcome": found.outcome,
            "reason": found.reason,
            "steps": list(found.weights),
            "hours": 0.0 if found.ended is None else (found.ended - found.started).total_seconds() / 3600,
            "lift": verdict.get("lift"),
            "units": dict(verdict.get("units", {})),
            "means": dict(verdict.get("means", {})),
        }

    def _plan(self, name: str, number: int) -> ExperimentPlan:
        table = self._table
        return ExperimentPlan(
            name=name,
            candidate=number,
            weights=ROLLOUT_STEPS,
            auto_confidence=0.95,
            min_hours=table.rollout_hours,
            step_hours=table.rollout_step_hours,
            risk=table.rollout_risk,
            min_per_arm=table.rollout_scores,
        )

    async def _find_or_make(self, cycle_id: str, parts: Mapping[str, str], reason: str, parent: int) -> int:
        for version in await self._prompts.versions.recent(limit=100):
            if version.author == ACTOR and cycle_id in version.reason:
                return version.number
        number, _ = await self._prompts.versions.new(parts, author=ACTOR, reason=reason, parent=parent)
        return number
