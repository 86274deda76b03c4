"""The five scores and what they weigh; those of an answer to a golden question, and to a live one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from tilores_core.chat.grounding.names import words_of
from tilores_core.contracts import Answer, Customer, Outcome
from tilores_core.quality.questions.golden import Fact, GoldenQuestion
from tilores_core.quality.scoring.clauses import Clause, clauses_of, is_about_another
from tilores_core.quality.scoring.matching import is_negated, matches, states_another
from tilores_core.quality.scoring.records import IndexedRecords
from tilores_core.quality.scoring.wording import abstention, format_score

WEIGHTS: Final[Mapping[str, float]] = {
    "correctness": 0.4,
    "completeness": 0.2,
    "groundedness": 0.2,
    "abstention": 0.1,
    "format": 0.1,
}
"""What each score counts for in the overall one."""
SCORES: Final = tuple(WEIGHTS)
"""The names of the scores, in the order in which they are shown; `overall` follows from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of one answer, each in [0, 1], or None where it does not apply.

    `correctness`: of what the answer states about the facts asked for, the share that is right (precision over
    nuggets, Voorhees, TREC 2003 question answering track). A value that is rounded, a date without its year, or a
    value called uncertain though the records are sure, counts half. Nothing stated: 0. Not answerable: 1 when the
    answer says so and states no forbidden fact, else 0.
    `completeness`: the share of the facts asked for that the answer states (recall over nuggets). None when the
    question is not answerable.
    `groundedness`: the share of all values stated that the records or the question bear out (as in FActScore, Min et
    al., arXiv 2305.14251, over values instead of atomic sentences). 1 when no value is stated.
    `abstention`: whether "the records do not hold this" was said exactly when it is so (Rajpurkar et al., SQuAD 2.0,
    arXiv 1806.03822). See `report_answer` for the partial cases.
    `format`: fit to be read out on the phone, as the built-in prompt asks: no markup, short, short sentences, and
    without values that were not asked for; the mean of these checks.
    `overall`: the weighted mean of those that apply; 0 when another customer's value was stated.
    """

    correctness: float | None = None
    completeness: float | None = None
    groundedness: float | None = None
    abstention: float | None = None
    format: float | None = None
    overall: float = 0.0

    def values(self) -> Mapping[str, float | None]:
        """The five scores and `overall`, by name."""
        return {name: getattr(self, name) for name in (*SCORES, "overall")}

    def as_numbers(self) -> Mapping[str, float]:
        """Those that apply, by name."""
        return {name: value for name, value in self.values().items() if value is not None}


def weigh(values: Mapping[str, float | None], *, leaked: bool = False) -> Scores:
    """Return `Scores` of these values with their weighted mean. `leaked`: another customer's value was stated."""
    found = [(share, value) for name, share in WEIGHTS.items() if (value := values.get(name)) is not None]
    weight = sum(share for share, _ in found)
    overall = 0.0 if leaked or weight == 0.0 else sum(share * value for share, value in found) / weight
    return Scores(**values, overall=overall)


_HALF: Final = 0.5
_REFERENCE: Final = date(2100, 1, 1)  # years of two digits are of the century before it


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReport:
    """The scores of an answer, and what is wrong with it, by name of the field and without values.

    `wrong`: stated otherwise, denied, or said of another person; `forbidden`: facts stated that must not be, and why;
    `ungrounded`: how many values no record holds.
    """

    scores: Scores
    wrong: tuple[str, ...]
    forbidden: tuple[tuple[str, str], ...]
    ungrounded: int


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
    index = records if isinstance(records, IndexedRecords) else IndexedRecords(records)
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
        values["correctness"] = sum(credits) / (found + len(wrong) + len(forbidden)) if found else 0.0
        values["completeness"] = found / len(question.facts) if question.facts else None
        values["abstention"] = 1.0 if said == "no" else values["completeness"]
    else:
        clean = 1.0 if not forbidden and reading.count_unasked() == 0 else _HALF
        values["abstention"] = {"yes": clean, "refusal": _HALF, "no": 0.0}[said]
        values["correctness"] = 1.0 if said != "no" and not forbidden else 0.0
    return AnswerReport(
        scores=weigh(values, leaked=leaked),
        wrong=tuple(wrong),
        forbidden=tuple((fact.field, fact.reason) for fact in forbidden),
        ungrounded=ungrounded,
    )


class _Reading:
    """An answer taken apart, beside its question."""

    def __init__(self, question: GoldenQuestion, text: str, index: IndexedRecords) -> None:
        self._question = question
        self._asked = Clause(question.text, _REFERENCE)
        self._all = clauses_of(text, _REFERENCE)
        self._others = [clause for clause in self._all if is_about_another(clause, index.own_names)]
        self._own = [clause for clause in self._all if clause not in self._others]
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


_LIVE_FACTS: Final = 4  # a live question may ask for several; that many words are allowed for
_LEAST_WORDS: Final = 2  # of a field's name: one word says too little of what was asked for


def score_live(
    question: str,
    text: str,
    records: Customer | IndexedRecords | None,
) -> Scores:
    """The scores of a live answer: groundedness, abstention, format and the overall one of these three.

    `question`: the text of the turn's question. `records`: the customer that was in play, None without one.
    Correctness and completeness need known facts and are None.

    Abstention: 0 when the answer says that the records do not hold something although a field has the name that was
    asked for, or when most of the values that it states are held by no record; 1 otherwise.
    """
    index = records if isinstance(records, IndexedRecords) else IndexedRecords(records)
    stated, ungrounded = (0, 0) if index.quotes(text) else index.strange_values(text, question)
    grounded = 1.0 if stated == 0 else 1.0 - ungrounded / stated
    if abstention(text) == "no":
        right = grounded >= _HALF
    else:
        asked = words_of(question)
        right = not any(len(name) >= _LEAST_WORDS and name <= asked for name in index.field_words)
    return weigh(
        {
            "groundedness": grounded,
            "abstention": 1.0 if right else 0.0,
            "format": format_score(text, facts=_LIVE_FACTS, asked=0, unasked=0),
        }
    )


def is_scorable(outcome: Outcome, answer: Answer) -> bool:
    """Whether it is a whole answer of a model, about one customer whose records are here, or about none."""
    if answer.finish_reason != "stop" or answer.tool_calls or not answer.text:
        return False
    return outcome.customer is not None or answer.customer.kind == "unnamed"
