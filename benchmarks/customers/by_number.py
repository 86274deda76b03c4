"""Kinds of conversation in which a number, an address or a name that follows says who is meant."""

from __future__ import annotations

from benchmarks.customers.parts import Conversation, Parts
from benchmarks.customers.people import fitting
from benchmarks.customers.phrases import PHRASES, say_date, say_digits, write_phone


class ByNumber(Parts):
    """The kinds by phone, by id, and by what a second message adds."""

    def by_phone(self, talk: Conversation) -> None:
        person = self.rng.choice(self.world.people)
        cued = self.pick(PHRASES["cued_phone"][self.language])
        known = self.rng.random() < 0.75
        digits = person.phone if known else f"646555{self.rng.randint(100, 199):04d}"
        if self.rng.random() < 0.25 and self.language == "en":
            cut = self.rng.choice([3, 6])
            spoken = self.rng.random() < 0.5
            parts = [say_digits(self.rng, part, "en") if spoken else part for part in (digits[:cut], digits[cut:])]
            talk.turns = [f"the number is {parts[0]}", parts[1], self.more()]
        else:
            said = (
                say_digits(self.rng, digits, self.language)
                if self.rng.random() < 0.6
                else write_phone(self.rng, digits)
            )
            talk.turns = [cued.format(x=said), self.more()] if self.rng.random() < 0.5 else [
                f"{cued.format(x=said)}. {self.more()}"]  # fmt: skip
        fits = [p for p in self.world.people if p.phone == digits]
        if len(fits) == 1:
            self.told(talk, fits[0])

    def by_id(self, talk: Conversation) -> None:
        person = self.rng.choice(self.world.people)
        self.language = "en"
        said = person.id
        if said.isdigit() and self.rng.random() < 0.3:
            said = say_digits(self.rng, said, "en")
        cued = self.pick(PHRASES["cued_id"]).format(x=said)
        talk.turns = [
            self.pick(
                [
                    f"{cued}, what is the balance?",
                    f"What does {cued} owe?" if "is" not in cued else f"{cued}. balance?",
                ]
            )
        ]
        self.told(talk, person)

    def carried_on(self, talk: Conversation) -> None:
        """One customer after the other, each with follow-ups: the last one named is meant."""
        talk.turns = []
        person = self.unique()
        for _ in range(self.rng.randint(2, 4)):
            person = self.unique()
            talk.turns.append(self.ask(self.called(person)))
            talk.turns += [self.more() for _ in range(self.rng.randint(0, 2))]
        self.told(talk, person)

    def shared_phone(self, talk: Conversation) -> None:
        """Who of a family is meant is said afterwards."""
        family = [p for p in self.world.people if len(fitting(self.world.people, phone=p.phone)) > 1]
        if not family:
            self.plain(talk)  # type: ignore[attr-defined]  # of the class that this is mixed into
            return
        person = self.rng.choice(family)
        at_home = fitting(self.world.people, phone=person.phone)
        self.language = "en"
        talk.turns = [f"calling from {write_phone(self.rng, person.phone)}, what is the balance?"]
        match self.rng.randrange(4):
            case 0:
                talk.turns += [f"{person.name}", self.more()]
                self.told(talk, person)
            case 1:
                said, whole = say_date(self.rng, person.born, "en")
                talk.turns += [f"born {said}", self.more()]
                if whole or len([p for p in at_home if p.born.year == person.born.year]) == 1:
                    self.told(talk, person)
                talk.right = talk.right or {person.id}
            case 2:
                talk.turns += [f"not the one born in {person.born.year}", self.more()]
                left = [p for p in at_home if p.born.year != person.born.year]
                if len(left) == 1:
                    self.told(talk, left[0])
            case _:
                talk.turns += [f"the name is {self.stranger()}", self.more()]

    def supplemented(self, talk: Conversation) -> None:
        """Who was named is confirmed, or contradicted, in a second message."""
        person = self.unique()
        other = self.other(person)
        good = self.rng.random() < 0.5
        whose = person if good else other
        self.language = "en"
        said = self.pick([f"her phone number is {write_phone(self.rng, whose.phone)}", f"the email is {whose.email}",
                          f"the date of birth is {say_date(self.rng, whose.born, 'en')[0]}"])  # fmt: skip
        talk.turns = [self.pick([f"I have {person.name} on the line", self.ask(person.name)]), said, self.more()]
        if good:
            self.told(talk, person)
        elif "birth" in said and whose.born.year == person.born.year:
            talk.right = {person.id}
