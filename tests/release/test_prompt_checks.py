"""The checks before a deployment: what they refuse, and the figures that they say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.release.conftest import Questions
from tilores_core import Customer, Record
from tilores_core.chat.prompts import BUILTIN_PARTS, build_prompt
from tilores_core.errors import InvalidRequestError, SourceError
from tilores_core.release.prompt_checks import Check, PromptCase, PromptChecks, check_texts
from tilores_core.settings import PromptsTable
from tilores_plugins.sources.demo.people import build_people
from tilores_plugins.sources.demo.source import DemoSource


async def checks(
    table: PromptsTable | None = None,
    questions: Questions | None = None,
    parts: Mapping[str, str] | None = None,
    **named: str,
) -> dict[str, Check]:
    prompt = build_prompt(2, {**BUILTIN_PARTS, **(parts or {}), **named})
    found = await PromptChecks(table, questions or Questions()).run(prompt)
    return {check.name: check for check in found}


def refused(found: dict[str, Check]) -> list[str]:
    return [name for name, check in found.items() if check.result == "refused"]


async def test_builtin_prompt_passes_also_beside_the_demo_customers() -> None:
    source = DemoSource()
    ids = ["EDW_HAWTHORNE_001", *(person.id for person in build_people()[:30])]
    cases = [PromptCase(question="What is her credit score?", customer=await source.get(known)) for known in ids]
    found = await checks(questions=Questions(known=cases))
    assert not refused(found), [found[name].said for name in refused(found)]
    assert found["copied"].values["customers"] > 25
    assert found["evaluation"].result == "passed"


@pytest.mark.parametrize("name", ["role", "answer_style", "refusal", "hedging", "disambiguation"])
async def test_required_part_that_is_empty_is_refused(name: str) -> None:
    found = await checks(parts={name: " "})
    assert refused(found) == ["parts"]
    assert found["parts"].said == f"4 of 5 required parts; missing: {name}"


async def test_guidance_for_a_spectrum_that_is_not_there_is_refused() -> None:
    found = await checks(parts={"guidance.weather": "Sunny."})
    assert refused(found) == ["parts"]
    assert "unknown: guidance.weather" in found["parts"].said


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"role": "You help {agent_name}."}, "{agent_name} in role is not a variable"),
        ({"guidance.general": "As for {customer}:"}, "{customer} in guidance.general"),
        ({"role": "{customer}", "hedging": "{customer}"}, "{customer} 2 times"),
        ({"role": "{customer.name}"}, "{customer.name} in role is not a variable"),
    ],
)
async def test_variable_that_nothing_fills_is_refused(parts: dict[str, str], said: str) -> None:
    found = await checks(parts=parts)
    assert refused(found) == ["variables"]
    assert said in found["variables"].said


async def test_braces_that_are_no_variable_and_placed_variables_pass() -> None:
    found = await checks(role='Say {"a": 1} or {} never. {guidance} Then: {customer}')
    assert refused(found) == []


async def test_prompt_longer_than_max_tokens_is_refused_with_the_longest_guidance() -> None:
    found = await checks()
    tokens = found["length"].values["tokens"]
    table = PromptsTable(max_tokens=int(tokens) + 50)
    assert refused(await checks(table)) == []
    longer = await checks(table, parts={"guidance.entity_relationship": "Name the link. " * 60})
    assert refused(longer) == ["length"]
    assert f"of at most {table.max_tokens}" in longer["length"].said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Write to jo@example.com.", "1 email in role"),
        ("As you told Margaret Winterbourne yesterday.", "1 name in role"),
        ("Call +44 20 7946 0958.", "in role"),
        ("The account is GB33 BUKB 2020 1555 5555 55.", "account in role"),
        ("Born on 4 March 1980.", "date in role"),
        ("Customer 4711081.", "in role"),
    ],
)
async def test_personal_data_is_refused_by_kind_without_its_value(text: str, said: str) -> None:
    found = await checks(role=f"You help. {text}")
    assert refused(found) == ["personal"]
    assert said in found["personal"].said
    assert not {word for word in text.split() if any(c.isdigit() for c in word)} & set(found["personal"].said.split())


async def test_figures_of_instructions_are_not_personal_data() -> None:
    assert refused(await checks(role="Answer in 2 to 3 sentences, at most 120 words, 95 % of the time.")) == []


async def test_texts_of_allowed_are_not_personal_data() -> None:
    role = "You answer for Margaret Winterbourne Bank, hotline +44 20 7946 0958."
    assert refused(await checks(role=role)) == ["personal"]
    table = PromptsTable(allowed=("margaret winterbourne bank", "+44 20 7946 0958"))
    assert refused(await checks(table, role=role)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Mind the late fee waived as goodwill before you answer.",
        "If asked WHAT is the LATEST credit-score, say it.",
    ],
)
async def test_five_words_in_a_row_from_a_case_are_refused(text: str) -> None:
    records = (Record(id="r", system="crm", fields={"note": "The late fee waived as goodwill, in May"}),)
    customer = Customer(id="C", name=None, records=records)
    case = PromptCase(question="What is the latest credit score?", customer=customer)
    found = await checks(questions=Questions(known=[case]), hedging=text)
    assert refused(found) == ["copied"]
    assert "5 words in a row copied from 1 golden questions and the records of 1 customers" in found["copied"].said
    assert "in hedging" in found["copied"].said
    assert "goodwill" not in found["copied"].said


async def test_four_words_in_a_row_pass() -> None:
    case = PromptCase(question="What is the latest credit score?")
    assert refused(await checks(questions=Questions(known=[case]), hedging="Say what is the latest.")) == []


async def test_golden_questions_are_not_asked_with_a_prompt_that_another_check_refuses() -> None:
    questions = Questions()
    found = await checks(questions=questions, role="{agent}")
    assert questions.asked == []
    assert found["evaluation"].result == "not run"
    assert found["evaluation"].said == "not run: other checks refuse this version"


async def test_evaluation_that_fails_is_not_run_and_refuses() -> None:
    class Broken(Questions):
        async def cases(self) -> list[PromptCase]:
            raise SourceError("the source is gone")

    found = await checks(questions=Broken())
    assert (found["copied"].result, found["copied"].refuses) == ("not run", True)
    assert "the source is gone" in found["copied"].said


async def test_lowest_score_is_a_setting() -> None:
    low = Questions(score=0.6, by_set={})
    assert refused(await checks(questions=low)) == ["evaluation"]
    assert refused(await checks(PromptsTable(min_score=0.6), low)) == []


@pytest.mark.parametrize(
    "parts",
    [{}, {"role": " "}, {"tone": "x"}, {"guidance.A b": "x"}, {"role": "x" * 20_001}, {"role": "a\0"}],
)
def test_parts_that_cannot_be_kept(parts: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError):
        check_texts(parts)
