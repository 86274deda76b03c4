"""When several customers fit: what tells them apart, which of them a reply means, and how to ask.

Only a customer's `traits` are ever looked at or said: the source decided that they may be. A trait that holds an
e-mail address, a telephone number or another long number is still said in part only, as the whole would identify
somebody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from tilores_core.contracts import Customer, CustomerChoice, CustomerOutcome
from tilores_core.identity import normalise_email, parse_date
from tilores_core.identity.names import fold

MOST_CHOICES = 5
_MOST_LABELS = 8
_SHORT = 3  # a value this short may be a word ("IN", "OR"): its capitals count
_LONGEST_REPLY = 6  # words, of a reply that is no more than "the second one, please"
_NEGATION_REACH = 4
_IDENTIFYING_DIGITS = 7
_SAID_DIGITS = 2

_WORD = re.compile(r"[^\W_]+")
_YEAR = re.compile(r"(?:1[89]|20)\d\d", re.ASCII)
_CORRECTION = re.compile(r"\b(?:no|sorry|actually|rather|instead|correction|meant?|wrong)\b", re.IGNORECASE)
_NEGATIONS = frozenset({"not", "isn", "except", "without"})
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1}


@dataclass(frozen=True, slots=True)
class Said:
    """A user message: its text, the dates in it (`YYYY-MM-DD`), and what the assistant had said just before."""

    text: str
    dates: tuple[str, ...] = ()
    asked: str = ""


# --- asking ----------------------------------------------------------------------------------------------


def several(customers: Sequence[Customer]) -> CustomerOutcome:
    """The outcome for more than one match: at most `MOST_CHOICES`, with only the traits that tell them apart."""
    labels = _telling(customers)
    choices = (
        CustomerChoice(traits={label: _sayable(c.traits[label]) for label in labels if label in c.traits})
        for c in customers[:MOST_CHOICES]
    )
    return CustomerOutcome(kind="several", choices=tuple(choices), distinguished_by=labels)


def clarification(outcome: CustomerOutcome) -> str:
    """What to say, without a model, when nobody or more than one customer fits; short enough for the phone.

    Says no more of a customer than the choices' traits. Raises `ValueError` for the other kinds of outcome.
    """
    if outcome.kind == "none":
        return (
            "I could not find a customer for that. It would help to have the full name with the date of birth, "
            "a phone number, an e-mail address or the customer ID."
        )
    if outcome.kind != "several":
        raise ValueError(f"nothing to clarify about {outcome.kind!r}")
    told = list(dict.fromkeys(_aloud(choice.traits) for choice in outcome.choices if choice.traits))
    if len(told) < len({tuple(choice.traits.items()) for choice in outcome.choices}):
        told.append("somebody else")
    if len(told) < 2:
        return (
            "Several customers fit, and nothing that I may say tells them apart. Please give the date of birth, "
            "the phone number, the e-mail address or the customer ID."
        )
    return f"Several customers fit. Which one do you mean: {'; '.join(told[:-1])}; or {told[-1]}?"


def _aloud(traits: Mapping[str, str]) -> str:
    return ", ".join(f"{label.replace('_', ' ')} {value}" for label, value in traits.items())


def _telling(customers: Sequence[Customer]) -> tuple[str, ...]:
    """The fewest traits that no two customers share, of as few those that reveal the least; else the best there are.

    A set of traits reveals as much as its most revealing one.
    """
    labels = _least_revealing_first(customers)
    labels = [label for label in labels if len({_said_value(c, label) for c in customers}) > 1][:_MOST_LABELS]
    best: tuple[str, ...] = ()
    best_parted = 1
    for size in range(1, len(labels) + 1):
        places = sorted(combinations(range(len(labels)), size), key=lambda chosen: chosen[::-1])
        for chosen in (tuple(labels[place] for place in chosen) for chosen in places):
            parted = len({tuple(_said_value(c, label) for label in chosen) for c in customers})
            if parted > best_parted:
                best, best_parted = chosen, parted
            if parted == len(customers):
                return chosen
    return best


def _least_revealing_first(customers: Sequence[Customer]) -> list[str]:
    """All labels; one that not every customer has stands where those stand that have it."""
    places: dict[str, int] = {}
    for customer in customers:
        for place, label in enumerate(customer.traits):
            places[label] = max(place, places.get(label, 0))
    return sorted(places, key=lambda label: places[label])


def _sayable(value: str) -> str:
    """The value, or as much of it as may be said when it would identify somebody by itself."""
    if (address := normalise_email(value)) is not None:
        local, _, domain = address.partition("@")
        return f"{local[0]}…@{domain}"
    digits = "".join(c for c in value if c.isdigit())
    if len(digits) >= _IDENTIFYING_DIGITS and parse_date(value) is None:
        return f"ending {digits[-_SAID_DIGITS:]}"
    return value


def _said_value(customer: Customer, label: str) -> str:
    return fold(_sayable(customer.traits.get(label, "")))


def _value(customer: Customer, label: str) -> str:
    return fold(customer.traits.get(label, ""))


# --- understanding the reply -----------------------------------------------------------------------------


def narrow(customers: Sequence[Customer], said: Iterable[Said]) -> list[Customer]:
    """Those of `customers` that the messages leave over, read in order; all of them when they tell nothing."""
    left = list(customers)
    for message in said:
        if picked := _picked(left, message):
            left = [picked]
            continue
        left = _described(left, message)
        if _CORRECTION.search(message.text):  # "in Leeds" ... "sorry, in York"
            left = _described(list(customers), message, otherwise=left)
    return left


def _picked(customers: Sequence[Customer], message: Said) -> Customer | None:
    """ "The second one": holds only as an answer to exactly the list that these customers make."""
    words = _WORD.findall(message.text.lower())
    if len(customers) < 2 or len(words) > _LONGEST_REPLY or not message.asked:
        return None
    places = {_ORDINALS[word] for word in words if word in _ORDINALS}
    outcome = several(customers)
    if len(places) != 1 or message.asked.strip() != clarification(outcome):
        return None
    if len({tuple(choice.traits.items()) for choice in outcome.choices}) < len(outcome.choices):
        return None
    place = places.pop()
    return customers[: len(outcome.choices)][place] if place < len(outcome.choices) else None


def _described(among: list[Customer], message: Said, *, otherwise: list[Customer] | None = None) -> list[Customer]:
    """Those whom the message describes, or does not rule out; `otherwise` when it says nothing of them."""
    fits = [(customer, _fit(customer, among, message)) for customer in among] if len(among) > 1 else []
    meant = [customer for customer, fit in fits if fit > 0]
    rest = [customer for customer, fit in fits if fit == 0]
    if meant or 0 < len(rest) < len(fits):
        return meant or rest
    return among if otherwise is None else otherwise


def _fit(customer: Customer, among: Sequence[Customer], message: Said) -> int:
    """1 when the message says a trait of this customer that not all have, -1 when it denies one, else 0."""
    verdicts = []
    for label, value in customer.traits.items():
        if all(_value(other, label) == fold(value) for other in among):
            continue
        said = _says(message, value)
        if said == 0 and parse_date(value) in message.dates:
            said = 1
        verdicts.append(said)
    return -1 if -1 in verdicts else max(verdicts, default=0)


def _says(message: Said, value: str) -> int:
    date = parse_date(value)
    if date is not None or _YEAR.fullmatch(value):
        # A year alone tells, but not the year of another full date.
        return 0 if message.dates else _occurs(value[:4] if date is None else date[:4], message.text)
    if len(value) <= _SHORT and not value.isdigit():
        if value.isupper() and value not in _WORD.findall(message.text):
            return 0
        if len(value) < 2:
            return 0
    return _occurs(value, message.text)


def _occurs(value: str, text: str) -> int:
    words = _WORD.findall(fold(text))
    wanted = _WORD.findall(fold(value))
    if not wanted:
        return 0
    for i in range(len(words) - len(wanted) + 1):
        if words[i : i + len(wanted)] == wanted:
            return -1 if _NEGATIONS & set(words[max(0, i - _NEGATION_REACH) : i]) else 1
    return 0
