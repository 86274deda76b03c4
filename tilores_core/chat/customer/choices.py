"""When several customers fit: what tells them apart, which of them a reply means, and how to ask.

Only a customer's `traits` are ever looked at or said: the source decided that they may be. A trait that holds an
e-mail address, a telephone number or another long number is still said in part only, as the whole would identify
a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from tilores_core.chat.customer.facts import births, says
from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.words import COMMON
from tilores_core.contracts import Customer, CustomerChoice, CustomerOutcome
from tilores_core.identity import normalise_email, normalise_name, parse_date
from tilores_core.identity.names import GENERATIONS, fold, generation_of

MOST_CHOICES = 5
_MOST_LABELS = 8
_IDENTIFYING_DIGITS = 7
_SAID_DIGITS = 2
_FEW_WORDS = 2  # of a reply that is hardly more than a name: "Will", "Jan please"

# --- asking ----------------------------------------------------------------------------------------------


def several(customers: Sequence[Customer]) -> CustomerOutcome:
    """The outcome for more than one match: at most `MOST_CHOICES`, with only the traits that tell them apart."""
    labels = _telling(customers)
    choices = (
        CustomerChoice(traits={label: _sayable(c.traits[label]) for label in labels if label in c.traits})
        for c in customers[:MOST_CHOICES]
    )
    more = max(0, len(customers) - MOST_CHOICES)
    return CustomerOutcome(kind="several", choices=tuple(choices), distinguished_by=labels, more=more)


def to_confirm(customer: Customer) -> CustomerOutcome:
    """The outcome that asks whether a customer is meant whose name was said turned round."""
    return CustomerOutcome(
        kind="several",
        choices=(CustomerChoice(traits={"name": customer.name or ""}),),
        distinguished_by=("name",),
    )


def clarification(outcome: CustomerOutcome, asked: Sequence[str] = ()) -> str:
    """What to say, without a model, when no customer or more than one fits; short enough for the phone.

    Says no more of a customer than the choices' traits, and nothing in the words of `asked`, what the assistant has
    said before, as long as there are others. Raises `ValueError` for the other kinds of outcome.
    """
    said = {text.strip() for text in asked}
    found = wordings(outcome)
    return next((text for text in found if text not in said), found[-1])


def wordings(outcome: CustomerOutcome) -> list[str]:
    """Every way in which `clarification` may ask about the outcome, the usual one first."""
    if outcome.kind == "none":
        return [f"{first} {helping}" for first, helping in zip(_NOT_FOUND, _HELPING, strict=True)]
    if outcome.kind != "several":
        raise ValueError(f"nothing to clarify about {outcome.kind!r}")
    if outcome.distinguished_by == ("name",) and len(outcome.choices) == 1:
        return [asking.format(outcome.choices[0].traits["name"]) for asking in _CONFIRMING]
    told = list(dict.fromkeys(_aloud(choice.traits) for choice in outcome.choices if choice.traits))
    if len(told) < len({tuple(choice.traits.items()) for choice in outcome.choices}):
        told.append("somebody else")
    if len(told) < 2:
        return list(_ALIKE)
    if outcome.more:
        told = [*told, f"one of {outcome.more} others that I have not listed (tell me the date of birth or the town)"]
    offer = f"{'; '.join(told[:-1])}; or {told[-1]}?"
    return [f"{first} {offer}" for first in _SEVERAL]


_NOT_FOUND: Final = (
    "I could not find a customer for that.",
    "I still find no customer for that.",
    "There is no customer for what you have told me so far.",
)
_HELPING: Final = (
    "It would help to have the full name with the date of birth, a phone number, an e-mail address or the "
    "customer ID.",
    "Please check the spelling, or give the date of birth, a phone number, an e-mail address or the customer ID.",
    "The customer ID, or the phone number or e-mail address with the full name and date of birth, would settle it.",
)
_SEVERAL: Final = (
    "Several customers fit. Which one do you mean:",
    "I still find more than one. Is it",
    "That does not tell them apart yet. Please choose:",
)
_CONFIRMING: Final = (
    "Do you mean {}?",
    "Is it {} that you mean?",
    "Please say yes if you mean {}, or give the date of birth or the customer ID.",
)
_ALIKE: Final = (
    "Several customers fit, and nothing that I may say tells them apart. Please give the date of birth, "
    "the phone number, the e-mail address or the customer ID.",
    "More than one customer still fits. I need the date of birth, the phone number, the e-mail address or the "
    "customer ID to tell them apart.",
)


def _aloud(traits: Mapping[str, str]) -> str:
    return ", ".join(f"{label.replace('_', ' ')} {value}" for label, value in traits.items())


def _telling(customers: Sequence[Customer]) -> tuple[str, ...]:
    """The fewest traits that no two customers share, of as few those that reveal the least; else the best there are.

    A set of traits reveals as much as its most revealing one.
    """
    labels = _least_revealing_first(customers)
    labels = [label for label in labels if len({_format_value(c, label) for c in customers}) > 1][:_MOST_LABELS]
    best: tuple[str, ...] = ()
    best_parted = 1
    for size in range(1, len(labels) + 1):
        places = sorted(combinations(range(len(labels)), size), key=lambda chosen: chosen[::-1])
        for chosen in (tuple(labels[place] for place in chosen) for chosen in places):
            parted = len({tuple(_format_value(c, label) for label in chosen) for c in customers})
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
    """The value, or as much of it as may be said when it would identify a person by itself."""
    if (address := normalise_email(value)) is not None:
        local, _, domain = address.partition("@")
        return f"{local[0]}…@{domain}"
    digits = "".join(c for c in value if c.isdecimal())
    if len(digits) >= _IDENTIFYING_DIGITS and parse_date(value) is None:
        return f"ending {digits[-_SAID_DIGITS:]}"
    return value


def _format_value(customer: Customer, label: str) -> str:
    return fold(_sayable(customer.traits.get(label, "")))


# --- understanding the reply -----------------------------------------------------------------------------


def is_offer(asked: str, customers: Sequence[Customer]) -> bool:
    """Whether the assistant's message offered exactly these customers, so that "the second one" is one of them."""
    asked = asked.strip()
    if len(customers) < 2 or not asked:
        return False
    outcome = several(customers)
    if len({tuple(choice.traits.items()) for choice in outcome.choices}) < len(outcome.choices):
        return False
    return asked in wordings(outcome)


def pick_at(customers: Sequence[Customer], which: str, *, shown: bool, comparative: bool = False) -> Customer | None:
    """The customer at a place of the list (from 1, -1 for the last), which must have been `shown`, or the older or
    younger one; None when it is not clear. `comparative`: "older", which is said of two, not "oldest"."""
    if which in ("older", "younger"):
        if comparative and len(customers) > 2:
            return None
        born = {customer.id: births(customer) for customer in customers}
        exact = all(len(days) == 1 for days in born.values())
        when = {key: max(days, default="")[: 10 if exact else 4] for key, days in born.items()}
        wanted = (min if which == "older" else max)(when.values(), default="")
        fitting = [customer for customer in customers if when[customer.id] == wanted]
        return fitting[0] if len(fitting) == 1 and all(when.values()) else None
    offered = customers[:MOST_CHOICES]
    place = int(which)
    if not shown or place > len(offered):
        return None
    if place < 0:
        return offered[-1] if len(offered) == len(customers) else None
    return offered[place - 1]


def match_description(among: Sequence[Customer], said: Said) -> list[Customer]:
    """Those that the message describes by a trait that not all have, or does not rule out; all if it says nothing."""
    if len(among) < 2:
        return list(among)
    after = said.last_no()
    fits = [(customer, _fit(customer, among, said, after)) for customer in among]
    if after >= 0 and not any(fit for _, fit in fits):
        fits = [(customer, _fit(customer, among, said, -1)) for customer in among]
    meant = [customer for customer, fit in fits if fit > 0]
    rest = [customer for customer, fit in fits if fit == 0]
    if meant or 0 < len(rest) < len(fits):
        return meant or rest
    return list(among)


def _fit(customer: Customer, among: Sequence[Customer], said: Said, after: int) -> int:
    """1 when the message says, behind `after`, a trait of this customer that not all have, -1 when it denies one,
    else 0."""
    verdicts = [
        says(said, value, after=after)
        for label, value in customer.traits.items()
        if not all(fold(other.traits.get(label, "")) == fold(value) for other in among)
    ]
    generation = generation_of(customer.name or "")
    if generation and not GENERATIONS.keys().isdisjoint(said.words):
        spelt = [word for word in said.words if GENERATIONS.get(word) == generation]
        others_said = any(word in GENERATIONS and not said.is_negated(start) for start, _, word in said.places)
        verdicts += [says(said, word) for word in spelt] or ([-1] if others_said else [])
    others = {word for other in among if other.id != customer.id for word in normalise_name(other.name or "").split()}
    own = normalise_name(customer.name or "").split()
    verdicts += [
        says(said, word, after=after)
        for word in own
        if word not in others and len(word) > 2 and (word not in COMMON or len(said.words) <= _FEW_WORDS)
    ]
    return -1 if -1 in verdicts else max(verdicts, default=0)
