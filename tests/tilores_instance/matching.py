"""Which records belong together and which a search finds: rules over a person's attributes.

A rule is a set of attributes that must all be given and equal, after normalising. Link rules build entities, search
rules find records; their scores (0 to 100) are what an edge in its longest form says.

An entity's `score` is the mean score of its edges as a fraction, 1 for a record on its own. Its `consistency` is the
mean confidence (the sum of squared fractions) of the attributes that any of its records has. Its `hitScore` is the
mean, over the parameters of the search, of the best likeness to any of its records: 1 for an equal value, else the
ratio of difflib for names and places, else 0.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from tests.tilores_instance.insights import confidence

Attributes = Mapping[str, str]

ATTRIBUTES: Final = (
    "id",
    "first_name",
    "last_name",
    "date_of_birth",
    "email",
    "phone",
    "account_number",
    "postal_code",
    "city",
)
_FUZZY: Final = {"first_name", "last_name", "city"}
_IDENTITY: Final = ("first_name", "last_name", "date_of_birth", "email", "phone", "account_number")
FUZZY_RATIO: Final = 0.8


@dataclass(frozen=True, slots=True)
class Rule:
    """`like` names one attribute more, which need only be similar."""

    name: str
    attributes: tuple[str, ...]
    score: int
    like: str = ""

    def key(self, attributes: Attributes) -> tuple[str, ...] | None:
        """What two records must have in common; None when this one lacks an attribute of the rule."""
        found = tuple(attributes.get(name, "") for name in self.attributes)
        return found if all(found) and (not self.like or attributes.get(self.like)) else None


LINK_RULES: Final = (
    Rule("ACCOUNT", ("account_number",), 100),
    Rule("EMAIL", ("email",), 95),
    Rule("NAME_DOB", ("first_name", "last_name", "date_of_birth"), 90),
    Rule("PHONE_NAME", ("phone", "first_name"), 85),
)
SEARCH_RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "default": (
        Rule("S_ID", ("id",), 100),
        Rule("S_ACCOUNT", ("account_number",), 100),
        Rule("S_EMAIL", ("email",), 95),
        Rule("S_NAME_DOB", ("last_name", "date_of_birth"), 90),
        Rule("S_PHONE", ("phone",), 85),
        Rule("S_NAME_PLACE", ("last_name", "postal_code"), 80),
        Rule("S_NAME_CITY", ("last_name", "city"), 70),
        Rule("S_NAME", ("last_name",), 60, like="first_name"),
    ),
    "exact": (
        Rule("S_ID", ("id",), 100),
        Rule("S_ACCOUNT", ("account_number",), 100),
        Rule("S_EMAIL", ("email",), 95),
        Rule("S_PHONE", ("phone",), 85),
    ),
}


def normal(attribute: str, value: Any) -> str:
    """The form in which values are compared."""
    if value is None:
        return ""
    text = unicodedata.normalize("NFKC", str(value)).strip()
    if attribute == "phone":
        digits = "".join(character for character in text if character.isdigit())
        if text.startswith("+"):
            return digits
        return digits[2:] if digits.startswith("00") else "49" + digits[1:] if digits.startswith("0") else digits
    if attribute == "account_number":
        return "".join(text.split()).upper()
    return text if attribute == "id" else " ".join(text.casefold().split())


def likeness(attribute: str, one: str, other: str) -> float:
    """Of two normal forms, 0 to 1."""
    if one == other:
        return 1.0
    return SequenceMatcher(None, one, other).ratio() if attribute in _FUZZY and one and other else 0.0


def hit_score(asked: Attributes, records: Iterable[Attributes]) -> float:
    """How well an entity with these records fits the search; 0 without a search."""
    given = {name: value for name, value in asked.items() if value}
    if not given:
        return 0.0
    rows = list(records)
    best = [
        max((likeness(name, value, row.get(name, "")) for row in rows), default=0.0) for name, value in given.items()
    ]
    return round(sum(best) / len(best), 4)


def consistency(records: Iterable[Attributes]) -> float:
    """How little these records contradict each other; 1 when there is nothing to contradict."""
    rows = list(records)
    found = (confidence([value for row in rows if (value := row.get(name))]) for name in _IDENTITY)
    known = [one for one in found if one is not None]
    return round(sum(known) / len(known), 4) if known else 1.0
