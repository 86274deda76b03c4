"""Rows of one customer made a `Customer`, and what of a row identifies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilores_core import (
    Customer,
    Identifiers,
    Record,
    best_name,
    name_fits,
    name_keys,
    name_words,
    normalise_email,
    normalise_phone,
    parse_date,
)
from tilores_plugins.sources.file.columns import Columns, Name, Trait, text_at, texts_at
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.values import clean, stays_text, typed

Fields = Mapping[str, Any]


class Reading:
    """How rows of this file are understood."""

    def __init__(self, settings: Settings, columns: Columns, *, untyped: bool, system: str) -> None:
        self.columns = columns
        self._region = settings.phone_region
        self._day_first = settings.day_first
        self._system = system
        self._untyped = untyped  # all values are text, as in CSV
        self._texts = set(columns.texts())
        self._numbers: dict[str, bool] = {}

    def id(self, fields: Fields) -> str | None:
        return text_at(fields, self.columns.id)

    def names(self, fields: Fields) -> Iterator[tuple[str, str | None]]:
        """The spellings of the name, with the family name where it has a column."""
        for name in self.columns.names:
            if spelling := _joined(fields, name):
                yield spelling, text_at(fields, name.family)

    def entry(self, customer_id: str, fields: Fields) -> tuple[list[str], list[str]]:
        """What a row is found by, as kind:normalised value, and the words of its names."""
        found = [f"id:{customer_id.casefold()}"]
        found += [f"email:{email}" for email in self.emails(fields)]
        found += [f"phone:{number}" for number in self.phones(fields)]
        if born := self.born(fields):
            found.append(f"born:{born}")
        words: list[str] = []
        for name, family in self.names(fields):
            found += [f"name:{key}" for key in name_keys(name, family)]
            words += name_words(name)
        return found, words

    def emails(self, fields: Fields) -> Iterator[str]:
        for column in self.columns.emails:
            yield from filter(None, map(normalise_email, texts_at(fields, column)))

    def phones(self, fields: Fields) -> Iterator[str]:
        for column in self.columns.phones:
            for text in texts_at(fields, column):
                if number := normalise_phone(text, self._region):
                    yield number

    def born(self, fields: Fields) -> str | None:
        text = text_at(fields, self.columns.born)
        return parse_date(text, day_first=self._day_first) if text else None

    def normalised_email(self, text: str) -> list[str]:
        return [email] if (email := normalise_email(text)) else []

    def normalised_phone(self, text: str) -> list[str]:
        return [number] if (number := normalise_phone(text, self._region)) else []

    def fits(self, rows: Sequence[Fields], wanted: Identifiers) -> bool:
        """Whether everything asked for is in some row."""
        email = normalise_email(wanted.email) if wanted.email else None
        phone = normalise_phone(wanted.phone, self._region) if wanted.phone else None
        if wanted.email and not any(found == email for row in rows for found in self.emails(row)):
            return False
        if wanted.phone and not any(found == phone for row in rows for found in self.phones(row)):
            return False
        if wanted.date_of_birth and not any(self.born(row) == wanted.date_of_birth for row in rows):
            return False
        return not wanted.name or name_fits(wanted.name, (name for row in rows for name, _ in self.names(row)))

    def customer(self, customer_id: str, rows: Sequence[tuple[Fields, str | None]]) -> Customer:
        """`rows` in the file's order, each with its group."""
        records = [self._record(customer_id, number, fields, group) for number, (fields, group) in enumerate(rows, 1)]
        dated = [(fields, record.updated_at or "") for (fields, _), record in zip(rows, records, strict=True)]
        newest = [fields for fields, _ in sorted(dated, key=lambda item: item[1])][::-1]  # of one day, the last row
        return Customer(
            id=customer_id,
            name=self._name(dated),
            records=tuple(_distinct(records)),
            traits={trait.label: value for trait in self.columns.traits if (value := self._trait(trait, newest))},
        )

    def _name(self, dated: Sequence[tuple[Fields, str]]) -> str | None:
        spellings = [(next(self.names(fields), (None, None))[0], when) for fields, when in dated]
        return best_name((name, when) for name, when in spellings if name)

    def _record(self, customer_id: str, number: int, fields: Fields, group: str | None) -> Record:
        columns = self.columns
        updated = text_at(fields, columns.updated)
        return Record(
            id=text_at(fields, columns.record_id) or f"{customer_id}/{number}",
            system=text_at(fields, columns.system) or group or self._system,
            fields={clean(name): value for name, value in self.values(fields)},
            updated_at=self._date(updated) if updated else None,
        )

    def values(self, fields: Fields) -> Iterator[tuple[str, Any]]:
        """The fields of the record: typed, plain JSON, without those that are empty."""
        for name, value in fields.items():
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            if self._untyped:
                text = value.strip()
                yield name, clean(text) if self._stays_text(name) else typed(text)
            else:
                yield name, clean(value)

    def _stays_text(self, name: str) -> bool:
        known = self._numbers.get(name)
        if known is None:
            known = self._numbers[name] = name in self._texts or stays_text(name)
        return known

    def _date(self, text: str) -> str | None:
        day = parse_date(text, day_first=self._day_first)
        # The time of day is kept where the text is already as ISO 8601 writes it.
        return text if day and text.startswith(day) else day

    def _trait(self, trait: Trait, rows: Sequence[Fields]) -> str | None:
        for fields in rows:
            text = text_at(fields, trait.column)
            if text and trait.kind == "year":
                text = (parse_date(text, day_first=self._day_first) or "")[:4]
            elif text and trait.kind == "beginning":
                text = text.split()[0][:3]
            if text:
                return text[:80]
        return None


def _joined(fields: Fields, name: Name) -> str | None:
    parts = [text_at(fields, part) for part in name.parts]
    return " ".join(part for part in parts if part) if all(parts) else None


def _distinct(records: Sequence[Record]) -> Iterator[Record]:
    """Two records of one id: the later gets a number behind it, as ids must tell records apart."""
    seen: dict[str, int] = {}
    for record in records:
        count = seen[record.id] = seen.get(record.id, 0) + 1
        yield (
            record
            if count == 1
            else Record(
                id=f"{record.id}/{count}", system=record.system, fields=record.fields, updated_at=record.updated_at
            )
        )
