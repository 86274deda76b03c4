"""What resolution works with: the source's answers, where a conversation stands, and evidence put together."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from tilores_core.chat.customer.said import Said
from tilores_core.chat.customer.words import ORDINARY, PARTICLES, alternation, is_unknown, vocabulary
from tilores_core.contracts import Customer, CustomerKind, Evidence, Identifiers, Strength
from tilores_core.identity import name_fits, normalise_phone

Reason = Literal[
    "", "fits", "unknown", "contradiction", "unread", "two_people", "relative", "rejected", "which", "general",
    "incomplete", "like_name",
]  # fmt: skip
"""Why: `unknown`, no customer fits; `contradiction`, what was said fits different people; `unread`, something was
said but could not be read; `two_people`, more than one is named; `relative`, "his wife"; `rejected`, "wrong person";
`which`, a choice from a list that was not offered; `incomplete`, the beginning of a phone number; `like_name`, the
name may be another person's."""


Customers = tuple[Customer, ...]


def kind_of(customers: Customers) -> CustomerKind:
    """The kind of a state with these customers, of which there are some."""
    return "one" if len(customers) == 1 else "several"


class LookupNeeded(Exception):
    """The source must be asked for these identifiers first."""

    def __init__(self, identifiers: Identifiers) -> None:
        self.identifiers = identifiers


class Candidates:
    """The customers that fit identifiers, as the source has said. `absent`: what no customer was found to fit."""

    def __init__(self, absent: Container[Identifiers] = ()) -> None:
        self._absent = absent
        self._found: dict[Identifiers, Customers] = {}
        self._partial: set[Identifiers] = set()

    def add(self, identifiers: Identifiers, customers: Iterable[Customer], *, complete: bool = True) -> None:
        """Not `complete`: there may be more customers than these."""
        self._found[identifiers] = tuple(customers)
        if not complete:
            self._partial.add(identifiers)

    def of(self, identifiers: Identifiers) -> Customers:
        """Raises `LookupNeeded` when the source was not asked yet."""
        found = self._found.get(identifiers)
        if found is None:
            if identifiers not in self._absent:
                raise LookupNeeded(identifiers)
            found = self._found[identifiers] = ()
        return found

    def all_absent(self) -> tuple[Identifiers, ...] | None:
        """All identifiers that were asked for, where no customer fits any; else None."""
        return None if any(self._found.values()) else tuple(self._found)

    def is_complete(self, identifiers: Identifiers) -> bool:
        return identifiers not in self._partial


@dataclass(frozen=True, slots=True)
class State:
    """Where a conversation stands after a message.

    `customers`: the one, or those that fit. `pool`: those that the one was chosen from; `offered`: they were offered
    as a list. `named`: the subject was called by a name. `pending`: dates of birth of a customer not named yet.
    `outcome`: what this message alone comes to, when it is not what later ones build on; `several` asks whether the
    one in `pool` is meant.
    """

    kind: CustomerKind = "unnamed"
    customers: Customers = ()
    reason: Reason = ""
    complete: bool = True
    pool: Customers = ()
    offered: bool = False
    named: bool = False
    pending: tuple[Evidence, ...] = ()
    outcome: CustomerKind | None = None


UNNAMED: Final = State()

_ASKS_FOR: Final = frozenset(("there", "have", "know", "find", "got", "named", "called", "see"))
_MOST_NAMES = 4  # looked up in one message
_SHORTEST_PHONE = 10  # digits of one that nothing announces
_MOST_PARTS = 6  # messages that a phone number is said over
_OWN: Final = re.compile(rf"\b(?:i owe|my (?:{alternation(vocabulary('en').subjects - {'contact'})}))\b")


def with_joined_phone(
    asserted: list[Evidence], found: Iterable[Sequence[Evidence]], region: str
) -> tuple[list[Evidence], State | None]:
    """A phone number that is said over several messages: its parts as one number. `found`: what this message and
    those before it identify, the latest first."""
    rest = [item for item in asserted if not item.partial or item.kind != "phone"]
    digits, certain = "", False
    named: list[Evidence] = []
    for n, evidence in enumerate(islice(found, _MOST_PARTS)):
        said = next((item for item in evidence if item.kind == "phone" and item.partial), None)
        if said is None:
            break
        if n:
            named += [e for e in evidence if e.kind == "name" and e.polarity != "negated" and e.strength]
        digits = said.value + digits
        certain = certain or said.strength > Strength.FAINT
        number = normalise_phone(digits, region) if n and (certain or len(digits) >= _SHORTEST_PHONE) else None
        if number is not None:
            return [*rest, *named, Evidence(kind="phone", value=number, start=said.start, end=said.end)], None
    return rest, (State("none", reason="incomplete") if certain else None)


def without_speaker(asserted: list[Evidence], said: Said) -> list[Evidence]:
    """The speaker counts unless another person is named: "my name is Sarah Connor. What is Ann Lee's balance?"; who
    asks "what do I owe" is meant too, and is the only one behind "no, this is"."""
    speaker = next((item for item in asserted if item.speaker), None)
    others = [item for item in asserted if not item.speaker] if speaker is not None else []
    if speaker is None or not others:
        return asserted
    if all(item.end <= said.last_no() <= speaker.start for item in others):
        return [item for item in asserted if item.speaker]
    if _OWN.search(said.low):
        return asserted
    named = any(item.kind == "name" and not item.partial and item.strength for item in others)
    return others if named else asserted


def distinct_names(names: Iterable[Evidence]) -> list[Evidence]:
    """Each person once: the longest spelling of a name stands for the shorter ones."""
    found: list[Evidence] = []
    for name in sorted(names, key=lambda item: (-item.strength, -len(item.value))):
        spelt = (name.value, *name.alternatives)
        if not any(name_fits(word, [other.value, *other.alternatives]) for other in found for word in spelt):
            found.append(name)
    return found


def join_parts(before: Sequence[Evidence], partial: Sequence[Evidence]) -> Evidence | None:
    """The whole name where the message before held the other part: "Mrs Dubois"."""
    if len(before) != 1 or len(partial) != 1 or not (before[0].partial and before[0].title):
        return None
    name = f"{partial[0].value} {before[0].value}"
    return replace(partial[0], value=name, title=before[0].title, partial=False)


def combinations(by_kind: dict[str, list[Evidence]]) -> list[list[Evidence]]:
    """One of each kind; where a kind was said more than once, each must fit."""
    if not by_kind:
        return [[]]
    most = max(len(items) for items in by_kind.values())
    return [[items[min(n, len(items) - 1)] for items in by_kind.values()] for n in range(min(most, _MOST_NAMES))]


def readings(choice: Sequence[Evidence]) -> list[dict[str, str]]:
    """The evidence as identifiers, in each reading of an id, which may be a phone number."""
    plain: dict[str, str] = {item.kind: item.value for item in choice if item.kind != "customer_id"}
    ids = next((item for item in choice if item.kind == "customer_id"), None)
    if ids is None:
        return [plain]
    return [
        {**plain, "phone": value} if value.startswith("+") else {**plain, "customer_id": value}
        for value in (ids.value, *ids.alternatives)
        if not (value.startswith("+") and "phone" in plain)
    ]


def is_introduced(text: str, name: str) -> bool:
    """Whether the message is little more than the name, or asks whether there is such a customer."""
    words, named = text.split(), name.lower().split()
    if len(words) <= len(named) + 2:
        return True
    if len(words) <= len(named) + 4 and any(map(is_unknown, named)):
        return all(word in named or word.strip(".,!?") in ORDINARY for word in words)
    before, _, _ = text.partition(name.lower())
    return bool(_ASKS_FOR.intersection(before.split()[-4:]))


def without_particles(name: str) -> str:
    return " ".join(word for word in name.split() if word.lower() not in PARTICLES) or name
