"""Experiments over a real database: started, followed by other processes, looked at, decided."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tests.release.conftest import Replica, ReplicaStart
from tilores_core import Answer, Outcome, Turn
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.errors import DeploymentRefusedError, InvalidRequestError, RequestError, UnknownModelError
from tilores_core.metrics.collectors import experiment_samples
from tilores_core.metrics.family import values_of
from tilores_core.release.experiments.assignment import Assignment, ExperimentRecorder
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.release.experiments.report import chart, describe
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.monitor import ProductionPerformanceMonitor
from tilores_core.release.orchestrator import ProductionIntegrationOrchestrator
from tilores_core.settings.improve import MonitorTable
from tilores_core.store.windows import Cell

MODEL, OTHER = "demo:simulated-1", "demo:simulated-2"
NOW = 1_800_000_000.0


class Process:
    """What one process has of experiments, with a clock that is set."""

    def __init__(self, replica: Replica, *, holdout: float = 0.0) -> None:
        self.replica, self.now, self.default = replica, NOW, MODEL
        self.assignment = Assignment(holdout=holdout)
        replica.manager.assignment = self.assignment
        self.tester = ProductionABTester(
            replica.store,
            replica.manager,
            self.assignment,
            holdout=holdout,
            resolve=self.resolve,
            alerts=replica.alerts,
            clock=lambda: self.now,
        )
        self.recorder = ExperimentRecorder(self.assignment, replica.store)

    def resolve(self, name: str | None) -> str:
        """As a server with two models does it."""
        found = {None: self.default, "simulated-2": OTHER}.get(name, name)
        if found not in (MODEL, OTHER):
            raise UnknownModelError(f"there is no model {name!r}")
        return found

    async def answer(
        self,
        sessions: int,
        quality: Callable[[str], float],
        *,
        candidate: Mapping[str, Any] | None = None,
        **outcome: Any,
    ) -> None:
        """Turns of so many sessions; `quality` of an arm's prompt. `candidate`: of the candidate's outcomes."""
        rng = random.Random(1)
        for i in range(sessions):
            turn = Turn(messages=({"role": "user", "content": "Hello"},), session_id=f"s{i}")
            prompt, other, arm = self.replica.manager.choose(turn, MODEL)
            model = other or MODEL
            answer = Answer(text="Hello.", model=model, prompt_version=prompt.version, cost=0.001)
            given: dict[str, Any] = {"answer": answer, "timings": {"total": 0.5}} | outcome
            if arm is not None and arm.arm == "candidate":
                given |= candidate or {}
            name = prompt.version.split("-")[0] if other is None else other
            score = min(1.0, max(0.0, rng.gauss(quality(name), 0.05)))
            self.recorder.record(Outcome(turn=turn, model=model, arm=arm, **given), score)
        await self.recorder.flush()


async def make(replica: Replica, text: str = "Be kind.") -> int:
    parts = {**BUILTIN_PARTS, "answer_style": f"Use short sentences. {text}"}
    number, _ = await replica.manager.versions.new(parts, author="jo", reason=text)
    return number


def plan(candidate: int | None, **more: Any) -> ExperimentPlan:
    return ExperimentPlan.model_validate({"name": "kinder", "candidate": candidate, "min_hours": 1} | more)


async def start(process: Process, the_plan: ExperimentPlan) -> None:
    await process.tester.start(the_plan, actor="jo", reason="try it")
    # Its times are the database's; the clock that is set comes after.
    process.now = (await process.tester.get(the_plan.name)).started.timestamp()


async def test_better_candidate_is_deployed_and_followed_by_other_processes(replica: ReplicaStart) -> None:
    one, two = Process(await replica()), Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await two.replica.manager.refresh()
    await two.tester.follow()
    await one.answer(600, lambda version: 0.95 if version == str(number) else 0.9)
    await two.answer(600, lambda version: 0.95 if version == str(number) else 0.9)
    assert [verdict.action for _, verdict in await one.tester.look()] == ["continue"]  # not before min_hours
    one.now += 2 * 3600
    [(_, verdict)] = await one.tester.look()
    assert verdict.action == "deploy"
    assert verdict.units["control"] + verdict.units["candidate"] == 1200  # each process met them once
    ended = await one.tester.get("kinder")
    assert (ended.state, ended.outcome) == ("ended", "deployed")
    assert one.replica.number == number
    assert one.assignment.running == ()
    assert await one.replica.manager.versions.labels() == {"production": number}
    actions = [entry.action for entry in await one.replica.manager.versions.history()]
    assert actions[:2] == ["prompts.remove", "prompts.deploy"] or "prompts.deploy" in actions
    assert [alert.kind for alert in one.replica.alerts.raised] == ["experiment.deployed"]
    assert await one.tester.look() == []


async def test_repeated_turns_of_a_session_are_counted_for_its_arm_and_follow_the_state(
    replica: ReplicaStart,
) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    turn = Turn(messages=({"role": "user", "content": "Hello"},), session_id="s1")
    choice, *others = (one.replica.manager.choose(turn, MODEL) for _ in range(3))
    assert choice.arm is not None
    assert others == [choice, choice]
    assert one.assignment.assigned == {("kinder", choice.arm.arm): 3}
    assert one.assignment.exposed == {("kinder", choice.arm.arm): 1}
    assert one.replica.manager.choose(msgspec.structs.replace(turn, purpose="batch"), MODEL).arm is None
    one.replica.manager.state = replace(one.replica.manager.state, numbers={"production": 1})
    assert one.replica.manager.choose(turn, MODEL).arm is None
    assert one.assignment.assigned == {("kinder", choice.arm.arm): 3}


async def test_worse_candidate_is_stopped_at_once_and_never_deployed(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await one.answer(300, lambda version: 0.88 if version == str(number) else 0.95)
    [(_, verdict)] = await one.tester.look()
    assert verdict.action == "stop_harm"
    assert (await one.tester.get("kinder")).outcome == "harm"
    assert one.replica.number == 1
    assert [(alert.kind, alert.severity) for alert in one.replica.alerts.raised] == [("experiment.stopped", "HIGH")]


async def test_nothing_is_decided_during_a_code_rollout(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await one.answer(300, lambda version: 0.88 if version == str(number) else 0.95)
    rollouts = (await one.replica.store.get()).rollouts
    await rollouts.begin("r1", target="railway", actor="ops", seconds=60.0)
    [(_, verdict)] = await one.tester.look()
    assert (verdict.action, verdict.reason) == ("continue", "nothing is decided during a code roll-out")
    assert (await one.tester.get("kinder")).state == "running"
    await rollouts.end("r1", result="succeeded", actor="ops")
    await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "harm"


async def test_candidate_that_fails_the_checks_of_a_deployment_is_refused_at_the_end(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await one.answer(600, lambda version: 0.95 if version == str(number) else 0.9)
    one.replica.questions.score = 0.5
    one.now += 2 * 3600
    await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "refused"
    assert one.replica.number == 1


async def test_better_model_wins_and_a_person_is_told_how_to_deploy_it(replica: ReplicaStart) -> None:
    one = Process(await replica())
    await start(one, plan(None, model="simulated-2"))
    kept = (await one.tester.get("kinder")).plan
    assert (kept["candidate"], kept["model"], kept["models"]) == (1, OTHER, [MODEL])
    await one.answer(1200, lambda model: 0.95 if model == OTHER else 0.9)
    one.now += 2 * 3600
    [(_, verdict)] = await one.tester.look()
    assert verdict.action == "deploy"
    ended = await one.tester.get("kinder")
    assert ended.outcome == "won"
    assert f"model = '{OTHER}'" in (ended.reason or "")
    assert [alert.kind for alert in one.replica.alerts.raised] == ["experiment.proposal"]
    assert one.replica.number == 1


async def test_experiment_ends_when_its_model_has_become_the_default(replica: ReplicaStart) -> None:
    one = Process(await replica())
    await start(one, plan(None, model=OTHER))
    one.default = OTHER
    await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "deployed"


@pytest.mark.parametrize(("model", "problem"), [(MODEL, "with itself"), ("nothing:", "no model")])
async def test_model_that_cannot_be_compared_is_refused(replica: ReplicaStart, model: str, problem: str) -> None:
    one = Process(await replica())
    with pytest.raises(RequestError, match=problem):
        await one.tester.start(plan(None, model=f"{model}"), actor="jo", reason="try it")


async def test_candidate_is_checked_before_it_meets_a_caller(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    one.replica.questions.score = 0.5
    with pytest.raises(DeploymentRefusedError):
        await one.tester.start(plan(number), actor="jo", reason="try it")
    assert await one.tester.recent() == []


async def test_guarded_rollout_advances_and_ends_in_production(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number, weights=(0.2, 0.5, 1.0), step_hours=1, min_per_arm=60))
    for weight in (0.2, 0.5, 1.0):
        assert (await one.tester.get("kinder")).weights[-1] == weight
        await one.answer(600, lambda _: 0.93)
        one.recorder = ExperimentRecorder(one.assignment, one.replica.store)  # other callers in the next step
        one.now = (await one.tester.get("kinder")).step_began.timestamp() + 2 * 3600
        await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "deployed"
    assert one.replica.number == number


def _mean_of(means: Mapping[str, float]) -> Callable[[str], float]:
    return lambda name: means.get(name, 0.93)


@pytest.mark.parametrize(
    ("guard", "quality", "candidate"),
    [
        ("quality", 0.86, {}),
        ("errors", 0.93, {"answer": None, "error": "provider_unavailable"}),
        ("latency", 0.93, {"timings": {"total": 2.0}}),
        ("cost", 0.93, {"answer": Answer(text="Hello.", model=MODEL, cost=0.01)}),
    ],
)
@pytest.mark.parametrize("healthy", [0, 1])
async def test_guarded_rollout_stops_at_the_step_where_a_guardrail_breaks(
    replica: ReplicaStart, guard: str, quality: float, candidate: dict[str, Any], healthy: int
) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number, weights=(0.2, 0.5, 1.0), step_hours=1, min_per_arm=60))
    for step in range(healthy + 1):
        breaks = step == healthy
        means = {str(number): quality} if breaks else {}
        await one.answer(600, _mean_of(means), candidate=candidate if breaks else {})
        one.recorder = ExperimentRecorder(one.assignment, one.replica.store)  # other callers in the next step
        one.now = (await one.tester.get("kinder")).step_began.timestamp() + 2 * 3600
        [(_, verdict)] = await one.tester.look()
    assert set(verdict.guards) == {guard}
    ended = await one.tester.get("kinder")
    assert (ended.outcome, len(ended.weights)) == ("harm", healthy + 1)
    assert one.assignment.running == ()
    assert await one.replica.manager.versions.labels() == {"production": 1}
    assert [alert.kind for alert in one.replica.alerts.raised] == ["experiment.stopped"]


async def test_person_stops_an_experiment_with_or_without_the_candidate(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    assert (await one.tester.stop("kinder", actor="jo", reason="enough")).outcome == "stopped"
    assert one.replica.number == 1
    with pytest.raises(InvalidRequestError, match="has ended"):
        await one.tester.stop("kinder", actor="jo", reason="again")
    await start(one, plan(number))
    assert (await one.tester.stop("kinder", actor="jo", reason="good", deploy=True)).outcome == "deployed"
    assert one.replica.number == number


async def test_other_version_in_production_ends_it(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number, other = await make(one.replica), await make(one.replica, "Be brief.")
    await start(one, plan(number))
    await one.replica.manager.deploy(other, actor="jo", reason="better")
    await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "superseded"
    assert one.replica.number == other


async def test_worker_that_was_killed_after_the_deployment_ends_it_the_next_time(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await one.replica.manager.deploy(number, actor="experiments", reason="and then it was killed")
    await one.tester.look()
    assert (await one.tester.get("kinder")).outcome == "deployed"
    assert await one.replica.manager.versions.labels() == {"production": number}


async def test_label_of_a_start_or_end_that_was_killed_is_removed(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await one.replica.manager.deploy(number, actor="jo", reason="then it was killed", label="experiment.kinder")
    store = await one.replica.store.get()
    one.now = (await store.prompts.get_labelled()).labels["experiment.kinder"].changed.timestamp()
    await one.tester.look()
    assert await one.replica.manager.versions.labels() == {"experiment.kinder": number, "production": 1}
    one.now += 3600
    await one.tester.look()
    assert await one.replica.manager.versions.labels() == {"production": 1}


async def test_experiments_share_traffic_without_overlap(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number, other = await make(one.replica), await make(one.replica, "Be brief.")
    await start(one, plan(number, share=0.5))
    await start(one, plan(other, name="briefer", share=0.5))
    assert [item.slice for item in one.assignment.running] == [(5000, 10_000), (0, 5000)]
    with pytest.raises(InvalidRequestError, match=r"less than 10% .* is free; .* run: .*briefer"):
        await start(one, plan(other, name="third", share=0.1))
    await one.tester.stop("briefer", actor="jo", reason="room")
    with pytest.raises(InvalidRequestError, match="runs already"):
        await start(one, plan(other, share=0.1))


@pytest.mark.parametrize(
    ("outcome", "sum_name"),
    [
        ({"answer": Answer(text="Hello.", model="demo:simulated-2")}, "fallback"),
        ({"answer": None, "error": "provider_unavailable"}, "errors"),
    ],
)
async def test_turns_that_say_nothing_of_the_prompt_are_left_out_and_counted(
    replica: ReplicaStart, outcome: dict[str, Any], sum_name: str
) -> None:
    one = Process(await replica())
    await start(one, plan(await make(one.replica)))
    await one.answer(40, lambda _: 0.9, **outcome)
    found = await (await one.replica.store.get()).experiments.sums(one.assignment.running[0].id)
    name = "excluded_fallback" if sum_name == "fallback" else sum_name
    assert sum(getattr(arm, name) for arm in found.values()) == 40
    assert sum(arm.scored for arm in found.values()) == 0


async def test_metrics_have_assignments_exposures_exclusions_lift_and_decision(replica: ReplicaStart) -> None:
    one = Process(await replica())
    await start(one, plan(await make(one.replica)))
    await one.answer(200, lambda _: 0.9)
    await one.answer(30, lambda _: 0.9)
    await one.tester.look()
    release = SimpleNamespace(tester=one.tester, assignment=one.assignment, recorder=one.recorder)

    def samples() -> dict[str, dict[tuple[str, ...], Any]]:
        return values_of(experiment_samples(cast("ProductionIntegrationOrchestrator", release)))

    found = samples()
    assert sum(found["tilores_experiment_assignments_total"].values()) == 230
    assert sum(found["tilores_experiment_exposures_total"].values()) == 200
    assert found["tilores_experiment_exclusions_total"] == {("kinder", "repeat"): 30}
    assert found["tilores_experiment_decision"] == {("kinder", "continue"): 1}
    bounds = {bound: value for (_, bound), value in found["tilores_experiment_lift"].items()}
    assert bounds["low"] < bounds["estimate"] < bounds["high"]
    assert 0 <= found["tilores_experiment_confidence"]["kinder",] <= 1
    await one.tester.stop("kinder", actor="jo", reason="enough")
    assert samples() == {"tilores_experiments_ended_total": {("stopped",): 1}}


async def test_second_score_of_a_session_is_not_another_observation(replica: ReplicaStart) -> None:
    one = Process(await replica())
    await start(one, plan(await make(one.replica)))
    await one.answer(30, lambda _: 0.9)
    await one.answer(30, lambda _: 0.9)
    found = await (await one.replica.store.get()).experiments.sums(one.assignment.running[0].id)
    assert sum(arm.scored for arm in found.values()) == 30
    assert sum(arm.excluded_repeat for arm in found.values()) == 30
    assert sum(arm.turns for arm in found.values()) == 60


async def test_report_has_words_and_a_chart(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number = await make(one.replica)
    await start(one, plan(number))
    await one.answer(300, lambda _: 0.9)
    experiment, verdict = await one.tester.status("kinder")
    said = describe(experiment, verdict.as_row())
    assert "version 2 against 1" in said
    assert "continue: not decided yet" in said
    await one.tester.look()
    looked = await one.tester.get("kinder")
    assert "o" in chart(looked.looks)
    assert looked.verdict["action"] == "continue"
    await one.tester.stop("kinder", actor="jo", reason="enough")
    ended = describe(await one.tester.get("kinder"), looked.verdict)
    assert "stopped: enough" in ended
    assert "not decided yet" not in ended


async def test_plan_says_what_it_needs_at_the_traffic_of_the_last_week(replica: ReplicaStart) -> None:
    one = Process(await replica())
    store = await one.replica.store.get()
    sums = {"turns": 7000, "overall_count": 7000, "overall_sum": 5950, "overall_squares": 5100}
    await store.windows.add({(Cell("m", "s", "1-a"), int(NOW * 1000)): sums}, now_ms=int(NOW * 1000))
    one.now = NOW + 60
    found = await one.tester.plan(plan(await make(one.replica), lift=0.05))
    assert (found.per_arm, found.days) == (686, 1.4)


# --- monitor ---------------------------------------------------------------------------------------------


async def with_deployment(
    one: Process, before: float, after: float, *, scores: int = 400, later: float = 600.0
) -> tuple[int, float]:
    """A version in production with windows of it and of the one before; its number and when it was deployed."""
    number = await make(one.replica)
    old = one.replica.manager.state.production.version
    await one.replica.manager.deploy(number, actor="jo", reason="better")
    new = one.replica.manager.state.production.version
    store = await one.replica.store.get()
    deployed = (await store.prompts.get_labelled()).labels["production"].changed.timestamp()
    for version, mean, at in ((old, before, deployed - 3600), (new, after, deployed + later)):
        sums = {
            "turns": scores,
            "overall_count": scores,
            "overall_sum": mean * scores,
            "overall_squares": (mean * mean + 0.01) * scores,
        }
        await store.windows.add({(Cell("m", "s", version), int(at * 1000)): sums}, now_ms=int(at * 1000))
    return number, deployed


def monitor(one: Process, now: float, **table: Any) -> ProductionPerformanceMonitor:
    return ProductionPerformanceMonitor(
        one.replica.store, one.replica.manager, MonitorTable(**table), alerts=one.replica.alerts, clock=lambda: now
    )


async def test_first_start_of_a_process_leaves_no_window_out(replica: ReplicaStart) -> None:
    """The worker starts with its first work, which a deployment is: the figures after it must count."""
    one = Process(await replica())
    _, deployed = await with_deployment(one, 0.95, 0.85, later=0.0)
    await (await one.replica.store.get()).rollouts.started("1.0", part="worker", seconds=300.0)
    assert await monitor(one, deployed + 1200).watch() is not None


async def test_regression_after_a_deployment_is_rolled_back_with_an_alert_and_an_audit_entry(
    replica: ReplicaStart,
) -> None:
    one = Process(await replica())
    number, deployed = await with_deployment(one, 0.95, 0.85)
    found = await monitor(one, deployed + 1200).watch()
    assert found is not None
    assert (found.figure, round(found.before, 2), round(found.after, 2)) == ("quality", 0.95, 0.85)
    assert one.replica.number == 1
    assert {alert.kind for alert in one.replica.alerts.raised} == {"prompt.rolled_back", "prompt.regression"}
    entry = (await one.replica.manager.versions.history(label="production"))[0]
    assert (entry.actor, entry.action) == ("monitor", "prompts.rollback")
    assert await monitor(one, deployed + 1300).watch() is None  # what was rolled back to is not rolled back
    assert number == 2


@pytest.mark.parametrize(
    ("before", "after", "hours", "table"),
    [
        (0.95, 0.95, 0.5, {}),
        (0.85, 0.95, 0.5, {}),
        (0.95, 0.85, 30.0, {}),
        (0.95, 0.85, 0.5, {"watch_hours": 0.1}),
        (0.95, 0.85, 0.5, {"roll_back": False}),
        (0.95, 0.90, 0.5, {"tolerance": 0.1}),
    ],
    ids=["same", "better", "long ago", "not watched so long", "switched off", "within tolerance"],
)
async def test_change_that_is_not_a_regression_stays(
    replica: ReplicaStart, before: float, after: float, hours: float, table: dict[str, Any]
) -> None:
    one = Process(await replica())
    number, deployed = await with_deployment(one, before, after)
    assert await monitor(one, deployed + hours * 3600, **table).watch() is None
    assert one.replica.number == number


async def test_regression_is_not_rolled_back_during_a_code_rollout(replica: ReplicaStart) -> None:
    one = Process(await replica())
    _, deployed = await with_deployment(one, 0.95, 0.85)
    rollouts = (await one.replica.store.get()).rollouts
    await rollouts.begin("r1", target="railway", actor="ops", seconds=60.0)
    assert await monitor(one, deployed + 1200).watch() is None
    await rollouts.end("r1", result="succeeded", actor="ops")
    assert await monitor(one, deployed + 1200).watch() is not None


async def test_windows_of_a_code_rollout_are_marked_and_left_out(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number, deployed = await with_deployment(one, 0.95, 0.95)
    store = await one.replica.store.get()
    await store.rollouts.begin("r1", target="railway", actor="ops", seconds=60.0)
    await store.rollouts.end("r1", result="succeeded", actor="ops")
    [rollout] = await store.rollouts.recent()
    cell = Cell("m", "s", one.replica.manager.state.production.version)
    errors = {(cell, rollout.begin_ms): {"turns": 400, "errors": 400}}  # while servers were replaced
    await store.windows.add(errors, now_ms=rollout.begin_ms)
    assert await monitor(one, deployed + 1200).watch() is None
    assert one.replica.number == number
    steps = await monitor(one, deployed + 1200).performance(hours=0.5, step_hours=1 / 12)
    assert [(step["code_rollout"], step["errors"]) for step in steps] == [(True, 1.0), (False, 0.0)]


async def test_few_bad_answers_are_not_a_regression(replica: ReplicaStart) -> None:
    one = Process(await replica())
    number, deployed = await with_deployment(one, 0.95, 0.7, scores=20)
    assert await monitor(one, deployed + 1200).watch() is None
    assert one.replica.number == number


async def test_performance_has_the_figures_of_each_version(replica: ReplicaStart) -> None:
    one = Process(await replica())
    _, deployed = await with_deployment(one, 0.95, 0.85)
    await (await one.replica.store.get()).windows.roll_up(now_ms=int((deployed + 1800) * 1000))
    found = await monitor(one, deployed + 1200).performance(hours=24)
    assert [(round(item["quality"] or 0, 2), item["achievement"], item["turns"]) for item in found] == [
        (0.95, 1.0, 400),
        (0.85, 0.0, 400),
    ]


async def test_experiment_without_live_scores_is_refused(replica: ReplicaStart) -> None:
    one = await replica()
    tester = ProductionABTester(one.store, one.manager, Assignment(), scored=False)
    with pytest.raises(InvalidRequestError, match="live_cpu_percent"):
        await tester.start(plan(await make(one)), actor="jo", reason="test")
