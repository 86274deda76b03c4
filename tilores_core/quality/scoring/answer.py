"""The scores of an answer to a golden question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tilores_core.chat.customer.words import GIVEN_NAMES
from tilores_core.contracts import Customer
from tilores_core.quality.scoring.abstaining import Abstention, abstention
from tilores_core.quality.scoring.clauses import Clause, clauses_of, is_about_another
from tilores_core.quality.scoring.matching import is_negated, matches, states_another
from tilores_core.quality.scoring.question import Fact, GoldenQuestion
from tilores_core.quality.scoring.records import IndexedRecords, index_records
from tilores_core.quality.scoring.scores import Scores, weigh
from tilores_core.quality.scoring.wording import format_score

_HALF: Final = 0.5
_REFERENCE: Final = date(2100, 1, 1)  # years of two digits are of the century before it


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReport:
    """The scores of an answer with their reasons, by name of the field.

    `right`: stated as the records say; `partial`: rounded, not whole or hedged; `wrong`: stated otherwise, denied, or
    said of another person; `missing`: not stated; `forbidden`: facts stated that must not be; `ungrounded`: how many
    values no record holds. The reasons hold no values.
    """

    scores: Scores
    right: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()
    ungrounded: int = 0
    abstention: Abstention = "no"


def report_answer(
    question: GoldenQuestion,
    text: str,
    records: Customer | IndexedRecords | None,
) -> AnswerReport:
    """The scores of the answer `text` to a golden question, with the reasons; `Scores` defines each.

    `records`: the customer that the question is about, or the same indexed once for many answers. Deterministic;
    some 0.2 to 2 ms.

    Abstention, answerable: 1, or the completeness where the answer says that something is not there. Not answerable:
    1 when the answer says that the records do not hold it, 0.5 when it also states values or only refuses, else 0.
    """
    index = records if isinstance(records, IndexedRecords) else index_records(records)
    reading = _Reading(question, text, index)
    stated, ungrounded = index.strange_values(text, question.text)
    credits = [reading.credit(fact) for fact in question.facts]
    forbidden = reading.forbidden()
    leaked = any(fact.reason == "other_customer" for fact in forbidden)
    said = abstention(text)
    values: dict[str, float | None] = {
        "groundedness": 1.0 if stated == 0 else 1.0 - ungrounded / stated,
        "format": format_score(
            text, facts=len(question.facts), asked=reading.count_asked(), unasked=reading.count_unasked()
        ),
    }
    wrong: list[str] = []
    if question.answerable:
        found = sum(credit > 0 for credit in credits)
        elsewhere = {fact.field for fact in forbidden}
        unmet = [fact for fact, credit in zip(question.facts, credits, strict=True) if credit == 0]
        wrong = [fact.field for fact in unmet if fact.field not in elsewhere and reading.is_wrong(fact)]
        mistakes = len(wrong) + len(forbidden)
        values["correctness"] = sum(credits) / (found + mistakes) if found else 0.0
        values["completeness"] = found / len(question.facts) if question.facts else None
        values["abstention"] = 1.0 if said == "no" else values["completeness"]
    else:
        clean = 1.0 if not forbidden and reading.count_unasked() == 0 else _HALF
        values["abstention"] = {"yes": clean, "refusal": _HALF, "no": 0.0}[said]
        values["correctness"] = 1.0 if said != "no" and not forbidden else 0.0
    named = list(zip((fact.field for fact in question.facts), credits, strict=True))
    return AnswerReport(
        scores=weigh(values, leaked=leaked),
        right=tuple(field for field, credit in named if credit == 1.0),
        partial=tuple(field for field, credit in named if 0 < credit < 1),
        wrong=tuple(wrong),
        missing=tuple(field for field, credit in named if credit == 0 and field not in wrong),
        forbidden=tuple((fact.field, fact.reason) for fact in forbidden),
        ungrounded=ungrounded,
        abstention=said,
    )


class _Reading:
    """An answer taken apart, beside its question."""

    def __init__(self, question: GoldenQuestion, text: str, index: IndexedRecords) -> None:
        self._question = question
        self._asked = Clause(question.text, _REFERENCE)
        own = index.own_names
        self._all: list[Clause] = []
        self._own: list[Clause] = []
        self._others: list[Clause] = []
        for sentence in clauses_of(text, _REFERENCE):
            about_another = [is_about_another(clause, own, GIVEN_NAMES) for clause in sentence]
            for clause, other in zip(sentence, about_another, strict=True):
                self._all.append(clause)
                (self._others if other else self._own).append(clause)
        self._known: Sequence[Fact] = (*question.facts, *question.forbidden)

    def credit(self, fact: Fact) -> float:
        """1 when it is stated, 0.5 when it is rounded, not whole or hedged, 0 when it is not stated or denied."""
        best = 0.0
        # The name of another person may be what was asked for: "Julian Hawthorne is her spouse".
        for clause in self._all if fact.kind == "text" else self._own:
            match = matches(fact, clause)
            if not match or is_negated(fact, clause):
                continue
            whole = match == "exact" and (fact.disputed or not clause.hedged)
            best = max(best, 1.0 if whole else _HALF)
        return best

    def forbidden(self) -> list[Fact]:
        """The forbidden facts that are stated as true now."""
        return [fact for fact in self._question.forbidden if any(self._states(fact, c) for c in self._all)]

    def _states(self, fact: Fact, clause: Clause) -> bool:
        if matches(fact, clause) != "exact" or is_negated(fact, clause):
            return False
        if fact.reason == "outdated" and clause.outdated:
            return False
        # The same words may state what was asked for: "14 Main Street" and "Main Street".
        return not any(
            own.kind == "text" == fact.kind and fact.value in own.value and matches(own, clause)
            for own in self._question.facts
        )

    def is_wrong(self, fact: Fact) -> bool:
        """Of a fact that is not stated right: whether it is denied, said of another, or stated with another value."""
        if any(matches(fact, clause) for clause in self._others if fact.kind != "text"):
            return True
        if any(matches(fact, clause) and is_negated(fact, clause) for clause in self._own):
            return True
        known = tuple(self._question.facts)
        return any(
            states_another(fact, clause, known, self._asked)
            for clause in self._own
            if fact.kind == "boolean" or not clause.negated
        )

    def count_asked(self) -> int:
        """How many of the facts asked for, or of those forbidden, the answer states."""
        return sum(any(matches(fact, clause) for clause in self._all) for fact in self._known)

    def count_unasked(self) -> int:
        """How many other values the answer states as present ones: numbers beyond small counts, dates, contacts."""
        return sum(self._count_unasked_in(clause) for clause in self._all if not clause.outdated)

    def _count_unasked_in(self, clause: Clause) -> int:
        facts = self._known
        numbers = [f for f in facts if f.kind == "number"]
        count = 0
        for number in clause.numbers:
            if max(number.values) <= 12 and not number.unit:
                continue
            if any(number.compare(float(f.value), "", f.tolerance) for f in numbers):
                continue
            if any(value in asked.values for asked in self._asked.numbers for value in number.values):
                continue
            shown = clause.figures[number.start : number.end]
            if any(shown in f.value for f in facts if f.kind != "number"):
                continue
            if any(shown.strip("+") in phone for phone in clause.phones):
                continue
            count += 1
        count += sum(
            1
            for date in {d.start: d for d in clause.dates if len(d.value) > 4}.values()
            if not any(f.kind == "date" and matches(f, clause) for f in facts)
            and date.value not in {d.value for d in self._asked.dates}
        )
        emails = {fact.value.casefold() for fact in facts if fact.kind == "email"}
        return count + len(clause.emails - emails - self._asked.emails)
