"""The parts that generated conversations are made of."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks.customers.people import Person, World, make_world
from benchmarks.customers.phrases import PHRASES, say_digits, write_phone

OTHERS = ("de", "fr", "es", "it", "nl", "pt")
_NAMES = PHRASES["names"]


@dataclass
class Conversation:
    """`turns` of the user; `right` may come of the last one: ids of customers, or a question back when it is empty.
    `consistent`: one customer fits, so that asking back is needless."""

    kind: str
    world: World
    turns: list[str] = field(default_factory=list)
    right: set[str] = field(default_factory=set)
    consistent: bool = False
    language: str = "en"


class Parts:
    """Names, numbers and requests for one conversation, from its seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.world = make_world(self.rng)
        self.language = "en" if self.rng.random() < 0.65 else self.rng.choice(OTHERS)
        self.heard = self.rng.random() < 0.4

    # --- parts -------------------------------------------------------------------------------------------

    def pick(self, phrases: list[str]) -> str:
        return self.rng.choice(phrases)

    def phrase(self, key: str) -> str:
        return self.pick(PHRASES[key][self.language])

    def ask(self, name: str, *, language: str | None = None) -> str:
        return self.pick(PHRASES["ask"][language or self.language]).format(n=name)

    def more(self) -> str:
        return self.phrase("more")

    def unique(self) -> Person:
        """A customer whose name is nobody else's."""
        return self.rng.choice([p for p in self.world.people if len(self.same_name(p)) == 1])

    def same_name(self, person: Person) -> list[Person]:
        return [p for p in self.world.people if (p.first, p.last) == (person.first, person.last)]

    def other(self, person: Person) -> Person:
        return self.rng.choice(
            [
                p
                for p in self.world.people
                if (p.first, p.last) != (person.first, person.last) and p.phone != person.phone
            ]
        )

    def stranger(self) -> str:
        """A name that is nobody's here, common or not."""
        for _ in range(50):
            first = self.pick(_NAMES["unknown_first"] + _NAMES["first"])
            last = self.pick(_NAMES["unknown_last"] + _NAMES["last"])
            if not self.world.named(first, last) and not self.world.named(last, first) and first != last:
                return f"{first} {last}"
        return "Zorka Fenn"

    def called(self, person: Person) -> str:
        """A way to say the whole name of a customer."""
        name = person.name
        ways = [name, name, name]
        if not person.generation and not self.heard and self.language == "en":
            ways.append(f"{person.last}, {person.first}" if self.rng.random() < 0.3 else name)
        if not self.heard and " " not in person.last and self.rng.random() < 0.1:
            ways.append(name.upper())
        if self.rng.random() < 0.1:
            ways.append(f"{self.pick(['Ms.', 'Mr', 'Mrs', 'Dr.'])} {name}" if self.language == "en" else name)
        return self.pick(ways).strip()

    def told(self, talk: Conversation, person: Person) -> None:
        talk.right, talk.consistent = {person.id}, True

    def number_of(self, person: Person, language: str | None = None) -> str:
        digits = person.phone
        if self.rng.random() < 0.4:
            return say_digits(self.rng, digits, language or self.language)
        return write_phone(self.rng, digits)
