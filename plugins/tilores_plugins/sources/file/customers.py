"""Rows of one customer as a `Customer`, and what a row is found by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import Any

from tilores_core import (
    Customer,
    DateOrder,
    Identifiers,
    Record,
    best_name,
    name_fits,
    name_keys,
    name_words,
    normalise_email,
    normalise_phone,
)
from tilores_plugins.sources.dates import to_date, to_instant
from tilores_plugins.sources.fields import Trait, newest_first
from tilores_plugins.sources.file.columns import Columns, Name, text_at, texts_at
from tilores_plugins.sources.file.contacts import emails_in, phones_in
from tilores_plugins.sources.file.profile import MISSING, Column
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.values import (
    cell,
    clean,
    has_lost_digits,
    is_empty,
    parse_value,
    plain_id,
    stays_text,
    without_point_zero,
)

Fields = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1)
_TOTAL = re.compile(
    r"(?:(?:grand|sub)[ -]?)?totals?|(?:gesamt|zwischen)?summe|gesamt|total (?:general|général|geral)|"
    r"somme|suma|soma|totale|totaal",
    re.IGNORECASE,
)


class IdentifierCounts:
    """How many values of each identifier were read, and how many could not be, with the lines of the first few."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.unread: dict[str, int] = {}
        self.first_unread: dict[str, list[int]] = {}

    def add(self, kind: str, read: int, line: int) -> None:
        if read:
            self.read[kind] = self.read.get(kind, 0) + read
            return
        self.unread[kind] = self.unread.get(kind, 0) + 1
        lines = self.first_unread.setdefault(kind, [])
        if len(lines) < 3:
            lines.append(line)


class Reading:
    """How rows of this file are understood."""

    def __init__(self, settings: Settings, columns: Columns, *, untyped: bool, system: str) -> None:
        self.columns = columns
        self.region = settings.phone_region or "US"
        self._system = system
        self._untyped = untyped  # all values are text, as in CSV
        self._texts = set(columns.texts())
        self._numbers: dict[str, bool] = {}

    def id(self, fields: Fields) -> str | None:
        """The customer's id, None when the row has none. Raises `ValueError` when its digits are lost."""
        text = next(iter(texts_at(fields, self.columns.id, True)), None)
        if text is None:
            return None
        if has_lost_digits(text):
            raise ValueError(f"the id is a number in scientific notation: {'.'.join(self.columns.id)!r}")
        if text[-1].isalpha() and _TOTAL.fullmatch(text) and not any(self.names(fields)):
            raise ValueError("a row of totals")
        return plain_id(self._number(text, self.columns.id))

    def _number(self, text: str, column: Column) -> str:
        return without_point_zero(text) if column in self.columns.point_zero else text

    def names(self, fields: Fields) -> Iterator[tuple[str, str | None]]:
        """The spellings of the name, with the family name where it has a column."""
        for name in self.columns.names:
            if spelling := _join_fields(fields, name):
                yield spelling, text_at(fields, name.family)

    def entry(
        self, customer_id: str, fields: Fields, counts: IdentifierCounts, line: int
    ) -> tuple[list[str], list[str]]:
        """What a row is found by, as kind:normalised value, and the words of its names."""
        found = [f"id:{customer_id.casefold()}"]
        for emails in self.emails(fields):
            counts.add("e-mail addresses", len(emails), line)
            found += [f"email:{email}" for email in emails]
        for phones in self.phones(fields):
            counts.add("phone numbers", len(phones), line)
            found += [f"phone:{number}" for number in phones]
        if texts_at(fields, self.columns.born, True):
            born = self.born(fields)
            counts.add("dates of birth", born is not None, line)
            if born:
                found.append(f"born:{born}")
        words: list[str] = []
        for name, family in self.names(fields):
            found += [f"name:{key}" for key in name_keys(name, family)]
            words += name_words(name)
        return found, words

    def emails(self, fields: Fields) -> Iterator[list[str]]:
        """The addresses in each cell for them."""
        return (
            emails_in(text) for column in self.columns.emails for text in texts_at(fields, column, identifying=True)
        )

    def phones(self, fields: Fields) -> Iterator[list[str]]:
        """The numbers in each cell for them."""
        return (
            phones_in(text, self.region)
            for column in self.columns.phones
            for text in texts_at(fields, column, identifying=True)
        )

    def born(self, fields: Fields) -> str | None:
        text = text_at(fields, self.columns.born)
        return to_date(text, self._order(self.columns.born), birth=True) if text else None

    def instant(self, fields: Fields) -> tuple[datetime, str] | None:
        """When the row was last changed, to compare by and in ISO 8601; None when it does not say."""
        text = text_at(fields, self.columns.updated)
        return to_instant(text, self._order(self.columns.updated)) if text else None

    def moment(self, fields: Fields) -> float:
        """The row's time stamp in seconds, -inf when it has none."""
        instant = self.instant(fields)
        return -inf if instant is None else (instant[0] - _EPOCH).total_seconds()

    def _order(self, column: Column | None) -> DateOrder:
        return self.columns.orders.get(column, "unknown") if column else "unknown"

    def fits(self, rows: Sequence[Fields], wanted: Identifiers) -> bool:
        """Whether everything asked for is in some row."""
        email = normalise_email(wanted.email) if wanted.email else None
        phone = normalise_phone(wanted.phone, self.region) if wanted.phone else None
        if wanted.email and not any(email in found for row in rows for found in self.emails(row)):
            return False
        if wanted.phone and not any(phone in found for row in rows for found in self.phones(row)):
            return False
        if wanted.date_of_birth and not any(self.born(row) == wanted.date_of_birth for row in rows):
            return False
        return not wanted.name or name_fits(wanted.name, (name for row in rows for name in self.names(row)))

    def customer(self, customer_id: str, rows: Sequence[tuple[Fields, str | None]]) -> Customer:
        """Make a customer of `rows` in the file's order, each with its group."""
        records = [self._record(customer_id, number, fields, group) for number, (fields, group) in enumerate(rows, 1)]
        newest = newest_first([fields for fields, _ in rows], self.moment)
        spellings = [
            (name, record.updated_at or "")
            for (fields, _), record in zip(rows, records, strict=True)
            if (name := next(self.names(fields), ("", None))[0])
        ]
        return Customer(
            id=customer_id,
            name=best_name(spellings),
            records=tuple(_distinct(records)),
            traits={
                trait.label: value
                for trait, column in self.columns.traits
                if (value := self._trait(trait, column, newest))
            },
        )

    def _record(self, customer_id: str, number: int, fields: Fields, group: str | None) -> Record:
        columns = self.columns
        instant = self.instant(fields)
        return Record(
            id=text_at(fields, columns.record_id) or f"{customer_id}/{number}",
            system=text_at(fields, columns.system) or group or self._system,
            fields={clean(name): value for name, value in self.values(fields)},
            updated_at=instant[1] if instant else None,
        )

    def values(self, fields: Fields) -> Iterator[tuple[str, Any]]:
        """The fields of the record: typed, plain JSON, without those that are empty."""
        for name, value in fields.items():
            if value is None or (isinstance(value, str) and is_empty(cell(value))):
                continue
            if name in self.columns.numeric and value in MISSING:
                continue
            if self._untyped:
                text = self._number(value, (name,))
                yield name, clean(text) if self._stays_text(name) else parse_value(text)
            else:
                yield name, clean(value)

    def _stays_text(self, name: str) -> bool:
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = name in self._texts or stays_text(name)
        return known

    def _trait(self, trait: Trait, column: Column, rows: Sequence[Fields]) -> str | None:
        for fields in rows:
            text = text_at(fields, column)
            day = text and to_date(text, self._order(column), birth=column == self.columns.born)
            if text and (said := trait.shorten(text, day)):
                return said
        return None


def _join_fields(fields: Fields, name: Name) -> str | None:
    parts = [text_at(fields, part) for part in name.parts]
    return " ".join(part for part in parts if part) if all(parts) else None


def _distinct(records: Sequence[Record]) -> Iterator[Record]:
    """Two records of one id: the later gets a number behind it, as ids must tell records apart."""
    seen: dict[str, int] = {}
    for record in records:
        count = seen[record.id] = seen.get(record.id, 0) + 1
        yield record if count == 1 else replace(record, id=f"{record.id}/{count}")
