"""Which field or parameter is what: as the settings say, else by their names in any case style."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from tilores_core import ConfigError
from tilores_plugins.sources.tilores.catalogue import Catalogue, Leaf, leaf_paths
from tilores_plugins.sources.tilores.settings import Settings

_SQUASH = re.compile(r"[\W_]+")
# Fields about other people: their names and numbers are not the customer's.
_OTHERS = re.compile(
    r"spouse|partner|guarantor|employer|emergency|nextofkin|agent|advis|broker|refer|parent|mother|father|child|"
    r"beneficiar|relative|manager|merchant|branch"
)

_FIRST: Final = re.compile(r"(customer)?(firstname|givenname|forename|vorname|first)")
_LAST: Final = re.compile(r"(customer)?(lastname|familyname|surname|nachname|last|family)")
_MIDDLE: Final = re.compile(r"middlename|middleinitial|secondname")
_WHOLE: Final = re.compile(r"name|fullname|customername|clientname|displayname|personname|wholename")
_BORN: Final = re.compile(r"dateofbirth|dob|birthdate|birthday|birthdt|dateborn|born|geburtsdatum")
_EMAIL: Final = re.compile(
    r"(primary|secondary|work|home|private|personal|other|customer|contact)?e?mail(s|address(es)?)?\d?"
)
_PHONE: Final = re.compile(
    r"(primary|secondary|work|home|office|mobile|cell|landline|contact|customer)?"
    r"(phone|telephone|tel|mobile|cell|cellphone|mobilephone|telefon)s?(number|no|nr)?s?\d?"
)
_CUSTOMER: Final = re.compile(r"(customer|client|cust|member|party|person)(id|number|no|nr)|kundennummer")
_RECORD_ID: Final = re.compile(r"id|recordid|recordkey")
_SYSTEM: Final = re.compile(r"system|sourcesystem|source|datasource|origin|sourceid|sourcename")
_UPDATED: Final = re.compile(r"(last)?(updated|modified)(at|on|date)?|updatedate|recorddate|receiveddate|receivedat")
_CITY: Final = re.compile(r"city|town|ort|stadt")
_POSTCODE: Final = re.compile(r"postcode|postalcode|zip|zipcode|plz")
_SINCE: Final = re.compile(r"(customer|member|client)since|signupdate|joined(at|on)|registered(at|on)")


@dataclass(frozen=True, slots=True)
class Trait:
    """A field that tells customers of one name apart.

    `kind`: `year`, `beginning` or `value`, what of the field's value is said.
    """

    label: str
    path: str
    kind: str = "value"


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


def squash(name: str) -> str:
    return _SQUASH.sub("", name).lower()


def guesses(pattern: re.Pattern[str], paths: Iterable[str]) -> list[str]:
    """Those that the pattern fits, as a whole or by the last step, outer ones first."""
    return [
        path
        for path in paths
        if not _OTHERS.search(squash(path))
        and (pattern.fullmatch(squash(path.rpartition(".")[2])) or pattern.fullmatch(squash(path)))
    ]


def guess(pattern: re.Pattern[str], paths: Iterable[str]) -> str | None:
    return next(iter(guesses(pattern, paths)), None)


def decide(catalogue: Catalogue, settings: Settings) -> Roles:
    """Which field is what. Raises `ConfigError` for a field that the settings name and the instance lacks."""
    leaves = leaf_paths(catalogue.leaves)
    paths = list(leaves)
    given = _NamedPaths(paths)
    flat = [path for path in paths if not leaves[path].is_list]
    born = given.find_one("date_of_birth_field", settings.date_of_birth_field) or guess(_BORN, flat)
    return Roles(
        record_id=guess(_RECORD_ID, [path for path in flat if "." not in path]),
        system=given.find_one("system_field", settings.system_field) or guess(_SYSTEM, flat),
        updated=given.find_one("updated_field", settings.updated_field) or _find_updated(flat, leaves),
        names=_names(given, settings.name_fields, flat),
        emails=given.many("email_fields", settings.email_fields, guesses(_EMAIL, paths)),
        phones=given.many("phone_fields", settings.phone_fields, guesses(_PHONE, paths)),
        born=born,
        customer_ids=_customer_ids(paths, settings),
        traits=_traits(given, settings.trait_fields, paths, born),
    )


class _NamedPaths:
    """What the settings name, held against what there is."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def find_one(self, setting: str, path: str | None) -> str | None:
        if path is None or path in self._paths:
            return path
        near = get_close_matches(path, self._paths, 1)
        raise ConfigError(
            f"the instance's records have no field {path!r}",
            where=f"[plugins.tilores] {setting}",
            fix=f"did you mean {near[0]!r}?" if near else f"they have: {', '.join(self._paths[:30])}",
        )

    def many(self, setting: str, paths: Iterable[str] | None, guessed: Iterable[str] = ()) -> tuple[str, ...]:
        if paths is None:
            return tuple(guessed)
        return tuple(found for path in paths if (found := self.find_one(setting, path)))


def _names(given: _NamedPaths, setting: Sequence[str] | None, flat: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    if setting is not None:
        return tuple(given.many("name_fields", map(str.strip, name.split("+"))) for name in setting)
    first, middle, last = guess(_FIRST, flat), guess(_MIDDLE, flat), guess(_LAST, flat)
    whole = guess(_WHOLE, flat)
    found: list[tuple[str, ...]] = []
    if first and last:
        found.append((first, last))
        if middle:
            found.append((first, middle, last))
    if whole and whole not in (first, last):
        found.append((whole,))
    return tuple(found)


def _customer_ids(paths: Sequence[str], settings: Settings) -> tuple[str, ...]:
    """Where a customer's number is: what looks like one, or is called as the parameter that the settings name."""
    parameter = settings.parameters.get("customer_id")
    if parameter is None:
        return tuple(guesses(_CUSTOMER, paths))
    wanted = squash(parameter.rpartition(".")[2])
    return tuple(path for path in paths if path == parameter or squash(path.rpartition(".")[2]) == wanted)


def _find_updated(flat: Sequence[str], leaves: dict[str, Leaf]) -> str | None:
    """By its name among the Time fields, else the first of those, else by its name alone."""
    times = [
        path
        for path in flat
        if leaves[path].scalar == "Time" and "." not in path and not _BORN.fullmatch(squash(path))
    ]
    return guess(_UPDATED, times) or next(iter(times), None) or guess(_UPDATED, flat)


def _traits(
    given: _NamedPaths, setting: Sequence[str] | None, paths: Sequence[str], born: str | None
) -> tuple[Trait, ...]:
    if setting is not None:
        return tuple(Trait(_words(path), path) for path in given.many("trait_fields", setting))
    guessed = (
        ("born", born, "year"),
        ("city", guess(_CITY, paths), "value"),
        ("customer since", guess(_SINCE, paths), "year"),
        ("postcode begins", guess(_POSTCODE, paths), "beginning"),
    )
    return tuple(Trait(label, path, kind) for label, path, kind in guessed if path)


def _words(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[._]", " ", path).lower()


# --- search parameters ---------------------------------------------------------------------------------------------

_PARAMETERS: Final[dict[str, re.Pattern[str]]] = {
    "customer_id": _CUSTOMER,
    "email": _EMAIL,
    "phone": _PHONE,
    "name": _WHOLE,
    "first_name": _FIRST,
    "last_name": _LAST,
    "date_of_birth": _BORN,
}


def map_parameters(catalogue: Catalogue, settings: Settings) -> dict[str, str]:
    """Our identifiers -> the instance's search parameters. Raises `ConfigError` for one that the instance lacks."""
    known = [parameter.name for parameter in catalogue.parameters]
    for path in (*settings.parameters.values(), *settings.fixed_parameters):
        if path not in known:
            close = get_close_matches(path, known, 1)
            raise ConfigError(
                f"the instance cannot be searched by {path!r}",
                where="[plugins.tilores] parameters",
                fix=f"did you mean {close[0]!r}?" if close else f"it can by: {', '.join(known[:30])}",
            )
    free = [path for path in known if path not in settings.fixed_parameters]
    mapping: dict[str, str] = {ours: found for ours in _PARAMETERS if (found := guess(_PARAMETERS[ours], free))}
    mapping.update((str(ours), theirs) for ours, theirs in settings.parameters.items())
    return mapping
