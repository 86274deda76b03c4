"""What reading one message for customers gives: mentions, and how much each of them weighs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from tilores_core.contracts import Identifiers

KINDS = ("customer_id", "email", "phone", "name")
"""The strongest identifier first."""


class Strength(IntEnum):
    """What a mention means that fits nobody.

    FAINT: nothing. WEAK: somebody unknown, provided that the question is about a customer at all. STRONG: somebody
    unknown.
    """

    FAINT = 0
    WEAK = 1
    STRONG = 2


class Rank(IntEnum):
    """Which of several names in one message is meant: one with a cue, before a bare one, before the speaker's own."""

    CUED = 0
    BARE = 1
    SPEAKER = 2


@dataclass(frozen=True, slots=True)
class Mention:
    """Somebody named. `readings` are tried in order until one fits; mostly there is one.

    `partial`: one word of a name. `alone`: the message says nothing else. `person`: begins with a given name.
    """

    readings: tuple[Identifiers, ...]
    strength: Strength
    rank: Rank = Rank.CUED
    partial: bool = False
    alone: bool = False
    person: bool = False

    @property
    def kind(self) -> str:
        """The strongest identifier given, one of `KINDS`."""
        return next(kind for kind in KINDS if getattr(self.readings[0], kind))

    @property
    def name(self) -> str | None:
        return self.readings[0].name


@dataclass(frozen=True, slots=True)
class Mentions:
    """What one message names. `found`: strongest first.

    `date_of_birth` is one said to be that; `dates` are all dates. `refers_back`: "her", "this customer".
    """

    found: tuple[Mention, ...] = ()
    date_of_birth: str | None = None
    dates: tuple[str, ...] = ()
    refers_back: bool = False
