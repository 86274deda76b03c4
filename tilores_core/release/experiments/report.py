"""An experiment as JSON, in words, and its lift over time as a chart for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tilores_core.release.experiments.plan import ExperimentPlan

if TYPE_CHECKING:
    from tilores_core.store.experiments import Experiment

_WIDTH: Final = 61
_ROWS: Final = 20


def as_json(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "state": experiment.state,
        "outcome": experiment.outcome,
        "reason": experiment.reason,
        "control": experiment.control,
        "plan": dict(experiment.plan),
        "weights": list(experiment.weights),
        "started": experiment.started.isoformat(),
        "ended": None if experiment.ended is None else experiment.ended.isoformat(),
        "verdict": dict(experiment.verdict),
    }


def describe(experiment: Experiment, verdict: Mapping[str, Any]) -> str:
    """Describe an experiment in a few lines. `verdict`: as `Verdict.as_row` makes it; empty before the first look."""
    plan = experiment.plan
    state = experiment.state if experiment.outcome is None else f"{experiment.outcome}: {experiment.reason}"
    lines = [
        f"{experiment.name}: {versus(experiment)}, {state}",
        f"{experiment.weights[-1]:.0%} of {plan['share']:.0%} of traffic, {_time(experiment)}",
    ]
    if not verdict:
        return "\n".join([*lines, "not looked at yet"])
    for arm in ("control", "candidate"):
        units, scored = verdict["units"].get(arm, 0), verdict["scored"].get(arm, 0)
        mean = f"{verdict['means'].get(arm, 0):.3f}" if scored else "-"
        lines.append(f"{arm:<10} {units:>8.0f} units {scored:>8.0f} scored   mean {mean}")
    if has_lift(verdict):
        low, high = verdict.get("low"), verdict.get("high")
        interval = f" [{low:+.3f}, {high:+.3f}]" if low is not None and high is not None else ""
        lines.append(f"lift {verdict['lift']:+.3f}{interval}, confidence {verdict['confidence']:.1%}")
    else:
        lines.append("lift: none yet, as both arms need scored answers")
    lines += [f"guardrail: {text}" for text in verdict["guards"].values()]
    if not experiment.ended:
        lines.append(f"{verdict['action']}: {verdict['reason']}")
    return "\n".join(lines)


def versus(experiment: Experiment) -> str:
    """Candidate and control in words."""
    plan = ExperimentPlan.model_validate(experiment.plan)
    control = f"{experiment.control}" if plan.model is None else f"version {experiment.control} with {plan.models[0]}"
    return f"{plan.candidate_name} against {control}"


def has_lift(verdict: Mapping[str, Any]) -> bool:
    """Whether both arms have scored answers; without them the lift of 0 in a verdict says nothing."""
    scored = verdict.get("scored", {})
    return bool(scored.get("control") and scored.get("candidate"))


def _time(experiment: Experiment) -> str:
    began = f"{experiment.started:%Y-%m-%d %H:%M}"
    return f"since {began}" if experiment.ended is None else f"from {began} to {experiment.ended:%Y-%m-%d %H:%M}"


def chart(looks: Sequence[Mapping[str, Any]]) -> str:
    """The interval of the lift, look by look: `-` the interval, `o` the estimate, `|` no difference."""
    shown = [look for look in looks if "low" in look and "high" in look]
    if not shown:
        return "no interval yet"
    shown = shown[:: max(1, len(shown) // _ROWS)][-_ROWS:]
    edge = max(0.02, *(min(abs(look[name]), 0.5) for look in shown for name in ("low", "high")))

    def column(value: float) -> int:
        place: float = (min(max(value, -edge), edge) + edge) / (2 * edge)
        return round(place * (_WIDTH - 1))

    lines = [f"{'scored':>9}  {-edge:<+{_WIDTH // 2}.3f}0{edge:>+{_WIDTH // 2}.3f}"]
    for look in shown:
        row = [" "] * _WIDTH
        row[_WIDTH // 2] = "|"
        for at in range(column(look["low"]), column(look["high"]) + 1):
            row[at] = "-"
        row[column(look["lift"])] = "o"
        lines.append(f"{look['scored']:>9.0f}  {''.join(row).rstrip()}")
    return "\n".join(lines)
