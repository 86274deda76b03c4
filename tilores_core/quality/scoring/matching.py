"""Whether a clause states a fact."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from tilores_core.chat.customer.dates import fits
from tilores_core.identity import normalise_email
from tilores_core.quality.questions.golden import Fact
from tilores_core.quality.scoring.clauses import Clause, plain_words

Match = Literal["", "exact", "partial"]

_NOT_DIGIT = re.compile(r"\D")
_NOT_WORD = re.compile(r"[\W_]+")
_NONE = re.compile(r"\b(?:no|none|zero|never|not any|without|nothing)\b", re.IGNORECASE)
_YES = re.compile(r"\b(?:yes|true)\b", re.IGNORECASE)
_NO = re.compile(r"\b(?:no|false)\b(?! longer)", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:not|never|no longer|cannot|without|disabled|inactive|off)\b|n['’]t\b", re.IGNORECASE)
_LEAST_DIGITS: Final = 7
_LEAST_CODE: Final = 4
_LIGHT: Final = frozenset(
    {"is", "has", "flag", "the", "of", "in", "on", "at", "to", "a", "for", "12m", "30d", "90d", "5y"}
)


def matches(fact: Fact, clause: Clause) -> Match:
    """Return `exact` when the clause states the value, `partial` when it is rounded or a date is not whole."""
    if any(_has_words(clause, spelling) for spelling in fact.spellings):
        return "exact"
    match fact.kind:
        case "number":
            return _number(fact, clause)
        case "date":
            return _date(fact, clause)
        case "phone":
            return "exact" if any(_same_phone(phone, fact.value) for phone in clause.phones) else ""
        case "email":
            return "exact" if normalise_email(fact.value) in clause.emails else ""
        case "code":
            return "exact" if any(_same_code(code, fact.value) for code in clause.codes) else ""
        case "boolean":
            return "exact" if _truth(fact, clause) == (fact.value == "true") else ""
        case "text":
            return "exact" if _has_words(clause, fact.value) else ""


def is_negated(fact: Fact, clause: Clause) -> bool:
    """Whether the clause denies what it states of the fact. A boolean and "none at all" are negations themselves."""
    if fact.kind == "boolean" or (fact.kind == "number" and float(fact.value) == 0.0):
        return False
    return clause.negated and (fact.kind != "text" or clause.is_negated_beside(fact.value))


def states_another(fact: Fact, clause: Clause, others: tuple[Fact, ...], question: Clause) -> bool:
    """Whether the clause states a value of the fact's kind that is none of `others` and not in the question."""
    match fact.kind:
        case "number":
            return any(
                not any(n.compare(float(o.value), o.unit, o.tolerance) for o in others if o.kind == "number")
                and not any(value in q.values for q in question.numbers for value in n.values)
                for n in clause.numbers
            )
        case "date":
            dates = [d for d in clause.dates if d.value]
            known = [o.value for o in others if o.kind == "date"] + [d.value for d in question.dates]
            return any(not any(fits(d.value, value) for value in known) for d in dates)
        case "phone":
            known = [o.value for o in others if o.kind == "phone"]
            return any(not any(_same_phone(phone, value) for value in known) for phone in clause.phones)
        case "email":
            known = [normalise_email(o.value) or "" for o in others if o.kind == "email"]
            return bool(clause.emails - set(known) - question.emails)
        case "code":
            digits = {code for code in clause.codes if len(code) >= _LEAST_CODE and any(c.isdigit() for c in code)}
            return any(not any(_same_code(code, o.value) for o in others) for code in digits - question.codes)
        case "boolean":
            truth = _truth(fact, clause)
            return truth is not None and truth != (fact.value == "true")
        case "text":
            return False


def _number(fact: Fact, clause: Clause) -> Match:
    value = float(fact.value)
    if value == 0.0 and _NONE.search(clause.text):
        return "exact"
    found = {n.compare(value, fact.unit, fact.tolerance) for n in clause.numbers}
    return "exact" if "exact" in found else "partial" if "rounded" in found else ""


def _date(fact: Fact, clause: Clause) -> Match:
    partial: Match = ""
    for date in clause.dates:
        if date.value == fact.value:
            return "exact"
        if date.value and fits(date.value, fact.value):
            partial = "partial"
    return partial


def _same_phone(one: str, other: str) -> bool:
    """Equal but for a country code or the zero that stands for it."""
    one, other = (_NOT_DIGIT.sub("", text).lstrip("0") for text in (one, other))
    if min(len(one), len(other)) < _LEAST_DIGITS:
        return False
    return one.endswith(other) or other.endswith(one)


def _same_code(code: str, value: str) -> bool:
    """Equal, or the figures of it where there are enough of them."""
    plain = _NOT_WORD.sub("", value).casefold()
    digits = _NOT_DIGIT.sub("", plain)
    return code == plain or (len(digits) >= _LEAST_CODE and code == digits)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    return f" {plain_words(text)} "


def _has_words(clause: Clause, text: str) -> bool:
    plain = _plain(text)
    return plain.strip() != "" and plain in clause.words


def _truth(fact: Fact, clause: Clause) -> bool | None:
    """What the clause says of a yes-or-no fact; None when it is about something else."""
    words = [word for word in plain_words(fact.field).split() if word not in _LIGHT]
    said = sum(f" {word[:5]}" in clause.words for word in words)
    if words and 2 * said < len(words) and not re.match(r"\W*(?:yes|no)\b", clause.text, re.IGNORECASE):
        return None
    if _YES.search(clause.text):
        return True
    return not (_NO.search(clause.text) or _NEGATED.search(clause.text))
