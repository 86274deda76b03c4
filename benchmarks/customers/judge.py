"""Runs conversations through the customer finder, over a source in memory, and judges what comes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.customers.parts import Conversation
from benchmarks.customers.people import Person, World
from tilores_core import Customer, Identifiers, Record, SourceSchema, find_mentions, name_fits, name_keys, name_words
from tilores_core.chat.customer.finder import CustomerFinder, clarification
from tilores_core.contracts import Message
from tilores_core.identity import normalise_phone
from tilores_core.spectrums import classify


class Source:
    """A customer source over a world; with `spots` it knows its customers in free text."""

    def __init__(self, world: World) -> None:
        self._people = {person.id: person for person in world.people}

    async def get(self, customer_id: str) -> Customer | None:
        person = self._people.get(customer_id)
        return _customer(person) if person else None

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        return [_customer(person) for person in self._people.values() if _fits(person, identifiers)][:limit]

    async def schema(self) -> SourceSchema:
        return SourceSchema(fields=(), hash="0")

    async def aclose(self) -> None:
        return None


class SpottingSource(Source):
    """One that spots its customers' names and ids."""

    def mentions(self, text: str) -> Sequence[Identifiers]:
        people = self._people.values()
        words = {word for p in people for word in name_words(p.name)}
        names = {key for p in people for key in name_keys(p.name, p.last)}
        ids = {p.id.casefold() for p in people}
        return find_mentions(text, is_word=words.__contains__, is_name=names.__contains__, is_id=ids.__contains__)


def _fits(person: Person, who: Identifiers) -> bool:
    return (
        (who.customer_id is None or who.customer_id == person.id)
        and (who.email is None or who.email == person.email)
        and (who.phone is None or who.phone == normalise_phone(person.phone))
        and (who.date_of_birth is None or who.date_of_birth == person.born.isoformat())
        and (who.name is None or name_fits(who.name, [(person.name, person.last)]))
        and (who.name is None or len(who.name.split()) > 1 or bool(who.customer_id or who.email or who.phone))
    )


def _customer(person: Person) -> Customer:
    fields = {
        "first_name": person.first,
        "last_name": person.last,
        "date_of_birth": person.born.isoformat(),
        "city": person.city,
        "email": person.email,
        "phone": person.phone,
    }
    return Customer(
        id=person.id,
        name=person.name,
        records=(Record(id=f"r-{person.id}", system="crm", fields=fields),),
        traits={"born": str(person.born.year), "city": person.city},
    )


@dataclass
class Score:
    """Of one kind: how many, how many wrong, how many consistent, how many of those were refused."""

    count: int = 0
    wrong: int = 0
    consistent: int = 0
    refused: int = 0
    examples: list[str] = field(default_factory=list)


async def outcome_of(talk: Conversation, *, spots: bool) -> tuple[str, str]:
    """The customer's id, or the kind of outcome, and the reason."""
    finder = CustomerFinder(SpottingSource(talk.world) if spots else Source(talk.world), "US")
    messages: list[Message] = []
    said: list[str] = []
    found = None
    for turn in talk.turns:
        messages.append({"role": "user", "content": turn})
        found = await finder.resolve(messages, None, spectrum=classify(turn))
        asked = found.outcome.kind in ("none", "several")
        said.append(clarification(found.outcome, said) if asked else "Certainly.")
        messages.append({"role": "assistant", "content": said[-1]})
    assert found is not None
    return found.outcome.customer_id or found.outcome.kind, found.reason


async def judge(talks: Sequence[Conversation], *, examples: int = 0) -> dict[str, Score]:
    """Scores by kind. `examples`: conversations that went wrong, of each kind, to be shown."""
    scores: dict[str, Score] = defaultdict(Score)
    ids = {"none", "several", "unnamed"}
    for number, talk in enumerate(talks):
        score = scores[talk.kind]
        who, reason = await outcome_of(talk, spots=number % 2 == 0)
        score.count += 1
        score.consistent += talk.consistent
        wrong = who not in ids and who not in talk.right
        refused = talk.consistent and who in ids
        score.wrong += wrong
        score.refused += refused
        if (wrong or refused) and len(score.examples) < examples:
            people = [
                f"{p.id} {p.name} {p.born} {p.city} {p.phone}"
                for p in talk.world.people
                if p.id in {*talk.right, who}
            ]
            score.examples.append(
                f"{'WRONG' if wrong else 'refused'} {talk.turns} -> {who} ({reason}), right {talk.right} {people}"
            )
    return dict(scores)
