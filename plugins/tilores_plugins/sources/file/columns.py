"""What the columns mean: as the settings say, else by their names, checked against the rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilores_core import ConfigError, DateOrder, Locale
from tilores_plugins.sources.fields import (
    BORN,
    CUSTOMER_ID,
    EMAIL,
    OTHER_ID,
    PHONE,
    RECORD_ID,
    SYSTEM,
    UPDATED,
    NamedFields,
    Trait,
    format_names,
    guess,
    guess_names,
    guess_traits,
    guesses,
    is_whole,
    squash,
)
from tilores_plugins.sources.file.profile import Column, Profile, value_at
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.values import as_text, cell, is_empty, stays_text

_CONTACT_VALUE = (*EMAIL, *PHONE, "value|number|address")


@dataclass(frozen=True, slots=True)
class Name:
    """A spelling of the customer's name: columns to join, and which of them is the family name."""

    parts: tuple[Column, ...]
    family: Column | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what. `orders`: of columns with dates, which number is first in 4/12/1980."""

    id: Column
    record_id: Column | None
    system: Column | None
    updated: Column | None
    names: tuple[Name, ...]
    emails: tuple[Column, ...]
    phones: tuple[Column, ...]
    born: Column | None
    traits: tuple[tuple[Trait, Column], ...]
    orders: Mapping[Column, DateOrder]
    point_zero: frozenset[Column]
    numeric: frozenset[str]  # whose values are numbers, or NA

    def texts(self) -> frozenset[str]:
        """First keys of the columns whose values stay text: identifiers are not numbers."""
        single = (self.id, self.record_id, *self.emails, *self.phones, *(p for n in self.names for p in n.parts))
        return frozenset(column[0] for column in single if column)


def texts_at(fields: Mapping[str, Any], column: Column | None, identifying: bool = False) -> Sequence[str]:
    """The value as text, or of a list each; empty when there is none. Of an object that is a contact, its value."""
    value = value_at(fields, column) if column else None
    if isinstance(value, str):
        text = cell(value)
        return () if is_empty(text, identifying=identifying) else (text,)
    items = value if isinstance(value, list) else (value,)
    return [
        text
        for item in items
        for one in (_values_in(item) if isinstance(item, Mapping) else (item,))
        if (text := as_text(one)) and not is_empty(text, identifying=identifying)
    ]


def _values_in(item: Mapping[str, Any]) -> list[Any]:
    return [value for key, value in item.items() if is_whole(_CONTACT_VALUE, key)]


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


class ColumnChoice:
    """The columns of a file, to choose from. `nested`: a dot in a name leads into an object, as in JSON."""

    def __init__(
        self, settings: Settings, known: Sequence[str], path: Path, *, nested: bool, doubled: frozenset[str]
    ) -> None:
        self._settings = settings
        self._known = known
        self._path = path
        self._nested = nested
        self._doubled = doubled
        self._given = given = NamedFields(known, str(path))
        born = given.find("date_of_birth_column", settings.date_of_birth_column) or guess(BORN, known)
        self.born = self._column(born)
        self.updated = self._find("updated_column", settings.updated_column, UPDATED)
        names = settings.name_columns
        found = guess_names(known) if names is None else given.find_names("name_columns", names)
        self.names = tuple(Name(parts, parts[-1] if len(parts) > 1 else None) for parts in map(self._columns, found))
        self.emails = self._find_all("email_columns", settings.email_columns, EMAIL)
        self.phones = self._find_all("phone_columns", settings.phone_columns, PHONE)
        traits = settings.trait_columns
        self.traits = (
            guess_traits(known, born)
            if traits is None
            else tuple(Trait(re.sub("[._]", " ", name), name) for name in given.find_all("trait_columns", traits))
        )
        self.id = self._column(given.find("id_column", settings.id_column))
        self._ids = [self.id] if self.id else self._find_id_candidates()
        # Of a file of tickets the column `id` names the ticket, and another one who asked.
        ids = (column for name in known if squash(name).endswith("id") and (column := self._column(name)))
        self._rivals = [] if self.id or any(map(_is_strong, self._ids)) else [c for c in ids if c not in self._ids]

    def profile(self) -> Profile:
        """Empty tallies for what has to be decided from the rows."""
        years = [self._column(trait.path) for trait in self.traits if trait.kind == "year"]
        dates = dict.fromkeys(filter(None, (self.born, self.updated, *years)))
        used = {*filter(None, (self.born, self.updated, *self.emails, *self.phones, *self._ids))}
        used |= {part for name in self.names for part in name.parts}
        columns = {name: column for name in self._known if (column := self._column(name))}
        return Profile(
            ids=(*self._ids, *self._rivals),
            dates=dates,
            births=[self.born] if self.born else (),
            numbers=[
                column
                for name, column in columns.items()
                if column not in dates and (column in self._ids or column in self.phones or stays_text(name))
            ],
            names=[part for name in self.names for part in name.parts],
            others=[name for name, column in columns.items() if column not in used],
        )

    def decide(self, profile: Profile) -> tuple[Columns, list[str]]:
        """What the columns are, and warnings. Raises `ConfigError` when the customer's id cannot be told."""
        settings = self._settings
        warnings: list[str] = []
        identity = self._identity(profile)
        record_id = self._find("record_id_column", settings.record_id_column, RECORD_ID)
        locale = Locale.of(settings.phone_region)
        orders: dict[Column, DateOrder] = {}
        for column, tally in profile.dates.items():
            orders[column], warning = tally.order(
                ".".join(column), settings.day_first, region_day_first=locale.day_first
            )
            if warning:
                warnings.append(warning)
        columns = Columns(
            id=identity,
            record_id=record_id if record_id != identity else None,
            system=self._find("system_column", settings.system_column, SYSTEM),
            updated=self.updated,
            names=self.names,
            emails=self.emails,
            phones=self.phones,
            born=self.born,
            traits=tuple((trait, self._column(trait.path) or ()) for trait in self.traits),
            orders=orders,
            point_zero=frozenset(column for column in self._columns(self._known) if profile.has_point_zero(column)),
            numeric=profile.find_numeric(),
        )
        return columns, warnings

    def _identity(self, profile: Profile) -> Column:
        if not self._known:
            raise ConfigError(
                "no row was found: JSON must be a list of objects, an object with such lists, or an object a line",
                where=str(self._path),
                fix="export the customers as a list",
            )
        if not self._ids:
            record_id = self._find("record_id_column", None, RECORD_ID)
            raise self._unclear(
                f"no column names the customer; the columns are {format_names(self._known)}",
                ".".join(record_id or ("…",)),
            )
        if self.id is not None:
            return self.id
        fitting = [column for column in self._ids if profile.ids[column].is_an_id or not profile.rows]
        if not fitting:
            worst = self._ids[0]
            raise self._unclear(
                f"the column {'.'.join(worst)!r} does not name the customer: {profile.ids[worst].reason()}"
            )
        inner = [c for c in fitting if _names_customer(c) and profile.ids[c].filled == profile.rows]
        if inner and not _is_strong(fitting[0]):
            could = f"{'.'.join(fitting[0])!r} and {'.'.join(inner[0])!r} could each name the customer"
            raise self._unclear(could, ".".join(inner[0]))
        strong = [column for column in fitting if _is_strong(column)]
        repeats = {profile.ids[column].repeated for column in strong}
        if len(strong) > 1 and len(repeats) > 1:
            names = " and ".join(repr(".".join(column)) for column in strong)
            could = f"{names} could each name the customer, and they group the rows differently"
            raise self._unclear(could, ".".join(strong[0]))
        rivals = [column for column in self._rivals if profile.ids[column].groups_people]
        if rivals and not profile.ids[fitting[0]].repeated:
            could = f"{'.'.join(fitting[0])!r} and {'.'.join(rivals[0])!r} could each name the customer"
            raise self._unclear(could, ".".join(rivals[0]))
        if ".".join(fitting[0]) in self._doubled:
            raise self._unclear(f"several columns are called {'.'.join(fitting[0])!r}", ".".join(fitting[0]))
        return fitting[0]

    def _unclear(self, message: str, column: str = "…") -> ConfigError:
        fix = f'say which column does in [plugins.file]: id_column = "{column}"'
        return ConfigError(message, where=str(self._path), fix=fix)

    def _find_id_candidates(self) -> list[Column]:
        """By whole names, else by last steps; beside a weak one, those inside objects that are called as an id is."""
        strong, weak = guesses(CUSTOMER_ID, self._known), guesses(OTHER_ID, self._known)
        whole = [name for name in (*strong, *weak) if is_whole((*CUSTOMER_ID, *OTHER_ID), name)]
        if whole and whole[0] in weak:
            whole += [name for name in strong if name not in whole]
        return list(self._columns(whole or (*strong, *weak)))

    # --- by name ---------------------------------------------------------------------------------------------

    def _find(self, setting: str, given: str | None, kind: Sequence[str]) -> Column | None:
        return self._column(self._given.find(setting, given) or guess(kind, self._known))

    def _find_all(self, setting: str, given: Sequence[str] | None, kind: Sequence[str]) -> tuple[Column, ...]:
        return self._columns(guesses(kind, self._known) if given is None else self._given.find_all(setting, given))

    def _columns(self, names: Iterable[str]) -> tuple[Column, ...]:
        return tuple(column for name in names if (column := self._column(name)))

    def _column(self, name: str | None) -> Column | None:
        if name is None:
            return None
        return tuple(name.split(".")) if self._nested and "." in name else (name,)


def _is_strong(column: Column) -> bool:
    """Whether a column is called as customers' ids are."""
    return is_whole(CUSTOMER_ID, ".".join(column)) or _names_customer(column)


def _names_customer(column: Column) -> bool:
    """Whether a column inside an object is called as a customer's id is."""
    return len(column) > 1 and is_whole(CUSTOMER_ID, column[-1])
