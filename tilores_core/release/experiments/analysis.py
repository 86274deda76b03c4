"""What the sums of an experiment say at any look: the lift with its interval, harm, and a wrong split of traffic.

Every statement is always valid: an experiment may be looked at after each observation without more false winners.
The steps of a guarded roll-out have different weights and happen at different times, so that their data are never
pooled: the difference is taken within each step, and the steps are weighted by their information.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any, Final, Literal

from tilores_core.contracts import Arm
from tilores_core.release.experiments.plan import ARMS, FEWEST, ExperimentPlan
from tilores_core.statistics import Difference, MeanSPRT, Moments, adjust_arms, ratio_mismatch_p
from tilores_core.store.windows import ArmSums as ArmSums

HARM_ALPHA: Final = 0.05
SRM_ALPHA: Final = 0.001
_GUARDS: Final = 5
_TAU: Final = 0.04
_RELATIVE_TAU: Final = 0.3
_LEAST_BASE: Final = 1e-9

Action = Literal["continue", "stop_harm", "stop_mismatch", "propose", "deploy", "advance", "finish", "no_difference"]


Steps = Mapping[int, Mapping[Arm, ArmSums]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do, why, and the numbers that it rests on.

    `confidence`: 1 - the always-valid p-value of a lift above 0; 0.5 at most when the candidate is not ahead.
    """

    action: Action
    reason: str
    lift: Difference
    confidence: float
    units: Mapping[Arm, float]
    scored: Mapping[Arm, float]
    means: Mapping[Arm, float]
    guards: Mapping[str, str] = field(default_factory=dict)
    mismatch_p: float = 1.0

    def as_row(self) -> dict[str, Any]:
        """As plain JSON, without infinite limits."""
        limits = {"low": self.lift.low, "high": self.lift.high}
        row = {**asdict(self), "lift": self.lift.difference, "p_value": self.lift.p_value}
        return row | {name: value for name, value in limits.items() if abs(value) < 1e9}


def analyse(
    plan: ExperimentPlan,
    steps: Steps,
    *,
    weights: Mapping[int, float],
    hours: float,
    step_hours: float,
    best_p: float = 1.0,
    mismatch_p: float = 1.0,
) -> Verdict:
    """One look.

    `weights`: the candidate's share by step. `hours` since the start, `step_hours` since the present step began.
    `best_p`, `mismatch_p`: the smallest p-values of earlier looks, which an always-valid p-value keeps.
    """
    lift = _stratify(MeanSPRT(tau=_TAU, minimum=FEWEST, p_value=best_p), [_adjust(arms) for arms in steps.values()])
    ahead = lift.difference > 0
    confidence = 1 - lift.p_value if ahead else min(0.5, lift.p_value)
    mismatch = min(
        [mismatch_p, *(_mismatch(arms, weights[step]) for step, arms in steps.items() if weights[step] < 1)]
    )
    total = {arm: _sum(steps, arm) for arm in ARMS}
    harm = _find_harm(plan, steps, total)
    now = max(steps, default=0)

    def verdict(action: Action, reason: str) -> Verdict:
        return Verdict(
            action=action,
            reason=reason,
            lift=lift,
            confidence=confidence,
            units={arm: sums.units for arm, sums in total.items()},
            scored={arm: sums.scored for arm, sums in total.items()},
            means={arm: sums.scores.mean for arm, sums in total.items()},
            guards=harm,
            mismatch_p=mismatch,
        )

    if mismatch <= SRM_ALPHA:
        return verdict(
            "stop_mismatch", f"traffic is not split as planned (p = {mismatch:.2g}): nothing can be compared"
        )
    if harm:
        return verdict("stop_harm", "; ".join(harm.values()))
    enough = min(sums.scored for sums in total.values()) >= plan.min_per_arm and hours >= plan.min_hours
    if plan.is_rollout:
        following, rested = plan.weights[now + 1 :], step_hours >= plan.step_hours
        if following and rested and is_safe(plan, steps, following[0]):
            return verdict("advance", f"the guardrails hold at {weights[now]:.0%}")
        scored = total["candidate"].scored
        if not following and rested and scored >= plan.min_per_arm and hours >= plan.min_hours:
            return verdict("finish", "all traffic was moved, and every guardrail held")
    elif enough and ahead and lift.difference >= plan.lift:
        if confidence >= plan.auto_confidence:
            return verdict("deploy", f"{lift.difference:+.3f} with a confidence of {confidence:.1%}")
        if confidence >= plan.propose:
            return verdict("propose", f"{lift.difference:+.3f} with a confidence of {confidence:.1%}")
    if hours >= plan.max_hours:
        return verdict("no_difference", f"no decision within {plan.max_hours:g} hours")
    return verdict("continue", "not decided yet")


def is_safe(plan: ExperimentPlan, steps: Steps, weight: float) -> bool:
    """Whether the candidate may answer this share of the units: harm that is not ruled out costs `risk` at most.

    The risk of a step is the harm to one unit times the share of units that meet it (Xu, Duan and Huang, SQR,
    arXiv 1801.08532). So that the guardrails for quality and errors are crossed by more than risk / share must be
    outside the always-valid interval of the difference (one-sided 5 %). Where the share is below the risk nothing is
    left to rule out. Fewer than 50 values say little of their variance: it is taken as 1/4, the largest of values in
    [0, 1] (Hoeffding's lemma), so that the interval holds from the second value on.
    """
    most, guards = plan.risk / (plan.share * weight), plan.guardrails
    if most >= 1:
        return True
    test = MeanSPRT(tau=most, alpha=2 * HARM_ALPHA, minimum=2)
    scores = _stratify(test, [_pair(arms, lambda sums: _widen(sums.scores)) for arms in steps.values()])
    failures = _stratify(test, [_pair(arms, lambda sums: _widen(sums.failures)) for arms in steps.values()])
    return scores.low >= -(guards.quality + most) and failures.high <= guards.errors + most


def _widen(moments: Moments) -> Moments:
    return moments if moments.count >= FEWEST else moments.with_least_deviation(0.5)


def _pair(arms: Mapping[Arm, ArmSums], of: Callable[[ArmSums], Moments]) -> tuple[Moments, Moments]:
    control, candidate = (of(arms.get(arm, ArmSums())) for arm in ARMS)
    return control, candidate


def _adjust(arms: Mapping[Arm, ArmSums]) -> tuple[Moments, Moments]:
    """Scores of control and candidate with the variance that the number of records explains taken out (CUPED)."""
    control, candidate = adjust_arms(*(arms.get(arm, ArmSums()).with_covariate() for arm in ARMS))
    return control, candidate


def _stratify(test: MeanSPRT, strata: list[tuple[Moments, Moments]]) -> Difference:
    """The look at a difference within strata, weighted by inverse variance. Values that are all the same, such as the
    cost of answers of one length, are taken to vary a little, else nothing could be said of them."""
    least = test.tau / 8
    strata = [(control.with_least_deviation(least), other.with_least_deviation(least)) for control, other in strata]
    usable = []
    for control, candidate in strata:
        if min(control.count, candidate.count) < test.minimum:  # its variance is not known
            continue
        variance = control.variance / control.count + candidate.variance / candidate.count
        if variance > 0:
            usable.append((candidate.mean - control.mean, variance, control.count, candidate.count))
    if len(strata) == 1 or not usable:
        return test.look(*(strata[0] if strata else (Moments(), Moments())))
    weight = sum(1 / v for _, v, _, _ in usable)
    difference = sum(d / v for d, v, _, _ in usable) / weight
    first, second = (sum(stratum[place] for stratum in usable) for place in (2, 3))
    # Moments whose difference, and its variance of 1 / weight, are these.
    control = Moments(first, 0.0, first * (first - 1) / (2 * weight))
    return test.look(control, Moments(second, difference, second * (second - 1) / (2 * weight)))


def _find_harm(plan: ExperimentPlan, steps: Steps, total: Mapping[Arm, ArmSums]) -> dict[str, str]:
    """The guardrails that are crossed for sure, each with its numbers. The level is shared among them."""
    guards, found = plan.guardrails, {}
    alpha = 2 * HARM_ALPHA / _GUARDS  # each looks at one side of a two-sided interval

    def look(moments: Callable[[ArmSums], Moments], tau: float) -> Difference:
        pairs = [_pair(arms, moments) for arms in steps.values()]
        return _stratify(MeanSPRT(tau=tau, alpha=alpha, minimum=FEWEST), pairs)

    quality = look(attrgetter("scores"), _TAU)
    if quality.high < -guards.quality:
        found["quality"] = f"quality is lower by {-quality.difference:.3f} (at least {-quality.high:.3f})"
    errors = look(attrgetter("failures"), _TAU)
    if errors.low > guards.errors:
        found["errors"] = f"errors are higher by {errors.difference:.1%} (at least {errors.low:.1%})"
    for name, allowed, part in (("latency", guards.latency, "latencies"), ("cost", guards.cost, "costs")):
        base = attrgetter(part)(total["control"]).mean
        if base > _LEAST_BASE:
            seen = look(attrgetter(part), base * _RELATIVE_TAU)
            if seen.low > allowed * base:
                found[name] = f"{name} is higher by {seen.difference / base:.0%} (at least {seen.low / base:.0%})"
    candidate = total["candidate"].scores
    floor = MeanSPRT(tau=_TAU, alpha=alpha, minimum=FEWEST).look(Moments(1e12, guards.floor, 0.0), candidate)
    if floor.high < 0:
        found["floor"] = f"quality is {candidate.mean:.1%}, below the floor of {guards.floor:.0%}"
    return found


def _sum(steps: Steps, arm: Arm) -> ArmSums:
    total = ArmSums()
    for arms in steps.values():
        for name in ArmSums.__slots__:
            setattr(total, name, getattr(total, name) + getattr(arms.get(arm, ArmSums()), name))
    return total


def _mismatch(arms: Mapping[Arm, ArmSums], weight: float) -> float:
    """The p-value that units were split otherwise than by the weight."""
    return ratio_mismatch_p([round(arms.get(arm, ArmSums()).units) for arm in ARMS], (1 - weight, weight))
