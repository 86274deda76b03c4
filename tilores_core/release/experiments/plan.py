"""What an experiment compares, on which traffic, and what it needs before it may decide."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tilores_core.contracts import Arm
from tilores_core.statistics import sample_size

ARMS: tuple[Arm, Arm] = ("control", "candidate")

Percent = Annotated[float, Field(gt=0, le=1, strict=True)]

LABEL_PREFIX = "experiment."

_MOST_DAYS = 3650.0
_HALF_WIDTH = 7.65

FEWEST = 50.0
"""Values from which on their variance, and the normal approximation of their mean, are relied on."""

ROLLOUT_STEPS: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
"""The candidate's shares in a guarded roll-out, in turn."""


class Guardrails(BaseModel):
    """What the candidate may cost at most, compared with the control: more than that, for sure, ends the experiment.

    `quality`: how much lower its mean score may be. `errors`: how much higher its share of failed turns. `latency`
    and `cost`: how much higher its mean may be, as a share of the control's. `floor`: the lowest mean score.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quality: float = Field(0.0, ge=0, le=1, strict=True)
    errors: float = Field(0.02, ge=0, le=1, strict=True)
    latency: float = Field(0.5, ge=0, strict=True)
    cost: float = Field(0.5, ge=0, strict=True)
    floor: float = Field(0.85, ge=0, le=1, strict=True)


class ExperimentPlan(BaseModel):
    """One candidate against what is in production: another version of the prompt, another model, or both.

    `candidate`: number of a prompt version; None: the one in production at the start. `model`: full name of a model
    that answers instead of the one that a turn asks for; `models` names that one then, by default the default model.
    `share`: of all traffic, that takes part. `weights`: the candidate's share of that, one after the other: one
    number is a plain split, several are a guarded roll-out. `unit`: what keeps its arm: a session, or a customer
    whose id the caller gives. `models`, `spectrums`: only these turns; empty: all. `min_per_arm`: scored units
    before a positive decision; of a roll-out: the candidate's. `min_hours`, `max_hours`: time before one, and until
    the end without one. `step_hours`: shortest step of a roll-out. `risk`: what the next step of a roll-out may cost
    all traffic at most, as a fall of the mean score and as a rise of the share of failed turns beyond the guardrails;
    more must be ruled out first. `lift`: the rise of the mean score that is worth a deployment. `propose`: the
    confidence that makes a proposal. `auto_confidence`: the confidence that deploys without a person; above 1: never.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern="^[a-z][a-z0-9-]{0,39}$")
    candidate: int | None = Field(None, ge=1, strict=True)
    model: str | None = Field(None, min_length=1, max_length=200)
    share: Percent = 1.0
    weights: tuple[Percent, ...] = Field((0.5,), min_length=1, max_length=20)
    unit: Literal["session", "customer"] = "session"
    models: tuple[str, ...] = Field((), max_length=100)
    spectrums: tuple[str, ...] = Field((), max_length=100)
    min_per_arm: int = Field(200, ge=20, le=1_000_000, strict=True)
    min_hours: float = Field(24.0, ge=0, le=24 * 365, strict=True)
    max_hours: float = Field(24.0 * 28, gt=0, le=24 * 365, strict=True)
    step_hours: float = Field(1.0, ge=0, le=24 * 30, strict=True)
    risk: float = Field(0.02, gt=0, le=1, strict=True)
    lift: float = Field(0.02, ge=0, le=1, strict=True)
    propose: float = Field(0.8, gt=0.5, lt=1, strict=True)
    auto_confidence: float = Field(0.95, gt=0.5, le=2, strict=True)
    guardrails: Guardrails = Guardrails()

    @model_validator(mode="after")
    def _consistent(self) -> ExperimentPlan:
        if self.candidate is None and self.model is None:
            raise ValueError("name a candidate: a prompt version (candidate), a model (model), or both")
        if self.model is not None and (len(self.models) > 1 or self.model in self.models):
            raise ValueError("models must name the one model that `model` is compared with")
        if list(self.weights) != sorted(set(self.weights)):
            raise ValueError("weights must rise from step to step")
        if self.max_hours < self.min_hours:
            raise ValueError("max_hours must not be below min_hours")
        if len(self.weights) == 1 and self.weights[0] == 1:
            raise ValueError("with a weight of 1 alone there is no control")
        return self

    @property
    def is_rollout(self) -> bool:
        """The weight rises while the guardrails hold, and the candidate is in production at its end."""
        return len(self.weights) > 1

    @property
    def candidate_name(self) -> str:
        """The candidate in words."""
        parts = [] if self.candidate is None else [f"version {self.candidate}"]
        return " with ".join(parts if self.model is None else [*parts, self.model])

    @property
    def label(self) -> str:
        """The prompt label that holds the candidate while the experiment runs."""
        return f"{LABEL_PREFIX}{self.name}"


class ExperimentRequirements(BaseModel):
    """What a plan will take: scored units per arm, and days at the traffic of now (None: more than ten years).

    `steps`: of a guarded roll-out, the candidate's scored units in each step; `per_arm` is their sum.
    """

    model_config = ConfigDict(frozen=True)

    per_arm: int
    days: float | None
    steps: tuple[int, ...] = ()


def needs(plan: ExperimentPlan, *, base: float, scored_per_day: float) -> ExperimentRequirements:
    """Work out what an experiment needs. `base`: the control's mean score, taken as a success rate, which is the most
    that a score in [0, 1] can vary.

    The fixed horizon for `lift` at 80 % power (two-sided 5 %), or `min_per_arm` if that is more. Always-valid tests
    take about as many in the median (prompt-optimization statistics, simulated in benchmarks/release).
    """
    rate = scored_per_day * plan.share
    if plan.is_rollout:
        steps = _step_needs(plan, base * (1 - base))
        days = sum(
            max(_days(count, rate * weight), plan.step_hours / 24)
            for count, weight in zip(steps, plan.weights, strict=True)
        )
        return ExperimentRequirements(per_arm=sum(steps), days=_rounded(days, plan), steps=steps)
    target = min(base + max(plan.lift, 0.005), 1 - 1e-6)
    per_arm = max(plan.min_per_arm, sample_size(min(base, target - 1e-6), target))
    days = _days(per_arm, rate * min(plan.weights[0], 1 - plan.weights[0]))
    return ExperimentRequirements(per_arm=per_arm, days=_rounded(days, plan))


def _step_needs(plan: ExperimentPlan, variance: float) -> tuple[int, ...]:
    """The candidate's scored units in each step, as `analysis.is_safe` asks for them, where both arms are equal.

    With v = variance / (n (1 - weight)), the variance of the difference, and tau = the harm h to be ruled out, the
    interval of `MeanSPRT` with a one-sided 5 % is as wide as h when v = h^2 / 7.65. Up to 50 the variance is 1/4.
    """
    found = []
    for weight, following in pairwise(plan.weights):
        most = plan.risk / (plan.share * following)
        harm = plan.guardrails.quality + most
        small, large = (_HALF_WIDTH * one / (1 - weight) / harm**2 for one in (0.25, variance))
        found.append(0 if most >= 1 else math.ceil(min(small, max(FEWEST, large))))
    return (*found, max(0, plan.min_per_arm - sum(found)))


def _days(count: float, rate: float) -> float:
    return count / rate if rate > 1e-6 else math.inf


def _rounded(days: float, plan: ExperimentPlan) -> float | None:
    return None if days > _MOST_DAYS else max(math.ceil(days * 10) / 10, plan.min_hours / 24)
