"""Training cases as a strategy sees them: masked questions, scores, and the faults that follow from the scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tilores_core.contracts import CustomerSource, Fault, ScoredCase
from tilores_core.quality.evaluation import AnswerResult
from tilores_core.quality.scoring import GoldenQuestion, Scores
from tilores_core.tracing.redaction import Redactor, values_of

GOOD: Final = 0.9
"""A score below it is a fault."""


async def mask_questions(source: CustomerSource, questions: Iterable[GoldenQuestion]) -> dict[str, str]:
    """By id, the text with placeholders such as `[name]` in place of what is the customer's. Raises `SourceError`."""
    redactors: dict[str, Redactor] = {}
    texts: dict[str, str] = {}
    for question in questions:
        if question.customer_id not in redactors:
            customer = await source.get(question.customer_id)
            redactors[question.customer_id] = Redactor() if customer is None else Redactor(values_of(customer))
        texts[question.id] = redactors[question.customer_id].text(question.text)
    return texts


def faults_of(scores: Scores, *, answerable: bool) -> tuple[Fault, ...]:
    """What is wrong with an answer, by its scores alone."""
    found: list[Fault] = []

    def low(value: float | None) -> bool:
        return value is not None and value < GOOD

    if low(scores.abstention):
        found.append("refused" if answerable else "invented")
    elif low(scores.correctness) and answerable:
        found.append("inexact")
    if low(scores.completeness) and "refused" not in found:
        found.append("incomplete")
    if low(scores.groundedness):
        found.append("unsupported")
    if low(scores.format):
        found.append("format")
    return tuple(found)


def score_case(row: AnswerResult, question: GoldenQuestion, text: str) -> ScoredCase:
    """A call that ended without an answer counts as 0 and has no fault: no instruction mends it."""
    if row.scores is None:
        return ScoredCase(id=row.question_id, model=row.model, spectrum=row.spectrum, question=text, score=0.0)
    scores: Mapping[str, float | None] = row.scores.values()
    return ScoredCase(
        id=row.question_id,
        model=row.model,
        spectrum=row.spectrum,
        question=text,
        score=row.scores.overall,
        scores={name: value for name, value in scores.items() if value is not None},
        faults=faults_of(row.scores, answerable=question.answerable),
    )
