"""Golden questions in YAML and JSONL: written, read, checked against the records."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality.evaluated import golden
from tilores_core.errors import ConfigError
from tilores_core.quality.questions.files import check_questions, read_questions, write_questions
from tilores_plugins.sources.demo.source import DemoSource

EDWINA = """
questions:
  - id: limit
    customer: EDW_HAWTHORNE_001
    spectrum: credit_analysis
    text: What is the credit limit of Edwina Hawthorne?
    facts:
      - {field: credit_limit_total, value: 32000, unit: USD, spellings: [thirty-two thousand]}
    forbidden:
      - {field: credit_limit_total, value: 28000, reason: outdated}
  - id: paid
    customer: EDW_HAWTHORNE_001
    spectrum: transaction_history
    text: When was the last payment, and is autopay on?
    facts:
      - {field: last_payment_date, value: 2025-06-15}
      - {field: autopay_enabled, value: true}
      - {field: email, value: edwina.hawthorne@example.com}
  - id: pin
    customer: EDW_HAWTHORNE_001
    spectrum: transaction_history
    text: What is the PIN of her debit card?
    answerable: false
"""


@pytest.mark.parametrize("name", ["golden.yaml", "golden.jsonl"])
def test_what_is_written_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    questions = [*golden().training, *golden().validation, *golden().held_out()]
    assert write_questions(tmp_path / name, questions) == len(questions)
    assert read_questions(tmp_path / name).digest == golden().digest


def test_an_amount_may_have_any_currency_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(EDWINA.replace("unit: USD", "unit: AUD"))
    own = read_questions(path)
    (limit,) = [q for q in (*own.training, *own.validation, *own.held_out()) if q.id == "limit"]
    assert limit.facts[0].unit == "AUD"


async def test_questions_of_a_user_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(EDWINA)
    own = read_questions(path)
    (split,) = [split for split, size in own.sizes.items() if size]  # one customer, one split
    questions = {q.id: q for q in {"training": own.training, "validation": own.validation}.get(split, own.held_out())}
    assert [fact.kind for fact in questions["paid"].facts] == ["date", "boolean", "email"]
    assert questions["limit"].facts[0].value == "32000"
    assert questions["limit"].forbidden[0].reason == "outdated"
    assert await check_questions(own, DemoSource()) == ([], [])
    path.write_text(
        EDWINA.replace("32000", "33000")
        .replace("2025-06-15", "2025-06-16")
        .replace("28000", "32000")
        .replace("pin\n    customer: EDW_HAWTHORNE_001", "pin\n    customer: NOT_THERE")
        .replace("credit_analysis", "temporal_analysis")
    )
    problems, warnings = await check_questions(read_questions(path), DemoSource())
    assert sorted(problems) == [
        "limit: forbids what the newest record says of credit_limit_total",
        "limit: the newest record does not have this value of credit_limit_total",
        "paid: the newest record does not have this value of last_payment_date",
        "pin: the source has no such customer",
    ]
    assert warnings == ["limit: the engine assigns it to credit_analysis, not to temporal_analysis"]


async def test_made_questions_pass_the_check() -> None:
    assert (await check_questions(golden(), DemoSource()))[0] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("questions: []", "holds no question"),
        ("nonsense", "no list of questions"),
        ("a: [", "not valid YAML"),
        (EDWINA.replace("id: paid", "id: limit"), "the id 'limit' is there already"),
        (EDWINA.replace("unit: USD", "unit: furlong"), "unit must be a currency's code or one of"),
        (EDWINA.replace("answerable: false", "answerable: true"), "a question has facts, or else answerable: false"),
        (EDWINA.replace("text:", "txt:", 1), "txt"),
        (EDWINA.replace("value: 32000", "value: much, kind: number"), "without separators"),
        (EDWINA.replace("value: 32000", "value: nan, kind: number"), "without separators"),
        (EDWINA.replace("value: 32000", "value: .nan"), "facts.0.value: a number must be finite"),
        (
            EDWINA.replace("value: 32000", "tolerance: .inf, value: 32000"),
            "tolerance: Input should be a finite number",
        ),
        ("[1]", "question 1: question: must have keys with values"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)) as caught:
        read_questions(path)
    assert problem in str(caught.value)


def test_jsonl_that_is_not_json_and_a_missing_file_are_said(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_questions(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_questions(tmp_path / "none" / "own.yaml", golden().training)
