"""Invented customers in small worlds, and which of them a set of facts fits. Nothing here uses the product's code."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from benchmarks.customers.phrases import PHRASES

_NAMES = PHRASES["names"]
FIRST, LAST, FAMILIES, CITIES = (_NAMES[key] for key in ("first", "last", "families", "cities"))


@dataclass(frozen=True)
class Person:
    """A customer. `generation`: Jr. or Sr. behind the name, or empty."""

    id: str
    first: str
    last: str
    born: date
    city: str
    email: str
    phone: str
    generation: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.first, self.last, self.generation)))


@dataclass
class World:
    people: list[Person] = field(default_factory=list)

    def named(self, first: str, last: str, generation: str = "") -> list[Person]:
        """Those whom a name fits: a generation that was said must be theirs."""
        return [
            p
            for p in self.people
            if (p.first, p.last) == (first, last) and (not generation or p.generation == generation)
        ]

    def is_free(self, first: str, last: str) -> bool:
        """Whether nobody has a name that is like this one."""
        words = {*first.replace("-", " ").split(), *last.replace("-", " ").split()}
        return not any(
            len(words & {*p.first.replace("-", " ").split(), *p.last.replace("-", " ").split()}) for p in self.people
        )


def make_world(rng: random.Random) -> World:
    """A dozen customers: strangers to each other, a family with one telephone, namesakes, a father and a son."""
    world = World()
    numeric = rng.random() < 0.5
    used: set[str] = set()

    def add(first: str, last: str, **more: str) -> Person:
        n = len(world.people)
        while True:
            number = str(rng.randint(1000, 9999))
            if number not in used:
                used.add(number)
                break
        person = Person(
            id=number if numeric else f"C-{number}",
            first=first,
            last=last,
            born=_born(rng, {p.born.year for p in world.people if (p.first, p.last) == (first, last)}),
            city=more.get("city") or rng.choice(CITIES),
            email=more.get("email") or f"{_plain(first)}.{_plain(last)}{n}@example.com",
            phone=more.get("phone") or _free_phone(rng, world),
            generation=more.get("generation", ""),
        )
        world.people.append(person)
        return person

    for _ in range(rng.randint(4, 6)):
        first, last = _new_name(rng, world)
        add(first, last)
    # a family: one telephone and one address for all
    family = rng.choice((*LAST, *FAMILIES))
    shared = f"503555{rng.randint(100, 199):04d}"
    home = rng.choice(CITIES)
    for first in rng.sample(FIRST, rng.randint(2, 3)):
        if not world.named(first, family):
            add(first, family, phone=shared, city=home, email=f"family.{_plain(family)}@example.org")
    # namesakes, each in another town
    first, last = _new_name(rng, world)
    for city in rng.sample(CITIES, rng.choice((2, 2, 3, 3, 4, 6, 12))):
        add(first, last, city=city)
    first, last = _new_name(rng, world)
    if rng.random() < 0.5:
        add(first, last, generation="Sr.")
        if rng.random() < 0.5:
            add(first, last, generation="Jr.")
    return world


def _new_name(rng: random.Random, world: World) -> tuple[str, str]:
    while True:
        first, last = rng.choice(FIRST), rng.choice((*LAST, *FAMILIES))
        if first != last and not world.named(first, last) and not world.named(last, first):
            return first, last


def _free_phone(rng: random.Random, world: World) -> str:
    while True:
        phone = f"{rng.choice(('503', '202', '415'))}555{rng.randint(100, 199):04d}"
        if not fitting(world.people, phone=phone):
            return phone


def _born(rng: random.Random, taken: set[int]) -> date:
    while True:
        born = date(1930, 1, 1) + timedelta(days=rng.randint(0, 27_000))
        if born.year not in taken:
            return born


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isascii() and c.isalpha()) or "x"


def fitting(people: Sequence[Person], **facts: object) -> list[Person]:
    """Those whom every fact fits: `id`, `phone`, `email`, `city` or `born`."""
    return [p for p in people if all(getattr(p, key) == value for key, value in facts.items())]
