"""A person's facts dealt out to the systems that know the person."""

from __future__ import annotations

from tilores_core import Customer, Record, best_name
from tilores_plugins.sources.demo.catalogue import Field
from tilores_plugins.sources.demo.dice import Dice
from tilores_plugins.sources.demo.facts import Facts, facts_of
from tilores_plugins.sources.demo.people import EDWINA, SEED, Person, Sighting, read_data


def customer_of(person: Person, catalogue: tuple[Field, ...]) -> Customer:
    """The customer with all records; the same on every call."""
    facts = facts_of(person)
    if person.id == EDWINA:
        facts |= read_data("edwina.toml")["facts"]
    present = _present(person, facts, catalogue)
    records = tuple(_record(sighting, present, catalogue) for sighting in person.sightings)
    names = [(sighting.name, sighting.updated_at.isoformat()) for sighting in person.sightings]
    return Customer(id=person.id, name=best_name(names), records=records, traits=_traits(person))


def _present(person: Person, facts: Facts, catalogue: tuple[Field, ...]) -> Facts:
    """What the systems know: not every field of every customer, but all there is of Edwina."""
    dice = Dice(f"{SEED}/{person.id}/present")
    kept: Facts = {}
    for field in catalogue:
        known = dice.chance(field.share) or person.id == EDWINA
        value = facts.get(field.info.name)
        if known and value is not None and value != []:
            kept[field.info.name] = value
    return kept


def _record(sighting: Sighting, facts: Facts, catalogue: tuple[Field, ...]) -> Record:
    known = facts | _as_seen(sighting)
    names = [field.info.name for field in catalogue if sighting.system in field.systems]
    fields = {name: known[name] for name in names if name in known}
    return Record(
        id=sighting.record_id, system=sighting.system, fields=fields, updated_at=sighting.updated_at.isoformat()
    )


def _as_seen(sighting: Sighting) -> Facts:
    names = {"core_banking": f"{sighting.last_name}, {sighting.first_name}", "credit_bureau": sighting.name.upper()}
    return {
        "first_name": sighting.first_name,
        "last_name": sighting.last_name,
        "full_name": names.get(sighting.system, sighting.name),
        "email": sighting.email,
        "phone": sighting.phone,
        "address_line_1": sighting.address,
        "city": sighting.city,
        "postcode": sighting.postcode,
    }


def _traits(person: Person) -> dict[str, str]:
    return {
        "born": str(person.born.year),
        "city": person.place.city,
        "customer since": str(person.since.year),
        "postcode begins": person.postcode.split()[0][:3],
    }
