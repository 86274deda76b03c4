"""One state of the file: its index and the open file it belongs to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from tilores_core import (
    Customer,
    FieldInfo,
    Identifiers,
    SourceError,
    SourceReport,
    SourceSchema,
    find_mentions,
    normalise_email,
    normalise_phone,
    query_keys,
)
from tilores_core.spectrums import spectrum_of_field
from tilores_plugins.sources.file.columns import ColumnChoice, column_names
from tilores_plugins.sources.file.csv_rows import CsvFormat
from tilores_plugins.sources.file.customers import IdentifierCounts, Reading
from tilores_plugins.sources.file.formats import open_format
from tilores_plugins.sources.file.index import Index
from tilores_plugins.sources.file.problems import Problems
from tilores_plugins.sources.file.profile import Profile, value_at
from tilores_plugins.sources.file.report import describe
from tilores_plugins.sources.file.rows import Format, Row
from tilores_plugins.sources.file.settings import Settings
from tilores_plugins.sources.file.values import json_type, plain_id

_SAMPLE = 1_000  # rows whose values decide a column's type
_MOST_COLUMNS = 5_000


class StaleError(Exception):
    """The file was changed in place: the index no longer says what is where."""


class StoppedError(Exception):
    """The source was closed while it was reading."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What changes when the file does."""

    modified: int
    size: int
    inode: int


def signature_of(file: Path | int) -> Signature:
    stat = os.stat(file)
    return Signature(stat.st_mtime_ns, stat.st_size, stat.st_ino)


class OpenFile:
    """A file kept open, so that the old content stays readable after another file took its name."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = os.dup(file.fileno())

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        # The last look-up that uses it may end long after its successor took over, at an unknown time.
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Look-ups in one state of the file. All methods but `mentions` read from disk: call them in a thread."""

    file: OpenFile
    format: Format
    reading: Reading
    index: Index
    schema: SourceSchema
    signature: Signature
    report: SourceReport
    settings: Settings

    def get(self, customer_id: str) -> Customer | None:
        """Exact id first, then in any case where that is one customer's only. Raises `StaleError`."""
        customer_id = plain_id(customer_id.strip() or "-")
        exact = self._customers(self.index.owner(customer_id))
        if customer_id in exact:
            return self.reading.customer(customer_id, exact[customer_id])
        alike = [
            self.reading.customer(found, rows)
            for owner in self.index.owners("id", [customer_id.casefold()])
            for found, rows in self._customers(owner).items()
            if found.casefold() == customer_id.casefold()
        ]
        return alike[0] if len(alike) == 1 else None

    def find(self, wanted: Identifiers, limit: int) -> list[Customer]:
        """Customers that everything fits, in the file's order. Raises `StaleError`, `SourceError`."""
        found: list[Customer] = []
        for examined, owner in enumerate(self._candidates(wanted)):
            if examined >= self.settings.max_candidates:
                raise SourceError(
                    f"more than {examined} customers share what was asked for",
                    fix="give more of the customer, or raise max_candidates in [plugins.file]",
                )
            for customer_id, rows in self._customers(owner).items():
                if len(found) >= limit:
                    return found
                asked = wanted.customer_id
                if asked and plain_id(asked.strip() or "-").casefold() != customer_id.casefold():
                    continue
                if self.reading.fits([fields for fields, _ in rows], wanted):
                    found.append(self.reading.customer(customer_id, rows))
        return found

    def customer_ids(self, limit: int) -> list[str]:
        """In the file's order. Raises `StaleError`."""
        return list(islice((found for owner in self.index.all_owners() for found in self._customers(owner)), limit))

    def mentions(self, text: str) -> Sequence[Identifiers]:
        """Customers named in `text`; no I/O."""
        return find_mentions(
            text,
            is_word=self.index.words.__contains__,
            is_name=lambda key: self.index.has("name", key),
            is_id=lambda word: self.index.has("id", word),
        )

    def _candidates(self, wanted: Identifiers) -> list[int]:
        """Those worth reading. Beside something stronger a name decides the order only: `fits` knows more names."""
        index, reading = self.index, self.reading
        strong: list[dict[int, None]] = []
        if wanted.customer_id:
            strong.append(index.owners("id", [plain_id(wanted.customer_id.strip() or "-").casefold()]))
        if wanted.email:
            strong.append(index.owners("email", [normalise_email(wanted.email) or ""]))
        if wanted.phone:
            strong.append(index.owners("phone", [normalise_phone(wanted.phone, reading.region) or ""]))
        born = [index.owners("born", [wanted.date_of_birth])] if wanted.date_of_birth else []
        named = index.owners("name", query_keys(wanted.name)) if wanted.name else {}
        if strong or not wanted.name:
            fitting = _in_all(strong + born)
            return sorted(fitting, key=lambda owner: owner not in named) if named else fitting
        return _in_all([named, *born]) or _in_all(born)

    def _customers(self, owner: int) -> dict[str, list[tuple[Mapping[str, Any], str | None]]]:
        """The rows of an owner by the id they give: one id, or two whose hashes are equal."""
        found: dict[str, list[tuple[Mapping[str, Any], str | None]]] = {}
        for offset, length, group in self.index.places(owner, self.settings.max_records_per_customer):
            try:
                fields = self.format.parse(self.file.read(offset, length))
                customer_id = self.reading.id(fields)
            except (ValueError, OSError) as error:
                raise StaleError from error
            if customer_id is None:
                raise StaleError
            found.setdefault(customer_id, []).append((fields, group))
        if found and all(self.index.owner(customer_id) != owner for customer_id in found):
            raise StaleError
        return found


def _in_all(sets: list[dict[int, None]]) -> list[int]:
    if not sets:
        return []
    smallest, *others = sorted(sets, key=len)
    return [owner for owner in smallest if all(owner in other for other in others)]


def check(settings: Settings) -> None:
    """Look at the beginning of the file. Raises `ConfigError` when it cannot be served as the settings say."""
    with settings.path.open("rb") as file:
        form = open_format(settings, file)
        sample = list(islice(form.rows(file, _Silent(settings.path)), 100))
        choice = _choice(settings, form, sample)
        choice.decide(_profile(choice, sample))


def read(settings: Settings, stopped: Callable[[], bool]) -> Snapshot:
    """Read the whole file, twice: what the columns are follows from all rows. Blocking.

    Raises `ConfigError`, `OSError`, `StoppedError`.
    """
    path = settings.path
    with path.open("rb") as file:
        signature = signature_of(file.fileno())
        kept = OpenFile(file)
        form = open_format(settings, file)
        problems = Problems(path)
        sample = list(islice(form.rows(file, _Silent(path)), _SAMPLE))
        choice = _choice(settings, form, sample)
        profile = _profile(choice, _until(stopped, form.rows(file, _Silent(path))))
        columns, warnings = choice.decide(profile)
        reading = Reading(settings, columns, untyped=isinstance(form, CsvFormat), system=path.stem)
        schema = _Schema(reading, form)
        for row in sample:
            schema.learn(row)
        index, counts = Index(), IdentifierCounts()
        for number, row in enumerate(_until(stopped, form.rows(file, problems))):
            try:
                customer_id = reading.id(row.fields)
            except ValueError as error:
                problems.add(row.line, str(error))
                continue
            if customer_id is None:
                problems.add(row.line, f"the column {'.'.join(reading.columns.id)!r} is empty")
                continue
            if number >= _SAMPLE:
                schema.notice(row)
            identifiers, words = reading.entry(customer_id, row.fields, counts, row.line)
            index.add(row.offset, row.length, customer_id, identifiers, row.group, reading.moment(row.fields))
            index.words.update(words)
        index.freeze()
        problems.close()
        report = describe(settings, columns, profile, index, counts, problems, [*_notes(form), *warnings])
        return Snapshot(
            file=kept,
            format=form,
            reading=reading,
            index=index,
            schema=schema.build_schema(),
            signature=signature,
            report=report,
            settings=settings,
        )


def _choice(settings: Settings, form: Format, sample: Sequence[Row]) -> ColumnChoice:
    nested = not isinstance(form, CsvFormat)
    return ColumnChoice(settings, _find_columns(form, sample), settings.path, nested=nested, doubled=form.doubled)


def _notes(form: Format) -> Iterator[str]:
    if form.header_line > 2:
        yield f"the columns are named in line {form.header_line}; the lines above it are passed over"
    for name in sorted(form.doubled):
        others = [one for number, one in enumerate(form.columns, 1) if one == f"{name}_{number}"]
        yield f"several columns are called {name!r}; the later ones are used as {', '.join(map(repr, others))}"


def _profile(choice: ColumnChoice, rows: Iterable[Row]) -> Profile:
    profile = choice.profile()
    for row in rows:
        profile.add(row.fields, row.line)
    return profile


def _until(stopped: Callable[[], bool], rows: Iterable[Row]) -> Iterator[Row]:
    """The rows. Raises `StoppedError` soon after `stopped` says so."""
    for number, row in enumerate(rows):
        if number % 1_000 == 0 and stopped():
            raise StoppedError
        yield row


class _Silent(Problems):
    """For reading a sample: the same rows are read again and reported then."""

    def add(self, line: int, reason: str) -> None:
        pass


class _Schema:
    """The columns seen, and the types of their values in the sample."""

    def __init__(self, reading: Reading, form: Format) -> None:
        self._reading = reading
        self._types: dict[str, set[str]] = {name: set() for name in form.columns}
        self._seen: set[str] = set(form.columns)

    def learn(self, row: Row) -> None:
        self._seen.update(row.fields)
        fields = dict(self._reading.values(row.fields))
        for name in column_names(fields):
            if name in self._types or len(self._types) < _MOST_COLUMNS:
                value = fields[name] if name in fields else value_at(fields, tuple(name.split(".")))
                self._types.setdefault(name, set()).add(json_type(value))

    def notice(self, row: Row) -> None:
        """Beyond the sample only rows with a new column are looked at."""
        if not row.fields.keys() <= self._seen:
            self.learn(row)

    def build_schema(self) -> SourceSchema:
        fields = tuple(
            FieldInfo(name=name, type=_common(types), spectrum=spectrum_of_field(name))
            for name, types in self._types.items()
        )
        digest = hashlib.sha256("\n".join(f"{f.name}\0{f.type}\0{f.spectrum}" for f in fields).encode())
        return SourceSchema(fields=fields, hash=digest.hexdigest()[:16])


def _common(types: set[str]) -> str:
    types = types - {"null"}
    if types == {"integer", "number"}:
        return "number"
    return next(iter(types)) if len(types) == 1 else "string"


def _find_columns(form: Format, sample: Sequence[Row]) -> list[str]:
    if form.columns:
        return list(form.columns)
    return list(dict.fromkeys(name for row in sample for name in column_names(row.fields)))[:_MOST_COLUMNS]
