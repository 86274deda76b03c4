"""Which field or parameter is what: as the settings say, else by their names in any case style."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tilores_plugins.sources.fields import (
    BORN,
    CUSTOMER_ID,
    EMAIL,
    FIRST_NAME,
    LAST_NAME,
    PHONE,
    RECORD_ID,
    SYSTEM,
    UPDATED,
    WHOLE_NAME,
    NamedFields,
    Trait,
    guess,
    guess_names,
    guess_traits,
    guesses,
    is_whole,
    squash,
)
from tilores_plugins.sources.tilores.catalogue import Catalogue, Leaf, leaf_paths
from tilores_plugins.sources.tilores.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Dotted paths into a record. `names`: each a whole name, made of one path or several."""

    record_id: str | None
    system: str | None
    updated: str | None
    names: tuple[tuple[str, ...], ...]
    emails: tuple[str, ...]
    phones: tuple[str, ...]
    born: str | None
    customer_ids: tuple[str, ...]
    traits: tuple[Trait, ...]

    def paths(self) -> tuple[str, ...]:
        """All of them, the weightiest first."""
        single = (self.record_id, self.system, self.updated, self.born)
        names = (path for name in self.names for path in name)
        traits = (trait.path for trait in self.traits)
        every = (*single, *names, *self.emails, *self.phones, *self.customer_ids, *traits)
        return tuple(dict.fromkeys(path for path in every if path))

    def within(self, paths: Collection[str]) -> Roles:
        """The same without identifiers in fields that are not read, as the settings may leave some out."""

        def read(found: Iterable[str]) -> tuple[str, ...]:
            return tuple(path for path in found if path in paths)

        return replace(
            self,
            names=tuple(name for name in self.names if read(name) == name),
            emails=read(self.emails),
            phones=read(self.phones),
            born=self.born if self.born in paths else None,
            customer_ids=read(self.customer_ids),
        )

    def identifying(self) -> tuple[str, ...]:
        born = (self.born,) if self.born else ()
        names = (path for name in self.names for path in name)
        return tuple(dict.fromkeys((*names, *born, *self.emails, *self.phones)))


def decide(catalogue: Catalogue, settings: Settings) -> Roles:
    """Which field is what. Raises `ConfigError` for a field that the settings name and the instance lacks."""
    leaves = leaf_paths(catalogue.leaves)
    paths = list(leaves)
    given = NamedFields(paths, "[plugins.tilores]")
    flat = [path for path in paths if not leaves[path].is_list]
    born = given.find("date_of_birth_field", settings.date_of_birth_field) or guess(BORN, flat)
    return Roles(
        record_id=guess(RECORD_ID, [path for path in flat if "." not in path]),
        system=given.find("system_field", settings.system_field) or guess(SYSTEM, flat),
        updated=given.find("updated_field", settings.updated_field) or _find_updated(flat, leaves),
        names=guess_names(flat)
        if settings.name_fields is None
        else given.find_names("name_fields", settings.name_fields),
        emails=_given_or_guessed(given, "email_fields", settings.email_fields, EMAIL, paths),
        phones=_given_or_guessed(given, "phone_fields", settings.phone_fields, PHONE, paths),
        born=born,
        customer_ids=_customer_ids(paths, settings),
        traits=guess_traits(paths, born)
        if settings.trait_fields is None
        else tuple(Trait(_words(path), path) for path in given.find_all("trait_fields", settings.trait_fields)),
    )


def _given_or_guessed(
    given: NamedFields, setting: str, named: Sequence[str] | None, kind: Sequence[str], paths: Sequence[str]
) -> tuple[str, ...]:
    return tuple(guesses(kind, paths)) if named is None else given.find_all(setting, named)


def _customer_ids(paths: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Where a customer's number is: what looks like one, or is called as the parameter that the settings name."""
    parameter = settings.parameters.get("customer_id")
    if parameter is None:
        return tuple(guesses(CUSTOMER_ID, paths))
    wanted = squash(parameter.rpartition(".")[2])
    return tuple(path for path in paths if path == parameter or squash(path.rpartition(".")[2]) == wanted)


def _find_updated(flat: Sequence[str], leaves: dict[str, Leaf]) -> str | None:
    """By its name among the Time fields, else the first of those, else by its name alone."""
    times = [path for path in flat if leaves[path].scalar == "Time" and "." not in path and not is_whole(BORN, path)]
    return guess(UPDATED, times) or next(iter(times), None) or guess(UPDATED, flat)


def _words(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[._]", " ", path).lower()


# --- search parameters ---------------------------------------------------------------------------------------------

_PARAMETERS: Final = {
    "customer_id": CUSTOMER_ID,
    "email": EMAIL,
    "phone": PHONE,
    "name": WHOLE_NAME,
    "first_name": FIRST_NAME,
    "last_name": LAST_NAME,
    "date_of_birth": BORN,
}


def map_parameters(catalogue: Catalogue, settings: Settings) -> dict[str, str]:
    """Our identifiers -> the instance's search parameters. Raises `ConfigError` for one that the instance lacks."""
    known = [parameter.name for parameter in catalogue.parameters]
    NamedFields(known, "[plugins.tilores]").find_all(
        "parameters", (*settings.parameters.values(), *settings.fixed_parameters)
    )
    free = [path for path in known if path not in settings.fixed_parameters]
    mapping: dict[str, str] = {ours: found for ours, kind in _PARAMETERS.items() if (found := guess(kind, free))}
    mapping.update((str(ours), theirs) for ours, theirs in settings.parameters.items())
    return mapping
