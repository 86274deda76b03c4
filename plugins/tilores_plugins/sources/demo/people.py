"""Who the demo's customers are, and under what names and addresses the systems know them.

Built at once for all, as look-ups need it; the hundreds of facts about each are made when asked for.
"""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib.resources import files
from typing import Any

from tilores_core import normalise_name
from tilores_plugins.sources.demo.dice import Dice

SEED = "tilores-demo-1"
AS_OF = date(2025, 6, 30)
CUSTOMERS = 520
EDWINA = "EDW_HAWTHORNE_001"

_DOMAINS = ("example.com", "example.org", "example.net")
_OPTIONAL_SYSTEMS = {"call_center": 0.95, "credit_bureau": 0.93, "web_portal": 0.8, "marketing": 0.5, "branch": 0.35}
_SLOW_SYSTEMS = frozenset({"marketing", "branch"})
_MOST_RECORDS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    country: str
    city: str
    region: str
    postcode: str
    lat: float
    lon: float
    timezone: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one system believes a customer to be called and to live."""

    system: str
    record_id: str
    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    city: str
    postcode: str
    updated_at: date

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """The truth about a customer, and the sightings that more or less agree with it."""

    id: str
    female: bool
    first_name: str
    middle_name: str
    last_name: str
    nickname: str | None
    born: date
    place: Place
    address: str
    postcode: str
    email: str
    phone: str
    since: date
    moved_in: date
    old_place: Place
    old_address: str
    old_postcode: str
    sightings: tuple[Sighting, ...]

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


def read_data(name: str) -> dict[str, Any]:
    """A data file of this package."""
    return tomllib.loads(files(__package__).joinpath("data", name).read_text(encoding="utf-8"))


def build_people() -> list[Person]:
    """All customers, Edwina first; the same on every call."""
    return _Town().people()


class _Town:
    def __init__(self) -> None:
        places = read_data("places.toml")
        self._names = read_data("names.toml")
        self._countries = {code: country["share"] for code, country in places["country"].items()}
        self._streets = {code: country["streets"] for code, country in places["country"].items()}
        self._places: dict[str, list[Place]] = defaultdict(list)
        for place in places["place"]:
            self._places[place["country"]].append(Place(**place))
        self._dice = Dice(SEED)
        self._phones: Counter[str] = Counter()
        self._ids: Counter[str] = Counter()
        self._emails: Counter[str] = Counter()

    def people(self) -> list[Person]:
        people = [self._edwina()]
        taken = {people[0].name}
        for name, count in self._names["namesakes"].items():
            taken.add(name)
            people += [self._person(name, age_group) for age_group in range(count)]
        while len(people) < CUSTOMERS:
            country = self._dice.pick_weighted(self._countries)
            female = self._dice.chance(0.5)
            pool = self._names[country]
            first, last = self._dice.pick(pool["female" if female else "male"]), self._dice.pick(pool["family"])
            if f"{first} {last}" not in taken:
                taken.add(f"{first} {last}")
                people.append(self._new(first, last, female, country, self._birth(1945, 2005)))
        return people

    def _person(self, name: str, age_group: int) -> Person:
        """One of several namesakes: their ages lie well apart."""
        first, last = name.split(" ", 1)
        country = "DE" if last == "Becker" else "SE" if last == "Lindgren" else ("US", "GB", "CA")[age_group]
        female = first in {"Sarah", "Emma", "Julia"}
        return self._new(first, last, female, country, self._birth(1951 + 16 * age_group, 1962 + 16 * age_group))

    def _birth(self, first_year: int, last_year: int) -> date:
        return self._dice.day(date(first_year, 1, 1), date(last_year, 12, 31))

    def _new(self, first: str, last: str, female: bool, country: str, born: date) -> Person:
        dice = self._dice
        place, old_place = dice.pick(self._places[country]), dice.pick(self._places[country])
        address, old_address = self._address(country), self._address(country)
        middle = dice.pick(self._names[country]["female" if female else "male"])
        grown_up = born.replace(year=born.year + 18, day=min(born.day, 28))
        since = dice.day(max(grown_up, date(1998, 1, 5)), AS_OF - timedelta(days=200))
        person = Person(
            id=self._id(first, last),
            female=female,
            first_name=first,
            middle_name=middle,
            last_name=last,
            nickname=self._names["nicknames"].get(first),
            born=born,
            place=place,
            address=address,
            postcode=dice.fill(place.postcode),
            email=self._email(first, last),
            phone=self._phone(place),
            since=since,
            moved_in=dice.day(grown_up, AS_OF - timedelta(days=90)),
            old_place=old_place,
            old_address=old_address,
            old_postcode=dice.fill(old_place.postcode),
            sightings=(),
        )
        return replace(person, sightings=tuple(self._sightings(person)))

    def _address(self, country: str) -> str:
        street, number = self._dice.pick(self._streets[country]), self._dice.between(1, 180)
        return f"{street} {number}" if country in {"DE", "SE"} else f"{number} {street}"

    def _id(self, first: str, last: str) -> str:
        family = normalise_name(last).replace(" ", "").upper()
        stem = f"{normalise_name(first).replace(' ', '')[:3].upper()}_{family}"
        self._ids[stem] += 1
        return f"{stem}_{self._ids[stem]:03d}"

    def _email(self, first: str, last: str) -> str:
        local = ".".join(normalise_name(part).replace(" ", "") for part in (first, last))
        self._emails[local] += 1
        number = "" if self._emails[local] == 1 else str(self._emails[local])
        return f"{local}{number}@{self._dice.pick(_DOMAINS)}"

    def _phone(self, place: Place) -> str:
        """The next free number of the town; numbers from 42 on are taken in an order that looks like chance."""
        size = 10 ** place.phone.count("#")
        self._phones[place.phone] += 1
        digits = iter(f"{(42 + 37 * (self._phones[place.phone] - 1)) % size:0{place.phone.count('#')}d}")
        return "".join(next(digits) if c == "#" else c for c in place.phone)

    def _sightings(self, person: Person) -> list[Sighting]:
        dice = self._dice
        chosen = [name for name, share in _OPTIONAL_SYSTEMS.items() if dice.chance(share)] or ["credit_bureau"]
        systems = ["crm", "core_banking", *chosen][:_MOST_RECORDS]
        sightings = [self._true_sighting(person, system) for system in systems]
        # Fewer than half of the records are wrong about any one thing, and never the CRM's.
        wrong = (len(systems) - 1) // 2
        for index in dice.some(range(1, len(systems)), wrong):
            if dice.chance(0.6):
                sightings[index] = self._misspelt(sightings[index], person)
        for index in dice.some(range(1, len(systems)), wrong):
            if dice.chance(0.6):
                sightings[index] = self._make_outdated(sightings[index], person)
        return sightings

    def _true_sighting(self, person: Person, system: str) -> Sighting:
        number = self._dice.between(100_000, 999_999)
        return Sighting(
            system=system,
            record_id=f"{system}-{person.id.lower()}-{number}",
            first_name=person.first_name,
            last_name=person.last_name,
            email=person.email,
            phone=person.phone,
            address=person.address,
            city=person.place.city,
            postcode=person.postcode,
            # Most systems deliver every night, some irregularly.
            updated_at=AS_OF - timedelta(days=self._dice.between(5, 60) if system in _SLOW_SYSTEMS else 0),
        )

    def _misspelt(self, sighting: Sighting, person: Person) -> Sighting:
        if person.nickname and self._dice.chance(0.6):
            return replace(sighting, first_name=person.nickname)
        if self._dice.chance(0.5):
            return replace(sighting, last_name=self._typo(person.last_name))
        local, _, domain = person.email.partition("@")
        return replace(sighting, email=f"{self._typo(local)}@{domain}")

    def _make_outdated(self, sighting: Sighting, person: Person) -> Sighting:
        if self._dice.chance(0.35):
            return replace(sighting, phone=self._phone(person.old_place))
        return replace(sighting, address=person.old_address, city=person.old_place.city, postcode=person.old_postcode)

    def _typo(self, word: str) -> str:
        """Two neighbouring letters change places; never the first."""
        at = self._dice.between(1, max(1, len(word) - 3))
        return word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :] if len(word) > at + 1 else word

    def _edwina(self) -> Person:
        data = read_data("edwina.toml")
        by_city = {place.city: place for places in self._places.values() for place in places}
        person, sightings = data["person"], data["sighting"]
        self._id(person["first_name"], person["last_name"])
        self._email(person["first_name"], person["last_name"])
        self._phone(by_city[person["place"]])
        self._phone(by_city[person["old_place"]])
        return Person(
            **(person | {"place": by_city[person["place"]], "old_place": by_city[person["old_place"]]}),
            sightings=tuple(Sighting(**sighting) for sighting in sightings),
        )
