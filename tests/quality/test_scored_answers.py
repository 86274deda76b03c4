"""Answers with known scores: rounding, negation, other spellings, other people, outdated values, hedges, refusals."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.contracts import Customer, Record
from tilores_core.quality.questions.golden import Fact, GoldenQuestion
from tilores_core.quality.scoring.records import IndexedRecords
from tilores_core.quality.scoring.scores import SCORES, report_answer, score_live

_DATA = tomllib.loads(Path(__file__).with_name("data").joinpath("scored_answers.toml").read_text(encoding="utf-8"))
_FACTS = {
    name: Fact(**{**table, "spellings": tuple(table.get("spellings", ()))}) for name, table in _DATA["fact"].items()
}

EDWINA = Customer(
    id="EDW_HAWTHORNE_001",
    name="Edwina Hawthorne",
    records=(
        Record(
            id="r1",
            system="crm",
            updated_at="2025-06-30",
            fields={
                "first_name": "Edwina",
                "last_name": "Hawthorne",
                "city": "Portland",
                "credit_limit_total": 32000,
                "credit_score_previous": 735,
                **{fact.field: fact.value for fact in _FACTS.values() if fact.reason == "wrong"},
                "current_account_balance": 6418.37,
                "total_debt": 309360,
            },
        ),
        Record(id="r2", system="bureau", updated_at="2025-06-12", fields={"first_name": "Eddie", "city": "Seattle"}),
    ),
)
INDEX = IndexedRecords(EDWINA)


def _examples() -> list[tuple[GoldenQuestion, dict[str, Any]]]:
    found = []
    for number, table in enumerate(_DATA["question"]):
        question = GoldenQuestion(
            id=f"q{number}",
            customer_id=EDWINA.id,
            spectrum="general",
            text=table["text"],
            facts=tuple(_FACTS[name] for name in table.get("facts", ())),
            forbidden=tuple(_FACTS[name] for name in table.get("forbidden", ())),
            answerable=table.get("answerable", True),
        )
        found += [(question, answer) for answer in table["answers"]]
    return found


EXAMPLES = _examples()


def test_there_are_at_least_sixty_examples() -> None:
    assert len(EXAMPLES) >= 60


@pytest.mark.parametrize(("question", "example"), EXAMPLES, ids=[f"{q.id}: {e['text'][:60]}" for q, e in EXAMPLES])
def test_score_answer_gives_the_known_scores(question: GoldenQuestion, example: dict[str, Any]) -> None:
    scores = report_answer(question, example["text"], INDEX).scores.values()
    known = {name: value for name, value in example.items() if name != "text"}
    assert known == {name: pytest.approx(scores[name], abs=1e-4) for name in known}
    assert all(value is None or 0 <= value <= 1 for value in scores.values())


def test_score_answer_is_deterministic_and_the_same_with_an_index() -> None:
    for question, example in EXAMPLES[:40]:
        once = report_answer(question, example["text"], INDEX)
        assert once == report_answer(question, example["text"], EDWINA)


def test_report_names_fields_and_holds_no_values() -> None:
    question = EXAMPLES[0][0]
    report = report_answer(question, "Her score is 735, and 4711 of 815.", INDEX)
    assert report.wrong == ("credit_score",)
    assert report.forbidden == (("credit_score_previous", "outdated"),)
    assert report.ungrounded == 2


def test_overall_is_the_weighted_mean_of_the_scores_that_apply() -> None:
    question = EXAMPLES[0][0]
    scores = report_answer(question, "**742**", INDEX).scores
    assert scores.format == 0.75
    assert scores.overall == pytest.approx(1 - 0.1 * 0.25)
    assert set(scores.values()) == {*SCORES, "overall"}


@pytest.mark.parametrize(
    ("question", "text", "groundedness", "abstention"),
    [
        ("What is the credit score?", "It is 742.", 1.0, 1.0),
        ("What is the credit score?", "It is 699.", 0.0, 0.0),
        ("What is the credit score?", "The records do not hold it.", 1.0, 0.0),
        ("What is her shoe size?", "The records do not hold a shoe size.", 1.0, 1.0),
        ("What is the limit?", "The limit is 32,000 and the score 699.", 0.5, 1.0),
        ("Hello", "Hello! How can I help?", 1.0, 1.0),
    ],
)
def test_score_live_scores_without_known_facts(
    question: str, text: str, groundedness: float, abstention: float
) -> None:
    scores = score_live(question, text, INDEX)
    assert (scores.groundedness, scores.abstention) == (groundedness, abstention)
    assert scores.correctness is scores.completeness is None
    assert scores.format == 1.0


def test_score_live_without_a_customer_looks_at_contacts_alone() -> None:
    assert score_live("What is a good score?", "Above 740.", None).groundedness == 1.0
    assert score_live("How do I reach her?", "At jo@example.com.", None).groundedness == 0.0


@settings(max_examples=40)
@given(st.text(max_size=300) | st.text(alphabet="1 ,.-+()$€%:/'not twenty March Anna's@", max_size=300))
def test_any_text_gets_scores_between_0_and_1(text: str) -> None:
    for question, _ in EXAMPLES[::30]:
        scores = report_answer(question, text, INDEX).scores
        assert all(value is None or 0 <= value <= 1 for value in scores.values().values())
    assert 0 <= score_live("What is her score?", text, INDEX).overall <= 1


@pytest.mark.parametrize(
    "piece", ["1,", "1 ", "(", "1.1.", "a@", "no a b c ", "+1 503-555-", "5 dollars and ", "Anna's "]
)
def test_a_long_text_is_read_to_its_limit(piece: str) -> None:
    long = piece * (40_000 // len(piece))
    scores = report_answer(EXAMPLES[0][0], f"Her credit score is 742. {long}", INDEX).scores
    assert scores.completeness == 1.0
    assert scores.format is not None
    assert scores.format < 1.0
