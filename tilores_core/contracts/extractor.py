"""The role that reads what a user says for evidence of which customer is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol

EvidenceKind = Literal[
    "customer_id", "email", "phone", "name", "date_of_birth", "place", "choice", "pronoun", "rejection", "relative"
]
Polarity = Literal["asserted", "negated", "corrected", "reference"]


class Strength(IntEnum):
    """What it means when no customer fits the evidence.

    FAINT: nothing, it may not be about a customer at all. WEAK: the customer is unknown, provided that the question
    is about a customer. STRONG: the customer is unknown.
    """

    FAINT = 0
    WEAK = 1
    STRONG = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that a message says about which customer is meant.

    `value`: an e-mail address in lower case, a phone number in E.164, a name or id as written, a date of birth as
    `YYYY-MM-DD`, `YYYY-MM`, `YYYY`, `--MM-DD` or `--MM`. Empty when it was said but could not be read: then the user
    is asked again. Of a `choice` it is a number from 1, `-1` for the last, or `other`, `previous`, `initial`,
    `older`, `younger`; of a `relative` the relation ("wife"), who is another person than the customer.
    `start`, `end`: where it is in the message. `alternatives`: other readings of the same words.
    `polarity`: `asserted`; `negated` ("not the one in Leeds"); `corrected`, asserted in place of what was said before
    ("I meant"); `reference`, to something said before ("her", "the second one").
    `partial`: one word of a name, or some digits of a phone number (with `*` before them its last ones).
    `speaker`: said by the speaker of themselves.
    `supplement`: said to complete what was said before ("her phone number is"); of a `relative` that a name follows,
    which is the customer's ("the wife of Tom Fern"). `title`: the form of address before a name ("mr").
    """

    kind: EvidenceKind
    value: str
    start: int = 0
    end: int = 0
    strength: Strength = Strength.STRONG
    polarity: Polarity = "asserted"
    alternatives: tuple[str, ...] = ()
    partial: bool = False
    speaker: bool = False
    supplement: bool = False
    title: str = ""


class CustomerExtractor(Protocol):
    """Finds evidence of the customer in one message of the user, for example by asking a model.

    Its result passes the same rule as the built-in extraction: everything that was said must fit.
    """

    async def extract(self, text: str, *, region: str) -> Sequence[Evidence]:
        """The evidence in `text`. `region` (ISO 3166) is where phone numbers without a country code belong.

        Raises `PluginError` or any other exception when it cannot read: then the built-in extraction is used.
        """
