"""Assignment and analysis of experiments: pure functions of traffic and of sums."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import Answer, Arm, ExperimentArm, Outcome, Turn
from tilores_core.release.experiments.analysis import Action, ArmSums, Verdict, analyse, is_safe
from tilores_core.release.experiments.assignment import (
    Assignment,
    ExperimentRecorder,
    RunningExperiment,
    bucket,
    free_slice,
)
from tilores_core.release.experiments.plan import ROLLOUT_STEPS, ExperimentPlan, Guardrails, needs
from tilores_core.release.prompt_state import PromptState
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore

PARTS = {"role": "You help.", "refusal": "Say when you do not know."}
MODEL, OTHER = "demo:simulated-1", "demo:simulated-2"
STATE = PromptState(
    production=build_prompt(1, PARTS),
    numbers={"production": 1, "experiment.shorter": 2, "experiment.longer": 2},
    prompts={1: build_prompt(1, PARTS), 2: build_prompt(2, {**PARTS, "role": "You help briefly."})},
    origin="store",
    known_at=0.0,
)


def plan(**more: Any) -> ExperimentPlan:
    return ExperimentPlan.model_validate({"name": "shorter", "candidate": 2, "min_hours": 0} | more)


def running(the_plan: ExperimentPlan, *, weight: float = 0.5, step: int = 0, **more: Any) -> RunningExperiment:
    given: dict[str, Any] = {"id": "shorter-1", "slice": (0, 10_000)} | more
    return RunningExperiment(plan=the_plan, weight=weight, step=step, **given)


def turn(session: str | None, **more: Any) -> Turn:
    given: dict[str, Any] = {"messages": ({"role": "user", "content": "How old is the account?"},)} | more
    return Turn(session_id=session, run_id="run", **given)


def assignment(*experiments: RunningExperiment, holdout: float = 0.0) -> Assignment:
    made = Assignment(holdout=holdout)
    made.replace(experiments)
    return made


def arm_of(made: Assignment, asked: Turn) -> ExperimentArm | None:
    return made(asked, asked.model or MODEL, STATE).arm


# --- assignment ------------------------------------------------------------------------------------------


def test_unit_keeps_its_arm_in_every_process_and_shares_are_those_of_the_weights() -> None:
    one, other = assignment(running(plan(), weight=0.3)), assignment(running(plan(), weight=0.3))
    arms = {f"s{i}": arm_of(one, turn(f"s{i}")) for i in range(4000)}
    assert all(arm_of(one, turn(session)) == arm_of(other, turn(session)) == arm for session, arm in arms.items())
    share = sum(arm is not None and arm.arm == "candidate" for arm in arms.values()) / len(arms)
    assert share == pytest.approx(0.3, abs=0.03)


def test_prompt_is_that_of_the_arm() -> None:
    one = assignment(running(plan()))
    seen = Counter(one(turn(f"s{i}"), MODEL, STATE).prompt.version.split("-")[0] for i in range(200))
    assert set(seen) == {"1", "2"}


@pytest.mark.parametrize("candidate", [None, 2])
def test_candidate_model_answers_only_the_turns_of_the_model_that_it_is_compared_with(candidate: int | None) -> None:
    one = assignment(running(plan(candidate=candidate, model=OTHER, models=[MODEL])))
    arms = {(choice.arm.arm, choice.model) for i in range(100) if (choice := one(turn(f"s{i}"), MODEL, STATE)).arm}
    assert arms == {("control", None), ("candidate", OTHER)}
    assert one(turn("s1"), "openai:gpt-4o-mini", STATE) == STATE.choice


def test_process_that_does_not_have_the_candidate_yet_counts_nothing() -> None:
    one = assignment(running(plan(name="unknown")))
    assert one(turn("s1"), MODEL, STATE) == STATE.choice
    assert one.take_exposures() == {}


def test_rising_weight_moves_no_unit_back_to_the_control() -> None:
    low, high = assignment(running(plan(), weight=0.05)), assignment(running(plan(), weight=0.25, step=1))
    for i in range(2000):
        before, after = arm_of(low, turn(f"s{i}")), arm_of(high, turn(f"s{i}"))
        assert before is not None
        assert after is not None
        assert after.arm == "candidate" or before.arm == "control"


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ({"models": ["openai:gpt-4o-mini"]}, {"model": "demo:simulated-1"}),
        ({"models": ["openai:gpt-4o-mini"]}, {}),
        ({"spectrums": ["credit_analysis"]}, {}),
        ({}, {"purpose": "batch"}),
        ({}, {"purpose": "evaluation"}),
    ],
)
def test_turn_that_is_not_a_target_takes_no_part(limits: dict[str, Any], asked: dict[str, Any]) -> None:
    assert arm_of(assignment(running(plan(**limits))), turn("s1", **asked)) is None


def test_target_takes_part() -> None:
    one = assignment(running(plan(models=["demo:simulated-1"], spectrums=["credit_analysis"])))
    asked = ({"role": "user", "content": "What is the credit score?"},)
    assert arm_of(one, turn("s1", messages=asked)) is not None


def test_holdout_and_slices_of_experiments_never_overlap() -> None:
    first = free_slice(0.4, [], holdout=0.1)
    assert first == (1000, 5000)
    second = free_slice(0.3, [first], holdout=0.1)
    assert second == (5000, 8000)
    assert free_slice(0.3, [first, second], holdout=0.1) is None
    assert free_slice(0.2, [second], holdout=0.1) == (1000, 3000)
    both = assignment(
        running(plan(), slice=first), running(plan(name="longer"), id="longer-1", slice=second), holdout=0.1
    )
    parts = Counter(found.name if (found := arm_of(both, turn(f"s{i}"))) else "none" for i in range(5000))
    assert {name: count / 5000 for name, count in parts.items()} == pytest.approx(
        {"shorter": 0.4, "longer": 0.3, "none": 0.3}, abs=0.03
    )


def test_arm_does_not_depend_on_the_slice() -> None:
    """Otherwise the callers of one experiment's arm would be those of the next one's."""
    inside = [f"s{i}" for i in range(20_000) if bucket(b"tilores.experiments", f"s{i}") < 1000]
    arms = Counter("candidate" if bucket(b"shorter-1", unit) < 5000 else "control" for unit in inside)
    assert arms["candidate"] / len(inside) == pytest.approx(0.5, abs=0.04)


def test_exposure_is_counted_once_for_each_unit() -> None:
    one = assignment(running(plan()))
    for _ in range(3):
        for i in range(100):
            one(turn(f"s{i}"), MODEL, STATE)
    assert sum(one.take_exposures().values()) == 100
    assert one.take_exposures() == {}


def test_turn_without_session_is_a_unit_of_its_own() -> None:
    one = assignment(running(plan(), weight=0.3))
    found = Counter(arm_of(one, replace(turn(None), run_id=f"r{i}")) for i in range(5000))
    assert {arm.unit for arm in found if arm} == {""}
    assert {arm.arm: count / 5000 for arm, count in found.items() if arm} == pytest.approx(
        {"control": 0.7, "candidate": 0.3}, abs=0.05
    )
    assert sum(one.take_exposures().values()) == 5000
    recorder = ExperimentRecorder(one, LazyStore(store_address(None, Path("unused"))))
    for arm in 10 * list(found):
        recorder.record(
            Outcome(turn=turn(None), answer=Answer(text="", model=MODEL), timings={}, model=MODEL, arm=arm), 1
        )
    assert not recorder.excluded


def test_customer_is_the_unit_where_the_plan_says_so() -> None:
    one = assignment(running(plan(unit="customer")))
    found = {arm_of(one, turn(f"s{i}", customer_id="E-1")) for i in range(50)}
    assert {None if item is None else item.arm for item in found} in ({"candidate"}, {"control"})


# --- analysis --------------------------------------------------------------------------------------------


def sums(rng: random.Random, n: int, quality: float, **more: Any) -> ArmSums:
    scores = [min(1.0, max(0.0, rng.gauss(quality, 0.1))) for _ in range(n)]
    latencies = [max(0.0, rng.gauss(more.get("latency", 0.5), 0.1)) for _ in range(n)]
    costs = [max(0.0, rng.gauss(more.get("cost", 0.001), 0.0001)) for _ in range(n)]
    errors = round(n * more.get("errors", 0.0))
    if errors > 1e6:  # nothing else
        return ArmSums(units=n, turns=n, errors=n)
    return ArmSums(
        units=more.get("units", n),
        turns=n + errors,
        errors=errors,
        latency=sum(latencies),
        latency_squares=sum(x * x for x in latencies),
        cost=sum(costs),
        cost_squares=sum(x * x for x in costs),
        scored=n,
        score=sum(scores),
        score_squares=sum(x * x for x in scores),
    )


def look(control: ArmSums, candidate: ArmSums, the_plan: ExperimentPlan | None = None, **more: Any) -> Verdict:
    given: dict[str, Any] = {"weights": {0: 0.5}, "hours": 48, "step_hours": 48} | more
    arms: dict[Arm, ArmSums] = {"control": control, "candidate": candidate}
    return analyse(the_plan or plan(), {0: arms}, **given)


Case = tuple[dict[str, Any], dict[str, Any], dict[str, Any], Action]
CASES: dict[str, Case] = {
    "better": ({"quality": 0.9}, {"quality": 0.95}, {}, "deploy"),
    "better, a person decides": ({"quality": 0.9}, {"quality": 0.95}, {"auto_confidence": 2}, "propose"),
    "better, too few": ({"quality": 0.9}, {"quality": 0.95}, {"min_per_arm": 5000}, "continue"),
    "better, too little to matter": ({"quality": 0.9}, {"quality": 0.92}, {"lift": 0.04}, "continue"),
    "same": ({"quality": 0.9}, {"quality": 0.9}, {}, "continue"),
    "same, for long": ({"quality": 0.9}, {"quality": 0.9}, {"max_hours": 40}, "no_difference"),
    "worse": ({"quality": 0.95}, {"quality": 0.9}, {}, "stop_harm"),
    "worse within the margin": (
        {"quality": 0.95},
        {"quality": 0.93},
        {"guardrails": Guardrails(quality=0.05)},
        "continue",
    ),
    "below the floor": ({"quality": 0.8}, {"quality": 0.8}, {}, "stop_harm"),
    "fails always": ({"quality": 0.9}, {"quality": 0.95, "errors": 1e9}, {}, "stop_harm"),
    "fails more": ({"quality": 0.9}, {"quality": 0.95, "errors": 0.1}, {}, "stop_harm"),
    "dearer": ({"quality": 0.9}, {"quality": 0.95, "cost": 0.002}, {}, "stop_harm"),
    "slower": ({"quality": 0.9}, {"quality": 0.95, "latency": 1.0}, {}, "stop_harm"),
    "split wrong": ({"quality": 0.9}, {"quality": 0.95, "units": 700}, {}, "stop_mismatch"),
}


@pytest.mark.parametrize("name", CASES)
def test_data_lead_to_the_action(name: str) -> None:
    control, candidate, limits, action = CASES[name]
    rng = random.Random(3)
    verdict = look(sums(rng, 1000, **control), sums(rng, 1000, **candidate), plan(**limits))
    assert (verdict.action, verdict.reason) == (action, verdict.reason)
    assert verdict.reason


def test_steps_are_compared_within_themselves() -> None:
    """Quality of all traffic rises while the weight rises: pooled, an equal candidate would look better."""
    rng = random.Random(5)
    steps: dict[int, dict[Arm, ArmSums]] = {
        0: {"control": sums(rng, 1980, 0.86), "candidate": sums(rng, 20, 0.86)},
        1: {"control": sums(rng, 1000, 0.94), "candidate": sums(rng, 1000, 0.94)},
    }
    verdict = analyse(plan(weights=(0.01, 0.5)), steps, weights={0: 0.01, 1: 0.5}, hours=9, step_hours=9)
    assert abs(verdict.lift.difference) < 0.01
    assert verdict.lift.low < 0 < verdict.lift.high


def test_number_of_records_takes_noise_out() -> None:
    rng = random.Random(8)

    def arm(lift: float) -> ArmSums:
        made = ArmSums(units=600, turns=600)
        for _ in range(600):
            records = float(rng.randint(1, 20))
            score = min(1.0, 0.95 - 0.02 * records + lift + rng.gauss(0, 0.02))
            made.scored += 1
            made.score += score
            made.score_squares += score * score
            made.records += records
            made.records_squares += records * records
            made.score_records += score * records
        return made

    control, candidate = arm(0.0), arm(0.02)
    with_it = look(control, candidate, plan(guardrails=Guardrails(floor=0.1)))
    for one in (control, candidate):
        one.records = one.records_squares = one.score_records = 0
    without = look(control, candidate, plan(guardrails=Guardrails(floor=0.1)))
    assert (with_it.lift.high - with_it.lift.low) < 0.5 * (without.lift.high - without.lift.low)


@pytest.mark.parametrize(
    ("step", "scored", "hours", "action"),
    [
        (0, 20, 2.0, "advance"),  # 1 %: a fall of 0.4 is ruled out
        (0, 8, 2.0, "continue"),
        (0, 20, 0.5, "continue"),
        (1, 20, 2.0, "continue"),  # 5 %: one of 0.08 is not, by so few
        (1, 60, 2.0, "advance"),
        (3, 60, 2.0, "continue"),
        (4, 300, 2.0, "finish"),
        (4, 100, 2.0, "continue"),
    ],
)
def test_guarded_rollout_goes_on_step_by_step(step: int, scored: int, hours: float, action: Action) -> None:
    weights = dict(enumerate(ROLLOUT_STEPS[: step + 1]))
    steps: dict[int, dict[Arm, ArmSums]] = {number: {} for number in weights}
    steps[step] = {"candidate": rated(scored, 0.9)}
    if weights[step] < 1:
        steps[step]["control"] = rated(round(scored * (1 - weights[step]) / weights[step]), 0.9)
    verdict = analyse(plan(weights=ROLLOUT_STEPS), steps, weights=weights, hours=hours, step_hours=hours)
    assert verdict.action == action


def rated(n: int, quality: float, *, deviation: float = 0.2, errors: float = 0) -> ArmSums:
    """Scores of just this mean and deviation."""
    squares = n * (quality**2 + deviation**2)
    return ArmSums(units=n, turns=n + errors, errors=errors, scored=n, score=n * quality, score_squares=squares)


@pytest.mark.parametrize(
    ("risk", "errors", "action"),
    [(0.02, 0, "continue"), (0.025, 0, "advance"), (0.025, 3, "continue"), (0.05, 3, "advance")],
)
def test_rollout_step_needs_what_rules_out_the_risk_of_the_next_one(risk: float, errors: int, action: Action) -> None:
    """Ten answers at 1 %, before 5 %: a fall of 0.5 is ruled out, one of 0.4 is not; one of 1 needs no answers."""
    arms: dict[Arm, ArmSums] = {"control": rated(990, 0.9), "candidate": rated(10, 0.9, errors=errors)}
    the_plan = plan(weights=ROLLOUT_STEPS, risk=risk)
    assert analyse(the_plan, {0: arms}, weights={0: 0.01}, hours=9, step_hours=9).action == action


def test_rollout_with_more_harm_than_the_risk_seldom_takes_the_next_step() -> None:
    """The candidate of 1 % is worse by what the step to 5 % must rule out, looked at after each of its answers."""
    rng, the_plan, advanced = random.Random(7), plan(weights=ROLLOUT_STEPS), 0
    for _ in range(200):
        candidate = ArmSums()
        for count in range(1, 60):
            hit = rng.random() < 0.9 - the_plan.risk / 0.05
            candidate.units, candidate.turns, candidate.scored = (count,) * 3
            candidate.score += hit
            candidate.score_squares += hit
            if is_safe(the_plan, {0: {"control": rated(99 * count, 0.9), "candidate": candidate}}, 0.05):
                advanced += 1
                break
    assert advanced <= 18  # of 200; more has a probability below 1 in 100 where 5 % are true


def test_plan_says_what_each_step_of_a_rollout_needs() -> None:
    found = needs(plan(weights=ROLLOUT_STEPS), base=0.9, scored_per_day=1000)
    assert found.steps == (13, 114, 574, 3443, 0)
    assert found.per_arm == sum(found.steps)
    assert found.days == pytest.approx(1.3 + 2.3 + 2.3 + 6.9, abs=0.2)
    assert needs(plan(weights=ROLLOUT_STEPS, risk=0.1), base=0.9, scored_per_day=1000).steps == (0, 13, 50, 138, 0)


def test_guarded_rollout_stops_at_harm() -> None:
    rng = random.Random(2)
    arms: dict[Arm, ArmSums] = {"control": sums(rng, 1900, 0.93), "candidate": sums(rng, 100, 0.85)}
    verdict = analyse(plan(weights=ROLLOUT_STEPS), {0: arms}, weights={0: 0.05}, hours=1, step_hours=1)
    assert verdict.action == "stop_harm"


def test_confidence_of_an_earlier_look_is_kept() -> None:
    rng = random.Random(4)
    control, candidate = sums(rng, 300, 0.9), sums(rng, 300, 0.905)
    assert look(control, candidate, best_p=0.01).lift.p_value == 0.01


def test_plan_says_what_it_needs() -> None:
    found = needs(plan(lift=0.05), base=0.85, scored_per_day=1000)
    assert found.per_arm == 686
    assert found.days == pytest.approx(1.4)
    assert needs(plan(lift=0.05), base=0.85, scored_per_day=0).days is None


@pytest.mark.parametrize("wrong", [{"weights": (0.5, 0.2)}, {"weights": (1.0,)}, {"max_hours": 1, "min_hours": 2}])
def test_plan_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|no control"):
        plan(**wrong)


def test_fewer_false_winners_than_promised_in_identical_arms() -> None:
    """A small version of benchmarks/release/bench_experiments.py."""
    rng = random.Random(11)
    the_plan = plan(guardrails=Guardrails(floor=0.5))
    winners = 0
    for _ in range(60):
        arms: dict[Arm, ArmSums] = {"control": ArmSums(), "candidate": ArmSums()}
        p, action = 1.0, "continue"
        for _ in range(20):
            for total in arms.values():
                hits = sum(rng.random() < 0.88 for _ in range(100))
                total.units += 100
                total.scored += 100
                total.score += hits
                total.score_squares += hits
            verdict = analyse(the_plan, {0: arms}, weights={0: 0.5}, hours=9, step_hours=9, best_p=p)
            p, action = verdict.lift.p_value, verdict.action
            if action == "deploy":
                winners += 1
                break
    assert winners <= 5  # of 60; more has a probability below 1 in 200 where 5 % are true


def test_plan_with_hardly_any_traffic_says_that_it_takes_too_long() -> None:
    assert needs(plan(weights=(0.0001,), share=0.0001), base=0.85, scored_per_day=1e-3).days is None
    assert needs(plan(), base=0.85, scored_per_day=100.0).days is not None
