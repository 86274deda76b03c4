"""Whether a candidate is better than the present prompt: held-out questions decide."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from tilores_core.quality.evaluation import AnswerResult
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
        candidate = Moments.of(self.differences)
        look = self.test.look(Moments(count, 0.0, 0.0), candidate)
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
