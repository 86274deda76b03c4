"""Golden questions made from the demo customers: enough of them, right by the records, split by customer."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import lru_cache

import pytest

from tilores_core.contracts import Customer, Identifiers, Record, SourceSchema
from tilores_core.errors import ConfigError
from tilores_core.quality.questions.fields import facts_of
from tilores_core.quality.questions.golden import SPLITS, Fact, GoldenQuestion, GoldenSet, split_of
from tilores_core.quality.questions.make import MakeOptions, make_questions
from tilores_core.quality.scoring.records import IndexedRecords
from tilores_core.quality.scoring.scores import report_answer
from tilores_core.spectrums import SPECTRUMS, classify
from tilores_plugins.sources.demo.source import DemoSource

SOURCE = DemoSource()


@lru_cache(maxsize=1)
def golden() -> GoldenSet:
    return asyncio.run(make_questions(SOURCE))


def every() -> list[GoldenQuestion]:
    return [*golden().training, *golden().validation, *golden().held_out()]


@lru_cache(maxsize=100)
def records_of(customer_id: str) -> IndexedRecords:
    return IndexedRecords(asyncio.run(SOURCE.get(customer_id)))


def test_there_are_twenty_questions_of_each_spectrum_and_split_over_thirty_customers() -> None:
    for questions in (golden().training, golden().validation, golden().held_out()):
        assert Counter(q.spectrum for q in questions) == {spectrum.name: 20 for spectrum in SPECTRUMS}
        assert sum(not q.answerable for q in questions) >= 20
        assert sum(len(q.facts) > 1 for q in questions) >= 30
        assert sum(any(f.reason == "outdated" for f in q.forbidden) for q in questions) >= 5
        assert sum(any(f.reason == "other_customer" for f in q.forbidden) for q in questions) >= 30
    assert len({q.customer_id for q in every()}) >= 30
    assert len({q.id for q in every()}) == len(every())


def test_the_engine_assigns_the_right_spectrum_to_95_percent() -> None:
    right = sum(classify(q.text) == q.spectrum for q in every())
    assert right / len(every()) >= 0.95


def test_splits_share_no_customer_and_follow_from_the_id_alone() -> None:
    by_split = [
        {q.customer_id for q in part} for part in (golden().training, golden().validation, golden().held_out())
    ]
    for split, ids in zip(SPLITS, by_split, strict=True):
        assert {split_of(one) for one in ids} == {split}
    assert not by_split[0] & by_split[1] | by_split[1] & by_split[2] | by_split[0] & by_split[2]


def test_facts_stand_in_the_records_and_forbidden_ones_of_others_do_not() -> None:
    for question in every():
        customer = records_of(question.customer_id).customer
        assert customer is not None
        held = {field for record in customer.records for field in record.fields}
        assert {fact.field for fact in question.facts} <= held
        assert question.answerable == bool(question.facts)
        expected = {fact.value for fact in question.facts}
        assert not expected & {fact.value for fact in question.forbidden}


def test_a_plain_answer_from_the_facts_scores_full_marks() -> None:
    for question in golden().validation:
        said = [f"The {fact.field.replace('_', ' ')} is {_said(fact)}." for fact in question.facts]
        text = " ".join(said) or "The records do not hold this."
        scores = report_answer(question, text, records_of(question.customer_id)).scores
        assert (scores.correctness, scores.groundedness) == (1.0, 1.0), (question, text)
        assert scores.completeness in (1.0, None)


def test_a_forbidden_fact_costs_the_score() -> None:
    for question in golden().training[:40]:
        for fact in question.forbidden:
            text = f"The {fact.field.replace('_', ' ')} is {_said(fact)}."
            scores = report_answer(question, text, records_of(question.customer_id)).scores
            assert scores.correctness == 0.0
            assert fact.reason != "other_customer" or scores.overall == 0.0


def _said(fact: Fact) -> str:
    if fact.kind == "boolean":
        return "yes" if fact.value == "true" else "no"
    return fact.value


async def test_the_same_seed_makes_the_same_questions() -> None:
    options = MakeOptions(customers=9, per_spectrum=3, seed=4)
    once = await make_questions(SOURCE, options)
    assert once.digest == (await make_questions(DemoSource(), options)).digest
    assert once.digest != (await make_questions(SOURCE, MakeOptions(customers=9, per_spectrum=3, seed=5))).digest


class _Plain:
    """A source with fields of its own and without a listing."""

    async def get(self, customer_id: str) -> Customer | None:
        fields = {
            "CreditScore": 700 + int(customer_id[2:]),
            "shoe_size": 41,
            "lastPaymentDate": f"2025-01-{10 + int(customer_id[2:]):02}",
            "city": "Leeds",
        }
        return Customer(id=customer_id, name="Ann Reed", records=(Record(id="r", system="crm", fields=fields),))

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> list[Customer]:
        return []

    async def schema(self) -> SourceSchema:
        return SourceSchema(fields=(), hash="")

    async def aclose(self) -> None: ...


async def test_questions_are_made_from_the_fields_of_any_source() -> None:
    ids = [f"C-{number}" for number in range(12)]
    made = await make_questions(_Plain(), MakeOptions(customers=12, per_spectrum=4), ids=ids)
    questions = [*made.training, *made.validation]
    assert any(q.text == "What is Ann Reed's credit score?" and q.origin == "template" for q in questions)
    assert {q.spectrum for q in questions} >= {"credit_analysis", "geographic_analysis"}
    with pytest.raises(ConfigError, match="cannot list its customers"):
        await make_questions(_Plain())


def test_facts_know_what_is_outdated_and_what_cannot_be_asked() -> None:
    one = Customer(
        id="C",
        name="Ann",
        records=(
            Record(id="a", system="crm", updated_at="2025-06-01", fields={"city": "Leeds", "phone": "0113 496 0018"}),
            Record(id="b", system="web", updated_at="2019-01-01", fields={"city": "York", "note": "x" * 90}),
            Record(id="c", system="old", updated_at="2025-06-01", fields={"tier": "Gold", "previous_city": "Hull"}),
            Record(id="d", system="new", updated_at="2025-06-01", fields={"tier": "Silver", "currency": "eur"}),
            Record(id="e", system="new", updated_at="2025-06-01", fields={"debt": 12.5, "wait_seconds": 3}),
        ),
    )
    city = facts_of(one, "city")
    assert city is not None
    assert [(fact.value, fact.disputed) for fact in city.facts] == [("Leeds", True)]
    assert {(fact.value, fact.reason) for fact in city.outdated} == {("York", "outdated"), ("Hull", "outdated")}
    assert facts_of(one, "tier") is None  # two records of one day disagree
    assert facts_of(one, "note") is None
    assert facts_of(one, "nothing") is None
    debt, wait = facts_of(one, "debt"), facts_of(one, "wait_seconds")
    assert debt is not None
    assert wait is not None
    assert (debt.facts[0].unit, wait.facts[0].unit) == ("EUR", "second")
