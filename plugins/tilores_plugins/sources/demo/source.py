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
        self._customer = lru_cache(maxsize=_KEPT)(self._make)

    async def get(self, customer_id: str) -> Customer | None:
        found = self._ids.get(customer_id.strip().casefold())
        return self._customer(found) if found else None

    async def find(self, identifiers: Identifiers, *, limit: int = 10) -> Sequence[Customer]:
        ids = self._matches(identifiers) if identifiers else []
        return [self._customer(found) for found in ids[:limit]]

    async def schema(self) -> SourceSchema:
        return self._schema

    async def customer_ids(self, *, limit: int) -> Sequence[str]:
        return list(self._people)[:limit]

    async def aclose(self) -> None:
        self._customer.cache_clear()

    def mentions(self, text: str) -> Sequence[Identifiers]:
        return find_mentions(
            text, is_word=self._words.__contains__, is_name=self._is_name, is_id=self._ids.__contains__
        )

    def _make(self, customer_id: str) -> Customer:
        return customer_of(self._people[customer_id], self._catalogue)

    def _is_name(self, key: str) -> bool:
        return f"name:{key}" in self._index

    def _add(self, person: Person) -> None:
        keys: dict[str, None] = {f"born:{person.born.isoformat()}": None}
        for sighting in person.sightings:
            keys[f"email:{normalise_email(sighting.email)}"] = None
            keys[f"phone:{normalise_phone(sighting.phone, person.place.country)}"] = None
        for name, family in _spellings(person):
            self._words.update(name_words(name))
            keys.update((f"name:{key}", None) for key in name_keys(name, family))
        for key in keys:
            self._index[key].append(person.id)

    def _matches(self, wanted: Identifiers) -> list[str]:
        """The ids of the customers that everything fits, in the order of the data set."""
        candidates: list[Iterable[str]] = []
        if wanted.customer_id:
            candidates.append(filter(None, [self._ids.get(wanted.customer_id.strip().casefold())]))
        if wanted.email:
            candidates.append(self._index.get(f"email:{normalise_email(wanted.email)}", ()))
        if wanted.phone:
            candidates.append(self._index.get(f"phone:{normalise_phone(wanted.phone)}", ()))
        if wanted.date_of_birth:
            candidates.append(self._index.get(f"born:{wanted.date_of_birth}", ()))
        if wanted.name and not candidates:
            candidates = [self._find_by_name(wanted.name)]
        left = dict.fromkeys(candidates[0])
        for others in candidates[1:]:
            keep = set(others)
            left = {found: None for found in left if found in keep}
        return [found for found in left if not wanted.name or self._fits(found, wanted.name)]

    def _find_by_name(self, name: str) -> list[str]:
        found = {person: None for key in query_keys(name) for person in self._index.get(f"name:{key}", ())}
        return sorted(found, key=self._places.__getitem__)

    def _fits(self, customer_id: str, name: str) -> bool:
        return name_fits(name, _spellings(self._people[customer_id]))


def _spellings(person: Person) -> list[tuple[str, str]]:
    """Every full name the records have, with the family name."""
    spellings = {f"{person.first_name} {person.middle_name} {person.last_name}": person.last_name}
    spellings |= {sighting.name: sighting.last_name for sighting in person.sightings}
    return list(spellings.items())
