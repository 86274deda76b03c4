"""Evaluations through the real engine: repeatable, within a budget, resumed, paired; held-out questions apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.quality.evaluated import evaluator, golden, opened
from tilores_core import LLMProviderSpec, ModelInfo, SupportsFeedback, TracerSpec, hookimpl
from tilores_core.chat.prompts import BUILTIN_PARTS, build_prompt
from tilores_core.errors import ConfigError, ProviderAuthError, UnknownModelError, UnsupportedParameterError
from tilores_core.host.plugin import Plugin, scan
from tilores_core.quality.evaluation import (
    Budget,
    EvaluationPlan,
    compare,
    default_models,
    score_table,
)
from tilores_core.quality.evaluation.results import agreement
from tilores_core.quality.questions.golden import split_of
from tilores_core.services import Services
from tilores_core.testing import FakeProvider, FakeTracer
from tilores_core.testing.fake_provider import FakeCall

MODELS = ("demo:simulated-rounding", "demo:simulated-partial", "demo:simulated-1")
QUESTIONS = golden().validation[::2]


def plan(**changes: Any) -> EvaluationPlan:
    return EvaluationPlan(**{"models": MODELS, "questions": QUESTIONS, "seed": 7, **changes})


async def test_the_same_seed_gives_the_same_results_bit_for_bit(tmp_path: Path) -> None:
    async with opened(tmp_path) as services:
        once = await evaluator(services).evaluate(plan(), resume=False)
        again = await evaluator(services, concurrent=2).evaluate(plan(), resume=False)
        other = await evaluator(services).evaluate(plan(seed=8), resume=False)
    bare = [replace(result, seconds=0.0) for result in once.results]
    assert bare == [replace(result, seconds=0.0) for result in again.results]
    assert bare != [replace(result, seconds=0.0) for result in other.results]
    assert len(once.results) == len(MODELS) * len(QUESTIONS) == once.planned == once.calls
    assert (once.state, once.errors, once.dollars) == ("done", 0, 0.0)
    table = score_table(once.results)
    assert len(table.cells) == len(MODELS) * 7
    assert all(cell.count in (1, 2) and cell.mean is not None for cell in table.cells.values())
    assert all(0 <= (c.low or 0) <= (c.mean or 0) <= (c.high or 1) <= 1 for c in table.cells.values())


async def test_a_run_stopped_by_its_budget_is_gone_on_with_and_nothing_is_asked_twice(tmp_path: Path) -> None:
    async with opened(tmp_path / "whole") as services:
        whole = await evaluator(services).evaluate(plan())
    async with opened(tmp_path / "parts") as services:
        first = await evaluator(services).evaluate(plan(), budget=Budget(calls=15))
        assert (first.state, first.calls, len(first.results)) == ("stopped", 15, 15)
        estimate = await evaluator(services).estimate(plan())
        assert (estimate.finished, estimate.calls) == (15, whole.planned - 15)
        seen: list[tuple[int, int]] = []
        second = await evaluator(services).evaluate(plan(), progress=lambda done, all_: seen.append((done, all_)))
        assert (second.id, second.state, second.resumed) == (first.id, "done", 15)
        assert second.calls == whole.planned - 15
        assert seen[-1] == (whole.planned, whole.planned)
        assert score_table(second.results) == score_table(whole.results)
        store = await services.store.get()
        stored = await store.evaluations.get(first.id)
        assert stored is not None
        assert stored.state == "done"
        assert stored.summary["scores"]["overall"] == pytest.approx(score_table(whole.results).overall.mean)
        assert (await evaluator(services).evaluate(plan())).id != first.id  # what is done is not gone on with


async def test_the_store_holds_scores_and_no_customer_values(tmp_path: Path) -> None:
    async with opened(tmp_path) as services:
        await evaluator(services).evaluate(plan(models=MODELS[:1]))
        store = await services.store.get()
        await store.export_json(tmp_path / "all.json")
        written = (tmp_path / "all.json").read_text()
        assert '"overall"' in written
        for question in QUESTIONS:
            customer = await services.source.get(question.customer_id)
            assert customer is not None
            assert question.customer_id not in written
            assert customer.name is None or customer.name not in written
            assert question.text not in written
            for fact in question.facts:
                assert f'"{fact.value}"' not in written


async def test_a_spoilt_prompt_is_seen_and_a_mended_one_too(tmp_path: Path) -> None:
    spoilt = build_prompt(1, {"role": "You help.", "answer_style": "Answer at length."})
    mended = {**BUILTIN_PARTS, "answer_style": BUILTIN_PARTS["answer_style"] + "\nCopy every digit. List all items."}
    questions = (*golden().training, *golden().validation)
    async with opened(tmp_path) as services:
        evaluating = evaluator(services)
        good = await evaluating.evaluate(plan(questions=questions))
        bad = await evaluating.evaluate(plan(questions=questions, prompt=spoilt))
        best = await evaluating.evaluate(plan(questions=questions, prompt=build_prompt(1, mended)))
    fell = compare(good.results, bad.results)
    assert fell.verdict == "worse"
    assert fell.overall.difference < -0.05
    assert fell.overall.lost > fell.overall.won
    assert "worse" in fell.sentence
    rose = compare(good.results, best.results)
    assert rose.verdict == "better"
    assert rose.by_model["demo:simulated-1"].difference == 0
    assert compare(good.results, good.results).verdict == "no difference found"


async def test_held_out_questions_are_refused_to_what_improves(tmp_path: Path) -> None:
    async with opened(tmp_path) as services:
        held_out = golden().held_out()
        assert {split_of(question.customer_id) for question in held_out} == {"held-out"}
        with pytest.raises(ConfigError, match="held-out questions must not be seen"):
            await evaluator(services).evaluate(plan(questions=held_out, purpose="improvement"))
        mixed = (*golden().training, held_out[0])
        with pytest.raises(ConfigError, match="held-out"):
            await evaluator(services).estimate(plan(questions=mixed, purpose="improvement"))
        run = await evaluator(services).evaluate(plan(models=MODELS[:1], questions=held_out[:3]))
        assert run.state == "done"


async def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as services:
        with pytest.raises(UnknownModelError):
            await evaluator(services).evaluate(plan(models=("nowhere:nothing",)))
        with pytest.raises(ConfigError, match="nothing to evaluate"):
            await evaluator(services).evaluate(plan(questions=()))
        gone = replace(golden().validation[0], customer_id="NOT_THERE_001")
        with pytest.raises(ConfigError, match="does not have"):
            await evaluator(services).evaluate(plan(questions=(gone,)))


def test_default_models_are_one_per_provider_else_the_seven_simulated_ones() -> None:
    def info(name: str, **more: Any) -> ModelInfo:
        return ModelInfo(id=name, **more)

    demo = [("demo", info(f"simulated-{number}", simulated=True)) for number in range(8)]
    real = [("acme", info("big")), ("acme", info("small")), ("bolt", info("one", unavailable="set BOLT_KEY"))]
    assert default_models([*demo, *real]) == ("acme:big",)
    assert default_models([*demo, real[2]]) == tuple(f"demo:simulated-{number}" for number in range(1, 8))


# --- a provider with prices, failures and a judge ---------------------------------------------------------------


def _reply(call: FakeCall) -> str | Exception:
    if call.model == "judge":
        return "10" if "The records do not hold this." in call.text else "I would say 2."
    if call.model == "down":
        return ProviderAuthError("the key is wrong", provider="acme")
    if call.model == "seedless" and "seed" in call.parameters:
        return UnsupportedParameterError("no seed", param="seed")
    return "The records do not hold this."


@asynccontextmanager
async def with_acme(folder: Path, **use: Any) -> AsyncIterator[tuple[Services, FakeProvider]]:
    priced = [
        ModelInfo(id=name, input_price=10.0, output_price=10.0) for name in ("good", "judge", "down", "seedless")
    ]
    provider = FakeProvider("acme", [*priced, ModelInfo(id="unpriced")], otherwise=_reply)

    class Hooks:
        @staticmethod
        @hookimpl
        def register_llm_providers() -> list[LLMProviderSpec]:
            return [LLMProviderSpec(name="acme", factory=lambda context: provider, summary="for tests")]

        @staticmethod
        @hookimpl
        def register_tracers() -> list[TracerSpec]:
            return [TracerSpec(name="kept", factory=lambda context: TRACER, abilities=(SupportsFeedback,))]

    own = Plugin(id="acme", target="acme", distribution="acme", version="0", module=Hooks)
    async with opened(folder, {"use": use}, discovered=[*scan(), own]) as services:
        yield services, provider


TRACER = FakeTracer()


async def test_answers_are_traced_with_their_scores(tmp_path: Path) -> None:
    questions = golden().validation[:3]
    async with with_acme(tmp_path, tracers=["kept"]) as (services, _):
        evaluating = evaluator(services, note=services.tracing.note_scores)
        run = await evaluating.evaluate(plan(models=("acme:good",), questions=questions))
    roots = [trace.root for trace in TRACER.traces]
    assert [root.attributes["purpose"] for root in roots] == ["evaluation"] * 3
    scores = sorted(result.scores.overall for result in run.results if result.scores)
    assert sorted(float(root.attributes["score_overall"]) for root in roots) == scores
    assert {root.attributes["score_correctness"] for root in roots} <= {0.0, 1.0}
    assert {root.attributes["prompt_version"] for root in roots} == {run.prompt_version}


async def test_a_budget_in_money_is_kept(tmp_path: Path) -> None:
    async with with_acme(tmp_path) as (services, provider):
        evaluating = evaluator(services)
        estimate = await evaluating.estimate(plan(models=("acme:good",)))
        assert estimate.dollars is not None
        assert estimate.dollars > 0
        assert not provider.asked  # nothing is asked for an estimate
        few = await evaluating.evaluate(plan(models=("acme:good",)), budget=Budget(dollars=estimate.dollars / 7))
        assert few.state == "stopped"
        assert 0 < few.dollars <= estimate.dollars / 7
        assert 0 < few.calls < estimate.calls == len(QUESTIONS)
        with pytest.raises(ConfigError, match="price of acme:unpriced is not known"):
            await evaluating.evaluate(plan(models=("acme:unpriced",)), budget=Budget(dollars=1.0))
        assert (await evaluating.estimate(plan(models=("acme:unpriced",)))).unpriced == ("acme:unpriced",)


async def test_failed_calls_are_counted_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    questions = golden().validation[:4]
    async with with_acme(tmp_path, fallbacks=["acme:good"]) as (services, _):
        run = await evaluator(services).evaluate(plan(models=("acme:down", "acme:good"), questions=questions))
        assert run.errors == 4
        by_model = score_table(run.results).by_model
        assert (by_model["acme:down"].mean, by_model["acme:down"].errors) == (None, 4)
        assert by_model["acme:good"].count == 4
        assert {result.error for result in run.results} == {None, "answered_by_fallback"}


async def test_a_model_that_takes_no_seed_is_asked_without(tmp_path: Path) -> None:
    async with with_acme(tmp_path) as (services, provider):
        questions = golden().validation[:3]
        run = await evaluator(services, concurrent=1).evaluate(plan(models=("acme:seedless",), questions=questions))
        assert run.errors == 0
        assert ["seed" in call.parameters for call in provider.asked].count(True) == 1


async def test_a_judge_grades_beside_the_rules_and_the_agreement_is_reported(tmp_path: Path) -> None:
    async with with_acme(tmp_path) as (services, _):
        models = ("acme:good", "demo:simulated-1")
        run = await evaluator(services).evaluate(plan(models=models, judge="acme:judge"))
        assert run.calls == 2 * run.planned
        assert run.dollars > 0
        assert {result.judged for result in run.results} == {0.2, 1.0}
        found = agreement(run.results)
        assert found is not None
        assert found[1] == run.planned
        assert -1 <= found[0] <= 1
        assert run.summary()["kappa"] == {"value": found[0], "answers": found[1]}
        assert {result.judged for result in run.results if result.model == "acme:good"} == {1.0}
