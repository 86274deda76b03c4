"""Prompts: what a version must pass, how versions are compared and watched live, how they are improved and healed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tilores_core.settings.table import Table


class PromptsTable(Table):
    """`[prompts]`: what a prompt version must pass before it is deployed."""

    max_tokens: int = Field(2_000, ge=50, le=100_000, description="longest prompt, with the longest guidance")
    min_score: float = Field(
        0.85, ge=0, le=1, description="lowest mean score over the golden questions, and over each set of them"
    )
    golden_customers: tuple[str, ...] = Field(
        ("EDW_HAWTHORNE_001",),
        max_length=20,
        description="ids of customers whose golden questions are a set of their own; unknown ids are left out",
    )
    allowed: tuple[str, ...] = Field(
        (), max_length=100, description="texts that are not personal data: your company's name, its hotline"
    )


class ExperimentsTable(Table):
    """`[experiments]`: prompt versions compared on live traffic."""

    holdout: float = Field(
        0.0, ge=0, le=0.5, description="share of traffic that never takes part in an experiment, to compare with"
    )
    look_seconds: float = Field(
        10.0, gt=0, le=3600, description="how often the worker looks at running experiments and a new deployment"
    )


class MonitorTable(Table):
    """`[monitor]`: the prompt in production, watched after each deployment."""

    roll_back: bool = Field(True, description="go back by itself to the version before when the new one is worse")
    watch_hours: float = Field(24.0, gt=0, le=24 * 90, description="how long a new version is watched in this way")
    tolerance: float = Field(
        0.01, ge=0, le=1, description="how much worse quality or errors may be, in points, before it is a regression"
    )


class QualityTable(Table):
    """`[quality]`: live answers, scored by rule, and the levels that their mean must hold."""

    live_cpu_percent: float = Field(
        1.0,
        ge=0,
        le=100,
        description="share of one processor core, per web process, that scoring live answers may take; 0: off",
    )
    excellent: float = Field(0.98, gt=0, lt=1, description="mean overall score that is excellent")
    target: float = Field(0.95, gt=0, lt=1, description="mean overall score to hold; below it: an alert, LOW")
    warning: float = Field(0.90, gt=0, lt=1, description="below it: HIGH; windows that reach it count as achieved")
    critical: float = Field(0.85, gt=0, lt=1, description="below it: CRITICAL")
    keep_days: int = Field(400, ge=1, le=4000, description="how long live scores are kept, by the day")
    collect_questions: bool = Field(
        False,
        description="keep the question, the customer's id and the names of the fields of a live answer that got "
        "feedback, for 90 days, for `tilores questions collect`",
    )

    @model_validator(mode="after")
    def _descend(self) -> QualityTable:
        if not self.excellent > self.target > self.warning > self.critical:
            raise ValueError("excellent, target, warning and critical must each be lower than the one before")
        if self.collect_questions and not self.live_cpu_percent:
            raise ValueError("collect_questions needs live_cpu_percent above 0")
        return self


class ImproveTable(Table):
    """`[improve]`: cycles that improve the prompt; the strategy is `[use] optimizer`."""

    models: tuple[str, ...] = Field(
        (), max_length=20, description="models to improve for; default: as `tilores evaluate`"
    )
    reflection_model: str | None = Field(None, description="model that strategies ask for instructions")
    per_spectrum: int = Field(12, ge=2, le=200, description="golden questions of each spectrum and split")
    max_calls: int = Field(10_000, ge=1, le=10_000_000, description="most model calls of one cycle")
    max_tokens: int | None = Field(None, ge=1, description="most tokens of one cycle")
    max_dollars: float = Field(
        20.0, ge=0, description="most US dollars of one cycle; a value that you give needs models with known prices"
    )
    max_seconds: float = Field(7200.0, gt=0, description="longest time of one cycle in one process")
    min_gain: float = Field(0.02, ge=0, le=1, description="least gain on held-out questions, in points of 1")
    confidence: float = Field(0.8, gt=0.5, lt=1, description="confidence that makes a proposal")
    auto_confidence: float = Field(
        0.95, gt=0.5, le=2, description="confidence that deploys without a person; above 1: never"
    )
    automatic: bool = Field(True, description="false: what could be deployed is proposed only")
    rollout_hours: float = Field(24.0, ge=0, le=24 * 365, description="shortest time of a roll-out on live traffic")
    rollout_step_hours: float = Field(1.0, ge=0, le=24 * 30, description="shortest step of it: 1, 5, 25, 50, 100 %")
    rollout_risk: float = Field(
        0.02,
        gt=0,
        le=1,
        description="harm to all traffic that must be ruled out before its next step, in points of 1",
    )
    rollout_scores: int = Field(
        200, ge=20, le=1_000_000, description="scored answers of the better version that the whole roll-out needs"
    )
    triggered: bool = Field(
        False, description="true: the worker runs a cycle by itself when live quality falls below a level"
    )
    spectrums_at_once: int = Field(3, ge=1, le=20, description="most spectrums that a triggered cycle takes")
    cooldown_hours: float = Field(
        2.0, ge=0, le=24 * 30, description="time after a cycle in which none is triggered for its spectrums"
    )
    cycles_per_day: int = Field(
        4, ge=1, le=100, description="with so many cycles in the last 24 hours none is triggered"
    )


class HealingTable(Table):
    """`[healing]`: the worker diagnoses what is wrong with live answers, acts, and verifies on live traffic."""

    mode: Literal["off", "watch", "act"] = Field(
        "act", description="watch: say what would be done, and do nothing; off: do not look"
    )
    fail_over_minutes: float = Field(
        60.0, gt=0, le=24 * 60, description="how long a model is not asked after a fail-over, where others can be"
    )
    cooldown_minutes: float = Field(
        60.0, ge=0, le=7 * 24 * 60, description="time after an episode in which none begins about the same"
    )
    actions_per_day: int = Field(6, ge=0, le=1000, description="most actions in 24 hours; what is more is reported")
    verify_answers: int = Field(50, ge=10, le=100_000, description="answers that must show that an action has helped")
    verify_hours: float = Field(
        24.0, gt=0, le=24 * 30, description="an action that has not shown by then that it helps has not helped"
    )
