"""Whole cycles through the real engine and store: improved, proposed, resumed, refused, learned from."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.improve.test_strategies import rewrite
from tests.quality.evaluated import opened
from tilores_core import Candidate, Change, OptimizerStrategySpec, OptimizerTask, hookimpl
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.errors import BudgetSpentError, ConfigError, InvalidRequestError
from tilores_core.host.plugin import Plugin, scan
from tilores_core.improve.decision import AutomatedImprovementDeployment, Decision
from tilores_core.improve.journal import CycleBudget, ModelReply
from tilores_core.improve.learning import LearningAccumulator
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.improve.report import as_html, as_markdown, cycle_row
from tilores_core.release.experiments.analysis import ArmSums
from tilores_core.release.experiments.plan import ROLLOUT_STEPS
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.resilience import acquire_lease
from tilores_core.services import Services
from tilores_core.store.improvement import LEASE, StoredCycle
from tilores_core.testing import eventually
from tilores_core.testing.optimizers import PARTS
from tilores_core.worker.improving import build_cycles, build_request

MODELS = ("demo:simulated-rounding",)
CONFIG: dict[str, Any] = {
    "use": {"optimizer": "mock"},
    "improve": {"models": MODELS, "per_spectrum": 2, "auto_confidence": 2, "confidence": 0.6},
}


def plugin(strategy: Any) -> Plugin:
    class Hooks:
        @staticmethod
        @hookimpl
        def register_optimizer_strategies() -> list[OptimizerStrategySpec]:
            return [OptimizerStrategySpec(name="own", factory=lambda context: strategy)]

    return Plugin(id="own", target="own", distribution="own", version="0", module=Hooks)


async def reflect(prompt: str) -> ModelReply:
    return ModelReply(text=rewrite(prompt), tokens=len(prompt) // 4)


async def run(services: Services, **options: Any) -> StoredCycle:
    number, _ = await services.prompts.versions.new(PARTS, author="test", reason="a poor prompt")
    request = await build_request(services, version=str(number), **options)
    done = await build_cycles(services, ask=reflect if options.get("strategy") == "gepa" else None).run(request)
    assert done is not None
    return done


def told(cycle: StoredCycle) -> str:
    return json.dumps(cycle.phases, sort_keys=True) + as_markdown(cycle)


async def test_a_cycle_improves_the_prompt_proposes_it_and_learns(tmp_path: Path) -> None:
    config = {**CONFIG, "improve": {**CONFIG["improve"], "per_spectrum": 6}}
    async with opened(tmp_path, config) as services:
        done = await run(services)
        row, validation = cycle_row(done), done.phases["validation"]
        assert (done.state, row["strategy"]) == ("done", "mock (mock)")
        assert validation["winner"]["overall"] - validation["present"]["overall"] > 0.04
        assert row["outcome"] == "propose"
        version = await services.prompts.versions.get(row["version"])
        assert "digit for digit" in version.parts["answer_style"]
        assert services.prompts.state.number != version.number  # a proposal deploys nothing
        accumulator = LearningAccumulator((await services.store.get()).improvement)
        best = (await accumulator.summarise())[0]
        assert best.lesson.confidence > 0.9
        assert best.low <= best.lesson.gain <= best.high
        # Merged into another installation twice: nothing is lost, nothing counts twice.
        data = await accumulator.export_json()
        assert await accumulator.import_json(data) == 0
        with pytest.raises(InvalidRequestError, match="not a file of lessons"):
            await accumulator.import_json(b'{"observations": [{}]}')
        # The next cycle applies what is sure, and spends less on the way to the same.
        again = await run(services)
        tried = [one.phases["generation"]["tried"] for one in (done, again)]
        assert tried[1] < tried[0]
    async with opened(tmp_path / "other", CONFIG) as services:
        other = LearningAccumulator((await services.store.get()).improvement)
        assert await other.import_json(data) == len(json.loads(data)["observations"])
        assert [one.lesson for one in await other.summarise()]


class Broken(Exception):
    """As a kill: nothing after it runs."""


async def test_an_interrupted_cycle_comes_to_the_same_end_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    """With the strategy that runs in a thread, and asks a reflection model."""
    async with opened(tmp_path / "whole", CONFIG) as services:
        whole = await run(services, strategy="gepa")
        calls = cycle_row(whole)["calls"]
    async with opened(tmp_path / "parts", CONFIG) as services:
        asked: list[tuple[str, str | None, str]] = []
        answer = services.engine.answer
        left = [0]

        async def counted(turn: Any) -> Any:
            if left[0] == 0:
                raise Broken
            left[0] -= 1
            asked.append((turn.prompt.version, turn.model, turn.messages[0]["content"] + turn.customer_id))
            return await answer(turn)

        services.engine.answer = counted  # type: ignore[method-assign]
        number, _ = await services.prompts.versions.new(PARTS, author="test", reason="a poor prompt")
        request = await build_request(services, version=str(number), strategy="gepa")
        done, rounds, reflections = None, 0, 0

        async def counted_reflection(prompt: str) -> ModelReply:
            nonlocal reflections
            reflections += 1
            return await reflect(prompt)

        while done is None:
            left[0] = 35
            rounds += 1
            try:
                done = await build_cycles(services, ask=counted_reflection, concurrent=1).run(request)
            except Broken:
                continue
    assert rounds > 2
    assert len(asked) == len(set(asked))
    assert done.phases["generation"]["winner"] is not None
    assert reflections == done.phases["generation"]["spent"]["reflections"] > 1
    assert cycle_row(done)["calls"] == calls == len(asked) + reflections
    assert json.dumps(done.phases) == json.dumps(whole.phases)


async def test_a_strategy_that_copies_customers_values_is_rejected_with_a_finding(tmp_path: Path) -> None:
    seen: list[str] = []

    class Copying:
        async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
            seen.extend(case.question for case in task.baseline.cases)
            text = "For example, Edwina Hawthorne was born on 1962-04-17 and her number is +44 20 7946 0958."
            candidate = task.baseline.candidate.with_change(Change(part="hedging", instruction=text))
            await task.score([candidate])
            return [candidate]

    async with opened(
        tmp_path, {**CONFIG, "use": {"optimizer": "own"}}, discovered=[*scan(), plugin(Copying())]
    ) as s:
        done = await run(s)
        customers = [await s.source.get(one) for one in await s.source.customer_ids(limit=500)]  # type: ignore[attr-defined]
        names = [one.name for one in customers if one is not None and one.name]
    (finding,) = done.phases["generation"]["rejected"]
    assert finding.startswith("personal: ")
    assert done.phases["generation"]["winner"] is None
    assert cycle_row(done)["outcome"] == "optimize more"
    assert finding in as_markdown(done)
    for value in ("Hawthorne", "1962-04-17", "20 7946", *names):
        assert value not in told(done)
    assert seen
    assert not [name for name in names for question in seen if name in question]


async def test_budgets_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, CONFIG) as services:
        cycles = build_cycles(services)
        request = await build_request(services)
        estimate = await cycles.estimate(request)
        least = estimate["least_calls"]
        assert 0 < least < estimate["most_calls"] == 10_000
        done = await run(services, max_calls=least + 60)
        generation = done.phases["generation"]
        assert "reserved" in generation["ended"]
        assert cycle_row(done)["calls"] <= least + 60
        opened_ = await services.store.get()

        async def is_open() -> bool:
            found = [(one.alert.kind, one.state) for one in await opened_.alerts.recent()]
            return found == [("budget.spent", "open")]

        await eventually(is_open)
        for too_few in (1, least - 1):
            with pytest.raises(InvalidRequestError, match=f"takes {least} model calls at least, and {too_few} are"):
                await run(services, max_calls=too_few)
        assert len(await (await services.store.get()).improvement.recent()) == 1  # none was begun


async def test_tokens_and_time_end_a_cycle(tmp_path: Path) -> None:
    config = {**CONFIG, "improve": {**CONFIG["improve"], "max_tokens": 1_000, "per_spectrum": 2}}
    async with opened(tmp_path / "tokens", config) as services:
        done = await run(services)
        assert "tokens" in done.phases["generation"]["ended"]
        assert cycle_row(done)["outcome"] == "optimize more"
    config = {**CONFIG, "improve": {**CONFIG["improve"], "max_seconds": 1e-9, "per_spectrum": 2}}
    async with opened(tmp_path / "time", config) as services:
        with pytest.raises(BudgetSpentError, match="the time is over"):
            await run(services)
        failed = (await (await services.store.get()).improvement.recent(limit=1))[0]
        assert failed.state == "failed"
        assert "It failed" in as_markdown(failed)


async def test_a_budget_in_money_needs_prices_and_simulated_models_cost_nothing(tmp_path: Path) -> None:
    config = {**CONFIG, "improve": {**CONFIG["improve"], "max_dollars": 0.0, "per_spectrum": 2}}
    async with opened(tmp_path, config) as services:
        done = await run(services)
        assert (done.state, cycle_row(done)["dollars"]) == ("done", 0.0)


async def test_settings_reach_a_cycle(tmp_path: Path) -> None:
    table = {
        "models": MODELS,
        "per_spectrum": 3,
        "max_calls": 11,
        "max_tokens": 12,
        "max_dollars": 13.0,
        "max_seconds": 14.0,
        "min_gain": 0.15,
        "confidence": 0.66,
        "auto_confidence": 0.97,
        "automatic": False,
    }
    async with opened(tmp_path, {"use": {"optimizer": "opro"}, "improve": table}) as services:
        request = await build_request(services)
    assert (request.strategy, request.models, request.per_spectrum, request.automatic) == ("opro", MODELS, 3, False)
    budget, limits = request.budget, request.thresholds
    assert (budget.calls, budget.tokens, budget.dollars, budget.seconds) == (11, 12, 13.0, 14.0)
    assert (limits.gain, limits.propose, limits.auto) == (0.15, 0.66, 0.97)


async def test_cycle_is_bounded_by_default_in_calls_time_and_money_where_prices_are_known(tmp_path: Path) -> None:
    gate = {"base_url": "http://127.0.0.1:9/v1"}
    config = {**CONFIG, "improve": {}, "plugins": {"openai-compatible": {"instances": {"gate": gate}}}}
    async with opened(tmp_path, config) as services:
        priced = await build_request(services, models=MODELS)
        assert priced.budget == CycleBudget(calls=10_000, dollars=20.0, seconds=7_200.0)
        unpriced = await build_request(services, models=("openai-compatible:gate/some-model",))
        assert unpriced.budget == CycleBudget(calls=10_000, dollars=None, seconds=7_200.0)


async def test_cycle_ends_with_its_roll_out_which_takes_each_step_without_blocking_it(tmp_path: Path) -> None:
    settings = {"rollout_hours": 2.0, "rollout_step_hours": 0.5, "rollout_risk": 0.1, "rollout_scores": 20}
    config = {**CONFIG, "improve": settings}
    async with opened(tmp_path, config) as services:
        tester, cycles = services.release.tester, build_cycles(services)
        deployment = AutomatedImprovementDeployment(services.prompts, tester, services.host.config.improve)
        decision = Decision(outcome="deploy", reasons=("+5.0 points",))
        parts = {**BUILTIN_PARTS, "answer_style": "Copy every digit. Use short sentences."}
        done = {}
        for _ in range(2):  # the second after a crash: nothing is made twice
            done = await deployment.carry_out(decision, "cycle-000abc", parts, parent=1)
        (experiment,) = await tester.recent()
        plan = experiment.plan
        assert (done["rollout"], experiment.weights) == ("improve-000abc", (0.01,))
        assert [plan[name] for name in ("min_hours", "step_hours", "risk", "min_per_arm")] == [2.0, 0.5, 0.1, 20]
        store = await services.store.get()
        lease = await acquire_lease(store.leases, LEASE, seconds=30.0)
        assert lease is not None
        async with lease:
            request = await build_request(services)
            await store.improvement.begin("cycle-000abc", asdict(request), fence=lease.fence)
            phases = {"recommendations": {**done, "next": []}}
            await store.improvement.keep("cycle-000abc", phases, fence=lease.fence)
            await store.improvement.end("cycle-000abc", "rolling out", fence=lease.fence)
        assert await cycles.conclude_rollouts() == []
        orchestrator = ContinuousImprovementOrchestrator(services.store, services.host.config.improve)
        assert "tilores experiments stop improve-000abc" in (await orchestrator.look()).held[0]
        now = time.time()
        worker = ProductionABTester(services.store, services.prompts, services.release.assignment, clock=lambda: now)
        for step, weight in enumerate(ROLLOUT_STEPS):
            counts = {"candidate": 100, "control": round(100 / weight) - 100}
            await store.experiments.add(
                {(experiment.id, step, arm): sums_of(count, 0.95) for arm, count in counts.items() if count}
            )
            now += 3 * 3600
            await worker.look()
        assert (await orchestrator.look()).held == ()  # the experiment has ended
        await cycles.conclude_rollouts()
        ended = await store.improvement.get("cycle-000abc")
        assert ended is not None
        assert (ended.state, ended.phases["rollout"]["outcome"]) == ("done", "deployed")
        assert "every guardrail held. Steps taken: 1%, 5%, 25%, 50%, 100%" in as_markdown(ended)
        assert "Steps taken: 1%, 5%, 25%, 50%, 100%" in as_html(ended)
        assert services.prompts.state.number == done["version"]


def sums_of(count: int, quality: float) -> dict[str, float]:
    scores = {"score": count * quality, "score_squares": count * (quality**2 + 0.04)}
    return asdict(ArmSums(units=count, turns=count, scored=count, **scores))


async def test_one_process_at_a_time_and_clear_errors(tmp_path: Path) -> None:
    async with opened(tmp_path, CONFIG) as services:
        store = await services.store.get()
        lease = await acquire_lease(store.leases, LEASE, seconds=60.0)
        assert lease is not None
        holders = {"another process": False, lease.holder.replace(f":{os.getpid()}:", f":{2**30}:"): True}
        fence = lease.fence
        await store.leases.release(LEASE, lease.holder, fence)
        for holder, is_killed in holders.items():
            assert await store.leases.acquire(LEASE, holder, 60.0)
            with (
                contextlib.nullcontext() if is_killed else pytest.raises(InvalidRequestError, match="another process")
            ):
                assert await build_cycles(services).run(None) is None
            await store.leases.release(LEASE, holder, fence + 1)
    async with opened(tmp_path / "unknown", {**CONFIG, "plugins": {"bandit": {"proposals": 0}}}) as services:
        with pytest.raises(ConfigError, match="no optimizer strategy 'best'"):
            await run(services, strategy="best")
        with pytest.raises(ConfigError, match="reflection model"):
            await run(services, strategy="critique")
        assert not await (await services.store.get()).improvement.recent()
        with pytest.raises(InvalidRequestError, match="at least"):  # not for want of a model
            await run(services, strategy="bandit", max_calls=1)
        # Without a reflection model the mock alone can run.
        assert (await build_request(services, strategy="auto")).strategy == "mock"
    async with opened(tmp_path / "none") as services:
        with pytest.raises(ConfigError, match="no optimizer strategy is named"):
            await run(services)


async def test_a_reflection_model_is_asked_without_customers_values(tmp_path: Path) -> None:
    """The simulated model writes no instruction, so nothing is found; that is a result."""
    config = {**CONFIG, "improve": {**CONFIG["improve"], "reflection_model": "demo:simulated-1", "per_spectrum": 2}}
    async with opened(tmp_path, config) as services:
        done = await run(services, strategy="critique")
        spent = done.phases["generation"]["spent"]
        assert spent["reflections"] > 0
        assert cycle_row(done)["outcome"] == "optimize more"
