"""What the columns mean: as the settings say, else by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tilores_core import ConfigError
from tilores_plugins.sources.file.settings import Settings

Column = tuple[str, ...]  # the keys to follow, more than one for a column inside an object

_SQUASH = re.compile(r"[\W_]+")

_IDS = (
    *("customerid", "customernumber", "customerno", "custid", "customer", "clientid", "clientnumber"),
    *("entityid", "personid", "partyid", "memberid", "accountholderid", "userid", "kundennummer", "id"),
)
_RECORD_IDS = ("recordid", "rowid", "sourcerecordid", "recordkey", "id")
_SYSTEMS = ("system", "sourcesystem", "source", "datasource", "origin")
_UPDATED = (
    *("updatedat", "lastupdated", "lastupdatedat", "modifiedat", "lastmodified", "updatedon", "updated"),
    *("recorddate", "receiveddate", "createdat", "timestamp"),
)
_NAMES = ("name", "fullname", "customername", "clientname", "displayname", "personname")
_FIRST = ("firstname", "givenname", "forename", "first", "vorname")
_MIDDLE = ("middlename", "middleinitial", "secondname")
_LAST = ("lastname", "familyname", "surname", "last", "nachname")
_NICKNAMES = ("nickname", "preferredname", "knownas", "alias")
_BORN = ("dateofbirth", "dob", "birthdate", "birthday", "birthdt", "born", "geburtsdatum")
_EMAIL = re.compile(
    r"(primary|secondary|work|home|private|personal|other|customer|contact)?e?mail(address)?\d?", re.ASCII
)
_PHONE = re.compile(
    r"(primary|secondary|work|home|office|mobile|cell|landline|contact|customer)?"
    r"(phone|telephone|tel|mobile|cell|cellphone|mobilephone)(number|no|nr)?\d?",
    re.ASCII,
)
_CITY = ("city", "town", "ort", "stadt")
_POSTCODE = ("postcode", "postalcode", "zip", "zipcode", "plz")
_SINCE = ("customersince", "membersince", "clientsince", "signupdate", "joinedat", "joinedon", "registeredat")


@dataclass(frozen=True, slots=True)
class Name:
    """A spelling of the customer's name: columns to join, and which of them is the family name."""

    parts: tuple[Column, ...]
    family: Column | None = None


@dataclass(frozen=True, slots=True)
class Trait:
    """`kind`: `year`, `beginning` or `value`, what of the column's value is shown."""

    label: str
    column: Column
    kind: str = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    id: Column
    record_id: Column | None
    system: Column | None
    updated: Column | None
    names: tuple[Name, ...]
    emails: tuple[Column, ...]
    phones: tuple[Column, ...]
    born: Column | None
    traits: tuple[Trait, ...]

    def texts(self) -> frozenset[str]:
        """First keys of the columns whose values stay text: identifiers are not numbers."""
        single = (self.id, self.record_id, *self.emails, *self.phones, *(p for n in self.names for p in n.parts))
        return frozenset(column[0] for column in single if column)


def value_at(fields: Mapping[str, Any], column: Column) -> Any:
    """The value, None when it or an object on the way is missing."""
    value = fields.get(column[0])
    for key in column[1:]:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def texts_at(fields: Mapping[str, Any], column: Column | None) -> Sequence[str]:
    """The value as text, or of a list each; empty when there is none."""
    value = value_at(fields, column) if column else None
    if isinstance(value, list):
        return [text for item in value if (text := _text(item))]
    return (text,) if (text := _text(value)) else ()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def text_at(fields: Mapping[str, Any], column: Column | None) -> str | None:
    texts = texts_at(fields, column)
    return texts[0] if texts else None


def column_names(fields: Mapping[str, Any], prefix: str = "", depth: int = 4) -> Iterator[str]:
    """The columns of a row, those inside objects with dots."""
    for key, value in fields.items():
        if isinstance(value, Mapping) and value and depth:
            yield from column_names(value, f"{prefix}{key}.", depth - 1)
        else:
            yield f"{prefix}{key}"


def decide(settings: Settings, known: Sequence[str], path: Path) -> Columns:
    """Which column is what. `known`: the columns seen. Raises `ConfigError` when the customer's id cannot be told."""
    choice = _Choice(known, path)
    identity = choice.given("id_column", settings.id_column) or choice.guess(_IDS)
    if identity is None:
        raise ConfigError(
            "no column names the customer; the columns are " + _listed(known),
            where=str(path),
            fix='say which in [plugins.file]: id_column = "…"',
        )
    record_id = choice.given("record_id_column", settings.record_id_column) or choice.guess(_RECORD_IDS)
    born = choice.given("date_of_birth_column", settings.date_of_birth_column) or choice.guess(_BORN)
    return Columns(
        id=identity,
        record_id=record_id if record_id != identity else None,
        system=choice.given("system_column", settings.system_column) or choice.guess(_SYSTEMS),
        updated=choice.given("updated_column", settings.updated_column) or choice.guess(_UPDATED),
        names=_names(choice, settings.name_columns),
        emails=choice.all_given("email_columns", settings.email_columns, _EMAIL),
        phones=choice.all_given("phone_columns", settings.phone_columns, _PHONE),
        born=born,
        traits=_traits(choice, settings.trait_columns, born),
    )


class _Choice:
    """The columns there are, to be chosen from."""

    def __init__(self, known: Sequence[str], path: Path) -> None:
        self._known = known
        self._path = path
        self._whole: dict[str, str] = {}
        self._last: dict[str, str] = {}
        for name in known:
            self._whole.setdefault(_squash(name), name)
            self._last.setdefault(_squash(name.rpartition(".")[2]), name)

    def given(self, setting: str, name: str | None) -> Column | None:
        if name is None:
            return None
        if name not in self._known:
            near = get_close_matches(name, self._known, n=1)
            raise ConfigError(
                f"{setting} = {name!r}: there is no such column; the columns are {_listed(self._known)}",
                where=str(self._path),
                fix=f"did you mean {near[0]!r}?" if near else "use one of those",
            )
        return self._column(name)

    def all_given(self, setting: str, names: Iterable[str] | None, looks_like: re.Pattern[str]) -> tuple[Column, ...]:
        if names is not None:
            return tuple(column for name in names if (column := self.given(setting, name)))
        return tuple(
            self._column(name)
            for name in self._known
            if looks_like.fullmatch(_squash(name.rpartition(".")[2])) or looks_like.fullmatch(_squash(name))
        )

    def guess(self, candidates: Iterable[str]) -> Column | None:
        candidates = tuple(candidates)
        for names in (self._whole, self._last):
            for candidate in candidates:
                if candidate in names:
                    return self._column(names[candidate])
        return None

    def _column(self, name: str) -> Column:
        return tuple(name.split(".")) if "." in name else (name,)


def _names(choice: _Choice, given: tuple[str, ...] | None) -> tuple[Name, ...]:
    if given is not None:
        parts = [[choice.given("name_columns", part.strip()) for part in name.split("+")] for name in given]
        names = [tuple(column for column in columns if column) for columns in parts]
        return tuple(Name(columns, columns[-1] if len(columns) > 1 else None) for columns in names)
    found: list[Name] = []
    first, middle, last = choice.guess(_FIRST), choice.guess(_MIDDLE), choice.guess(_LAST)
    nickname, whole = choice.guess(_NICKNAMES), choice.guess(_NAMES)
    if first and last:
        found.append(Name((first, last), last))
        if middle:
            found.append(Name((first, middle, last), last))
    if nickname and last:
        found.append(Name((nickname, last), last))
    if whole and whole not in {first, last, nickname}:
        found.append(Name((whole,)))
    return tuple(found)


def _traits(choice: _Choice, given: tuple[str, ...] | None, born: Column | None) -> tuple[Trait, ...]:
    if given is not None:
        return tuple(
            Trait(name.replace("_", " ").replace(".", " "), column)
            for name in given
            if (column := choice.given("trait_columns", name))
        )
    guessed = (
        ("born", born, "year"),
        ("city", choice.guess(_CITY), "value"),
        ("customer since", choice.guess(_SINCE), "year"),
        ("postcode begins", choice.guess(_POSTCODE), "beginning"),
    )
    return tuple(Trait(label, column, kind) for label, column, kind in guessed if column)


def _squash(name: str) -> str:
    return _SQUASH.sub("", name).lower()


def _listed(names: Sequence[str], most: int = 30) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown or "none"
