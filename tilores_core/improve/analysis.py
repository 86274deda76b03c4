"""Scores of a cycle: training cases as a strategy sees them, with the faults that follow from their scores; means,
trends, what costs most, what to look at next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tilores_core.contracts import CustomerSource, Fault, ScoredCase
from tilores_core.quality.evaluation import AnswerResult
from tilores_core.quality.questions.golden import GoldenQuestion
from tilores_core.quality.scoring.scores import Scores
from tilores_core.statistics import average, slope
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


_FEWEST_CYCLES: Final = 3
_MOST_SHOWN: Final = 10


def baseline_output(rows: Sequence[AnswerResult], answerable: Mapping[str, bool]) -> dict[str, Any]:
    """Means of the overall score over all, by model and by spectrum, an answer that is missing as 0; and the faults:
    by spectrum, fault and model, how many and how much score they cost together."""
    costs: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if row.scores is None:
            continue
        found = faults_of(row.scores, answerable=answerable[row.question_id])
        for fault in found:
            costs.setdefault((row.spectrum, fault, row.model), []).append((1.0 - row.scores.overall) / len(found))
    return {
        "overall": _mean(rows),
        "answers": len(rows),
        "errors": sum(row.scores is None for row in rows),
        "models": {name: _mean([row for row in rows if row.model == name]) for name in _names(rows, "model")},
        "spectrums": {
            name: _mean([row for row in rows if row.spectrum == name]) for name in _names(rows, "spectrum")
        },
        "faults": [
            {"spectrum": spectrum, "fault": fault, "model": model, "count": len(each), "cost": round(sum(each), 6)}
            for (spectrum, fault, model), each in sorted(costs.items())
        ],
    }


def trends(before: Sequence[Mapping[str, float]], now: Mapping[str, float]) -> dict[str, Any]:
    """By spectrum: the score now, the change since the cycle before, and the slope per cycle over all cycles that
    were made with the same models, with its p-value; the slope is None with fewer than three."""
    found: dict[str, Any] = {}
    for name, score in sorted(now.items()):
        values = [one[name] for one in before if name in one] + [score]
        rise = slope(values) if len(values) >= _FEWEST_CYCLES else None
        found[name] = {
            "score": score,
            "change": score - values[-2] if len(values) > 1 else None,
            "slope": None if rise is None else rise.slope,
            "p": None if rise is None or not math.isfinite(rise.p_value) else rise.p_value,
            "cycles": len(values),
        }
    return found


def opportunities(baseline: Mapping[str, Any]) -> dict[str, Any]:
    """The faults with what mending them all would add to the overall score at most, the largest first."""
    gains: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    where: dict[str, Counter[str]] = {}
    for row in baseline["faults"]:
        gains[row["fault"]] += row["cost"]
        counts[row["fault"]] += row["count"]
        spectrums = where.setdefault(row["fault"], Counter())
        spectrums[row["spectrum"]] += row["count"]
    answers = max(1, baseline["answers"])
    return {
        "faults": [
            {
                "fault": fault,
                "answers": counts[fault],
                "gain": gains[fault] / answers,
                "spectrums": [name for name, _ in where[fault].most_common(3)],
            }
            for fault in sorted(gains, key=lambda fault: (-gains[fault], fault))[:_MOST_SHOWN]
        ]
    }


def recommendations(phases: Mapping[str, Any]) -> list[str]:
    """Sentences for the next cycle."""
    validation, generation = phases["validation"], phases["generation"]
    outcome = validation["decision"]["outcome"]
    said = []
    if outcome == "validate more":
        said.append("Ask more questions of each spectrum: the gain is not sure yet.")
    if generation["ended"]:
        said.append(f"The search ended early: {generation['ended']}. A larger budget may find more.")
    if generation["rejected"]:
        said.append(f"{len(generation['rejected'])} candidates were rejected by the checks; see the findings.")
    after = validation.get("winner") or validation.get("present") or phases["baseline"]
    weak = sorted((score, name) for name, score in after["spectrums"].items() if score < GOOD)
    said += [f"Look at {name}, which scores {score:.1%}." for score, name in weak[:3]]
    remaining = opportunities(after)["faults"]
    if remaining:
        fault = remaining[0]
        said.append(f"What costs most is '{fault['fault']}': up to {100 * fault['gain']:.1f} points.")
    return said or ["Nothing is below its floor: watch, and begin the next cycle when something falls."]


def _mean(rows: Sequence[AnswerResult]) -> float:
    return average([row.scores.overall if row.scores else 0.0 for row in rows])


def _names(rows: Sequence[AnswerResult], field: str) -> list[str]:
    return sorted({getattr(row, field) for row in rows})
