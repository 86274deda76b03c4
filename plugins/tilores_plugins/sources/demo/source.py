"""The demo source: an index of all customers in memory, records made when first requested."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from tilores_core import (
    Customer,
    Identifiers,
    PluginContext,
    SourceSchema,
    find_mentions,
    name_fits,
    name_keys,
    name_words,
    normalise_email,
    normalise_phone,
    query_keys,
)
from tilores_plugins.sources.demo.catalogue import load_catalogue, schema_of
from tilores_plugins.sources.demo.people import Person, build_people
from tilores_plugins.sources.demo.records import customer_of

_KEPT = 256  # customers whose records are kept; to make one takes under a millisecond


class Settings(BaseModel):
    """The demo source has no settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def build(context: PluginContext) -> DemoSource:
    return DemoSource()


class DemoSource:
    """A `CustomerSource` that also spots its customers' names and ids in text (`SupportsMentions`)."""

    def __init__(self) -> None:
        self._catalogue = load_catalogue()
        self._schema = schema_of(self._catalogue)
        self._people = {person.id: person for person in build_people()}
        self._places = {person_id: place for place, person_id in enumerate(self._people)}
        self._ids = {person_id.casefold(): person_id for person_id in self._people}
        self._words: set[str] = set()
        self._index: dict[str, list[str]] = defaultdict(list)
        for person in self._people.values():
            self._add(person)
        self._customer = lru_cache(maxsize=_KEPT)(lambda found: customer_of(self._people[found], self._catalogue))

    async def get(self, customer_id: str) -> Customer | None:
        found = self._ids.get(customer_id.strip().casefold())
        return self._customer(found) if found else None

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        return [self._customer(found) for found in (self._matches(identifiers) if identifiers else [])[:limit]]

    async def schema(self) -> SourceSchema:
        return self._schema

    async def customer_ids(self, *, limit: int) -> Sequence[str]:
        return list(self._people)[:limit]

    async def aclose(self) -> None:
        self._customer.cache_clear()

    def mentions(self, text: str) -> Sequence[Identifiers]:
        return find_mentions(
            text,
            is_word=self._words.__contains__,
            is_name=lambda key: f"name:{key}" in self._index,
            is_id=self._ids.__contains__,
        )

    def _add(self, person: Person) -> None:
        keys = {f"born:{person.born.isoformat()}"}
        for sighting in person.sightings:
            keys.add(f"email:{normalise_email(sighting.email)}")
            keys.add(f"phone:{normalise_phone(sighting.phone, person.place.country)}")
        for name, family in _spellings(person):
            self._words.update(name_words(name))
            keys.update(f"name:{key}" for key in name_keys(name, family))
        for key in keys:
            self._index[key].append(person.id)

    def _matches(self, wanted: Identifiers) -> list[str]:
        """The ids of the customers that everything fits, in the order of the data set."""
        index = self._index
        candidates: list[Iterable[str]] = []
        if wanted.customer_id:
            candidates.append(filter(None, [self._ids.get(wanted.customer_id.strip().casefold())]))
        if wanted.email:
            candidates.append(index.get(f"email:{normalise_email(wanted.email)}", ()))
        if wanted.phone:
            candidates.append(index.get(f"phone:{normalise_phone(wanted.phone)}", ()))
        if wanted.date_of_birth:
            candidates.append(index.get(f"born:{wanted.date_of_birth}", ()))
        if wanted.name and not candidates:
            candidates.append(person for key in query_keys(wanted.name) for person in index.get(f"name:{key}", ()))
        fitting = set.intersection(*map(set, candidates))
        if wanted.name:
            fitting = {found for found in fitting if name_fits(wanted.name, _spellings(self._people[found]))}
        return sorted(fitting, key=self._places.__getitem__)


def _spellings(person: Person) -> list[tuple[str, str]]:
    """Every full name the records have, with the family name."""
    spellings = {f"{person.first_name} {person.middle_name} {person.last_name}": person.last_name}
    spellings |= {sighting.name: sighting.last_name for sighting in person.sightings}
    return list(spellings.items())
