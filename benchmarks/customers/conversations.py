"""Conversations whose right outcome is known by construction, each from one seed.

Written from the rule ("everything that was said must fit"), not from the product's code: a conversation is made of
facts about invented customers, and `right` is what those facts leave.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from benchmarks.customers.by_number import ByNumber
from benchmarks.customers.parts import Conversation
from benchmarks.customers.people import fitting
from benchmarks.customers.phrases import PHRASES, as_heard, say_date

_NAMES = PHRASES["names"]


class Maker(ByNumber):
    """Makes one conversation."""

    def make(self) -> Conversation:
        kind = self.rng.choice(list(KINDS))
        talk = Conversation(kind, self.world, language=self.language)
        KINDS[kind](self, talk)
        if self.rng.random() < 0.3:
            talk.turns.append(self.more())
        if self.rng.random() < 0.05 and len(talk.turns) == 1:
            talk.turns.insert(0, "Hello, can you help me?")
        if self.heard:
            talk.turns = [as_heard(turn) for turn in talk.turns]
        return talk

    # --- kinds -------------------------------------------------------------------------------------------

    def plain(self, talk: Conversation) -> None:
        person = self.unique()
        talk.turns = [self.ask(self.called(person))]
        self.told(talk, person)

    def namesakes_unasked(self, talk: Conversation) -> None:
        person = self.rng.choice(
            [p for p in self.world.people if len(self.same_name(p)) > 1 and not p.generation] or [self.unique()]
        )
        talk.turns = [self.ask(f"{person.first} {person.last}")]
        if len(self.same_name(person)) == 1:
            self.told(talk, person)

    def unknown(self, talk: Conversation) -> None:
        talk.turns = [self.ask(self.stranger())]

    def number_of_something(self, talk: Conversation) -> None:
        person = self.unique()
        other = self.other(person)
        thing = self.pick(PHRASES["things"]).format(x=other.id)
        talk.turns = [
            self.pick(
                [
                    f"What is the balance of {person.name}, {thing}?",
                    f"{person.name} asks about {thing}, what is the credit limit?",
                    f"What is {person.name}'s balance ({thing})?",
                    f"About {thing}: what does {person.name} owe?",
                    f"{thing}. customer {person.id}, what is the balance?",
                ]
            )
        ]
        self.told(talk, person)

    def two_people(self, talk: Conversation) -> None:
        """The name of one with an identifier of another."""
        person = self.unique()
        other = self.other(person)
        name = self.pick([person.name, self.stranger()])
        strange = self.rng.choice(["phone", "email", "id", "born"])
        said = {
            "phone": lambda: self.pick(PHRASES["cued_phone"][self.language]).format(x=self.number_of(other)),
            "email": lambda: other.email if not self.heard else f"email {other.email}",
            "id": lambda: self.pick(PHRASES["cued_id"]).format(x=other.id),
            "born": lambda: self.pick(PHRASES["born"][self.language]).format(
                d=say_date(self.rng, other.born, self.language)[0]
            ),
        }[strange]()
        if strange == "born" and not name.startswith(person.first):
            name = person.name
        if strange == "born" and any(p.born.year == other.born.year for p in self.same_name(person)):
            self.told(talk, person)
            talk.right, talk.consistent = {person.id}, False
        if self.language == "en":
            talk.turns = [self.pick([f"{name}, {said}, what is the balance?", f"{said}, {name}. What is the balance?",
                                     f"What is the balance of {name}, {said}?"])]  # fmt: skip
        else:
            talk.turns = [f"{self.ask(name)} {said}"]

    def confirmed(self, talk: Conversation) -> None:
        """The name with an identifier that is the same customer's."""
        person = self.rng.choice(self.world.people)
        said = self.pick(
            [
                self.pick(PHRASES["cued_phone"][self.language]).format(x=self.number_of(person)),
                person.email,
                self.pick(PHRASES["cued_id"]).format(x=person.id),
                self.pick(PHRASES["born"][self.language]).format(d=say_date(self.rng, person.born, self.language)[0]),
            ]
        )
        name = person.name
        talk.turns = [
            f"{self.ask(name)} {said}"
            if self.language != "en" or self.rng.random() < 0.5
            else f"{name}, {said}, what is the balance?"
        ]
        fits = fitting(self.same_name(person))
        if said == person.email:
            fits = [p for p in fits if p.email == person.email]
        self.told(talk, person)
        if person.generation == "" and any(p.generation for p in self.same_name(person)):
            talk.consistent = False
        if said.lower().startswith(("born", "date", "dob", "her", "birth", "geb", "n", "fecha", "data")) and len(
            [p for p in self.same_name(person) if p.born.year == person.born.year]
        ) > 1:  # fmt: skip
            talk.consistent = False

    def stranger_after(self, talk: Conversation) -> None:
        person = self.unique()
        talk.turns = [self.ask(person.name, language="en"), self.pick(PHRASES["stranger"]).format(b=self.stranger())]
        self.language = "en"

    def stranger_corrected(self, talk: Conversation) -> None:
        person = self.unique()
        talk.turns = [self.ask(person.name), self.phrase("meant").format(b=self.stranger()), self.more()]

    def corrected(self, talk: Conversation) -> None:
        person = self.unique()
        right = self.unique()
        if right.id == person.id:
            self.plain(talk)
            return
        talk.turns = [self.ask(person.name), self.phrase("meant").format(b=right.name)]
        if self.rng.random() < 0.5:
            talk.turns.append(self.more())
        self.told(talk, right)

    def not_a_but_b(self, talk: Conversation) -> None:
        person, right = self.unique(), self.unique()
        unknown = self.rng.random() < 0.4
        if person.id == right.id:
            self.plain(talk)
            return
        second = self.stranger() if unknown else right.name
        talk.turns = [self.phrase("not_a_but_b").format(a=person.name, b=second)]
        if self.rng.random() < 0.5:
            talk.turns.insert(0, self.ask(person.name))
        if self.rng.random() < 0.5:
            talk.turns.append(self.more())
        if not unknown:
            self.told(talk, right)

    def relative(self, talk: Conversation) -> None:
        person = self.unique()
        self.language = "en"
        talk.turns = [self.ask(person.name), self.pick(PHRASES["relatives"])]

    def rejected(self, talk: Conversation) -> None:
        person = self.unique()
        self.language = "en"
        talk.turns = [self.ask(person.name), self.pick(PHRASES["reject"]), self.more()]

    def gone_back(self, talk: Conversation) -> None:
        first, second = self.unique(), self.unique()
        if first.id == second.id:
            self.plain(talk)
            return
        self.language = "en"
        middle = self.ask(self.stranger()) if self.rng.random() < 0.3 else self.ask(second.name)
        talk.turns = [self.ask(first.name), middle, self.pick(PHRASES["previous"])]
        self.told(talk, first)

    def longer_name(self, talk: Conversation) -> None:
        person = self.unique()
        extra = self.pick(_NAMES["unknown_last"] + _NAMES["last"])
        if extra in person.last or self.world.named(person.first, extra):
            self.plain(talk)
            return
        talk.turns = [self.ask(f"{person.first} {person.last} {extra}")]

    def generation(self, talk: Conversation) -> None:
        elder = [p for p in self.world.people if p.generation]
        if not elder:
            self.plain(talk)
            return
        person = self.rng.choice(elder)
        asked = self.pick(["Jr.", "Sr.", "III", "junior", "senior"])
        means = {"junior": "Jr.", "senior": "Sr."}.get(asked, asked)
        talk.turns = [self.ask(f"{person.first} {person.last} {asked}")]
        fits = self.world.named(person.first, person.last, means)
        if len(fits) == 1:
            self.told(talk, fits[0])

    def half_name(self, talk: Conversation) -> None:
        """A part of a name that a hyphen or a particle joins, or another particle."""
        joined = [p for p in self.world.people if "-" in p.name or (" " in p.last and p.last[0].islower())]
        if not joined:
            self.plain(talk)
            return
        person = self.rng.choice(joined)
        if "-" in person.last:
            last = self.pick(person.last.split("-"))
            name = f"{person.first} {last}"
        elif "-" in person.first:
            name = f"{self.pick(person.first.split('-'))} {person.last}"
        else:
            name = f"{person.first} {self.pick(['von der', 'van den', 'de', 'di'])} {person.last.split()[-1]}"
        first, _, last = name.partition(" ")
        if self.world.named(first, last) or name == person.name:
            self.plain(talk)
            return
        talk.turns = [self.ask(name)]

    def wrong_birth(self, talk: Conversation) -> None:
        person = self.unique()
        wrong = person.born + timedelta(days=self.rng.choice([1, 31, 366, -365, 3650, 40, -1, 800]))
        said, whole = say_date(self.rng, wrong, self.language)
        if (not whole and (wrong.year, wrong.month) == (person.born.year, person.born.month)) or (
            not whole and said == str(person.born.year)
        ):
            self.plain(talk)
            return
        born = self.phrase("born").format(d=said)
        if self.rng.random() < 0.6:
            talk.turns = [f"{self.ask(person.name)} {born}" if self.language != "en" else self.pick(
                [f"What is the balance of {person.name}, {born}?", f"{person.name} {born} what is the balance",
                 f"{person.name}, {born}: credit limit?"])]  # fmt: skip
        else:
            talk.turns = [self.ask(person.name), born, self.more()]

    def right_birth(self, talk: Conversation) -> None:
        several = [p for p in self.world.people if len(self.same_name(p)) > 1 and not p.generation]
        person = self.rng.choice(several or [self.unique()])
        if any(p.generation for p in self.same_name(person)):
            self.plain(talk)
            return
        born = self.phrase("born").format(d=say_date(self.rng, person.born, self.language)[0])
        if self.rng.random() < 0.5:
            talk.turns = [f"{self.ask(person.name)} {born}"]
        else:
            talk.turns = [self.ask(person.name), born, self.more()]
        self.told(talk, person)

    def chosen(self, talk: Conversation) -> None:
        several = [p for p in self.world.people if len(self.same_name(p)) > 1 and not p.generation]
        if not several:
            self.plain(talk)
            return
        person = self.rng.choice(several)
        if any(p.generation for p in self.same_name(person)):
            self.plain(talk)
            return
        towns = {p.city for p in self.same_name(person)}
        self.language = "en"
        right = self.rng.random() < 0.7
        town = person.city if right else self.rng.choice([c for c in _NAMES["cities"] if c not in towns])
        talk.turns = [self.ask(person.name), self.pick(PHRASES["in_city"]).format(c=town), self.more()]
        if right:
            self.told(talk, person)

    def in_one_breath(self, talk: Conversation) -> None:
        """Name and town in one message, the right town or another."""
        person = self.rng.choice([p for p in self.world.people if not p.generation])
        same = self.same_name(person)
        town = person.city if self.rng.random() < 0.6 else self.pick(_NAMES["cities"])
        fits = [p for p in same if p.city == town]
        self.language = "en"
        asks = (
            "What is the balance of {n} from {c}?",
            "{n} in {c}, what do they owe?",
            "credit limit of {n} in {c} please",
        )
        talk.turns = [self.rng.choice(asks).format(n=person.name, c=town)]
        if len(fits) == 1:
            self.told(talk, fits[0])

    def excluded(self, talk: Conversation) -> None:
        several = [p for p in self.world.people if len(self.same_name(p)) > 1 and not p.generation]
        if not several:
            self.plain(talk)
            return
        person = self.rng.choice(several)
        same = self.same_name(person)
        if any(p.generation for p in same):
            self.plain(talk)
            return
        self.language = "en"
        out = self.rng.sample(same, min(len(same) - 1, self.rng.choice([1, 1, 2])))
        talk.turns = [self.ask(person.name)]
        talk.turns += [self.pick(PHRASES["not_in_city"]).format(c=p.city) for p in out]
        talk.turns.append(self.more())
        left = [p for p in same if p not in out]
        if len(left) == 1:
            self.told(talk, left[0])

    def counted(self, talk: Conversation) -> None:
        """By its place in the list that was offered: the places are those of the customers in the file's order."""
        several = [p for p in self.world.people if len(self.same_name(p)) > 1 and not p.generation]
        if not several:
            self.plain(talk)
            return
        same = self.same_name(self.rng.choice(several))
        if any(p.generation for p in same):
            self.plain(talk)
            return
        self.language = "en"
        place = self.rng.randrange(min(len(same), 5))
        nth = PHRASES["the_nth"]
        talk.turns = [
            self.ask(same[0].name),
            self.pick([*PHRASES["ordinal"], "number {k}"]).format(o=nth[place], k=place + 1),
        ]
        right = same[place]
        if self.rng.random() < 0.4:
            again = self.rng.randrange(min(len(same), 5))
            talk.turns.append(f"sorry, I meant the {nth[again]}")
            right = same[again]
        elif len(same) == 2 and self.rng.random() < 0.5:
            talk.turns.append(self.pick(["no, the other one", "the other one please", "sorry the other one"]))
            right = same[1 - place]
        talk.turns.append(self.more())
        self.told(talk, right)


KINDS: dict[str, Callable[[Maker, Conversation], None]] = {
    name: getattr(Maker, name)
    for name in (
        *(
            "plain",
            "namesakes_unasked",
            "unknown",
            "number_of_something",
            "two_people",
            "confirmed",
            "stranger_after",
        ),
        *("stranger_corrected", "corrected", "not_a_but_b", "relative", "rejected", "gone_back", "longer_name"),
        *("generation", "half_name", "wrong_birth", "right_birth", "chosen", "in_one_breath", "excluded", "counted"),
        *("by_phone", "by_id", "carried_on", "shared_phone", "supplemented"),
    )
}


def make_conversation(seed: int) -> Conversation:
    """The conversation of a seed, the same on every machine."""
    return Maker(seed).make()
