"""The golden questions of a deployment, asked of the demo model about the demo's customers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tilores_core.chat.prompts import BUILTIN, BUILTIN_PARTS, build_prompt
from tilores_core.release.golden_questions import GoldenQuestions
from tilores_core.release.prompt_checks import PromptChecks
from tilores_core.services import Services, load_host, open_services
from tilores_core.settings import Environment, PromptsTable, load_environment


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    environment: Environment = load_environment(data_dir=tmp_path)
    async with open_services(load_host(environment), environment) as services:
        yield services


async def test_builtin_prompt_passes_and_a_careless_one_is_refused(services: Services) -> None:
    found = {check.name: check for check in await services.prompts.checks.run(BUILTIN)}
    assert not [check.said for check in found.values() if check.refuses]
    assert set(found["evaluation"].values) >= {"held_out", "golden_customers"}
    assert found["evaluation"].values["score"] >= 0.85
    careless = {**BUILTIN_PARTS, "answer_style": "Say what you like.", "refusal": "Be nice.", "hedging": "Be sure."}
    strict = PromptChecks(PromptsTable(min_score=0.9), services.prompts.checks.evaluator)
    assert not [check.said for check in await strict.run(BUILTIN) if check.refuses]
    checks = await strict.run(build_prompt(2, careless))
    assert [check.name for check in checks if check.refuses] == ["evaluation"]


async def test_golden_customers_of_the_settings_are_a_set_of_their_own(services: Services) -> None:
    evaluator = services.prompts.checks.evaluator
    assert evaluator is not None
    assert "EDW_HAWTHORNE_001" in {case.customer.id for case in await evaluator.cases() if case.customer}
    assert PromptsTable().golden_customers == ("EDW_HAWTHORNE_001",)
    none = GoldenQuestions(services.engine, services.source, ("not there",))
    assert 0 < len(await none.cases()) < len(await evaluator.cases())


async def test_model_that_does_not_answer_says_nothing_of_the_prompt(services: Services) -> None:
    checks = await services.prompts.checks.run(BUILTIN, model="openai:gpt-4o-mini")
    (evaluation,) = [check for check in checks if check.refuses]
    assert (evaluation.result, "golden questions got no answer" in evaluation.said) == ("not run", True)
