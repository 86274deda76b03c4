"""The input of a batch, JSONL or CSV, read as a stream: memory holds one line of it.

A line that is wrong is passed on with what is wrong, so that one mistake stops nothing; what makes the rest
unreadable (no such file, no header, a quote that is never closed) stops all.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, Literal

import orjson

from tilores_core.contracts import Identifiers
from tilores_core.errors import InvalidRequestError
from tilores_core.identity import normalise_email, normalise_phone, parse_date

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "line_id", "row_id", "request_id", "custom_id", "question_id"),
    "question": ("question", "input", "prompt", "query", "text", "message", "content"),
    "customer_id": ("customer_id", "customer", "customerid", "client_id", "client", "clientid"),
    "email": ("email", "e_mail", "email_address", "mail"),
    "phone": ("phone", "phone_number", "telephone", "tel", "mobile"),
    "name": ("name", "full_name", "customer_name", "client_name"),
    "date_of_birth": ("date_of_birth", "dob", "birth_date", "birthdate", "birthday"),
    "model": ("model", "model_name"),
}
"""Accepted column names by meaning. Case, spaces and hyphens make no difference; other columns are ignored."""

_MEANINGS = {name: meaning for meaning, names in NAMES.items() for name in names}
_LONGEST = {"id": 200, "model": 200, "question": 100_000}
_LONGEST_DEFAULT = 500
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")


class LineError(Exception):
    """What is wrong with one line; names the field, never its value."""


def columns(names: Sequence[str]) -> dict[str, str]:
    """The meaning of each column that has one. Raises `LineError` when two columns have the same meaning."""
    found: dict[str, str] = {}
    for name in names:
        meaning = _MEANINGS.get(_SEPARATORS.sub("_", _CAMEL.sub("_", name)).strip("_").lower())
        if meaning is None:
            continue
        if meaning in found.values():
            other = next(known for known, what in found.items() if what == meaning)
            raise LineError(f"'{other[:40]}' and '{name[:40]}' both mean {meaning}; leave one out")
        found[name] = meaning
    return found


def line_of(row: Mapping[str, Any], *, phone_region: str, day_first: bool) -> dict[str, Any]:
    """question, identifiers and model of a row, whose keys are meanings. Raises `LineError`."""
    email, phone, born = readable(row, "email"), readable(row, "phone"), readable(row, "date_of_birth")
    identifiers = Identifiers(
        customer_id=readable(row, "customer_id"),
        email=_check_value("email", email, normalise_email(email or "")),
        phone=_check_value("phone", phone, normalise_phone(phone, phone_region) if phone else None),
        name=readable(row, "name"),
        date_of_birth=_check_value("date_of_birth", born, parse_date(born or "", day_first=day_first, birth=True)),
    )
    question = readable(row, "question")
    if question is None and not identifiers:
        raise LineError("neither a question nor anything that names a customer")
    return {"question": question, "identifiers": identifiers, "model": readable(row, "model")}


def readable(row: Mapping[str, Any], field: str) -> str | None:
    """The text of a field; None when it is absent or blank. Raises `LineError`."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and field != "question":
        value = str(value)
    if not isinstance(value, str):
        raise LineError(f"{field} must be a text")
    value = value.strip()
    longest = _LONGEST.get(field, _LONGEST_DEFAULT)
    if len(value) > longest:
        raise LineError(f"{field} is longer than {longest} characters")
    return value or None


def _check_value(field: str, given: str | None, normal: str | None) -> str | None:
    if given is not None and normal is None:
        kind = {"email": "an e-mail address", "phone": "a phone number"}.get(field, "a date")
        raise LineError(f"{field} cannot be read as {kind}")
    return normal


MAX_LINE_BYTES: Final = 128 * 1024
"""Of one line of JSONL, or one row of CSV."""

Format = Literal["jsonl", "csv"]
_CSV_SUFFIXES = frozenset({".csv", ".tsv"})
_DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """One line of the input.

    `place` counts the lines from 0, empty ones not; `number` is that of the file, from 1, where it begins.

    A line asks (`question`), or only looks a customer up. `problem`: why it cannot be done; the rest is then empty.
    """

    place: int
    number: int
    id: str
    question: str | None = None
    identifiers: Identifiers = field(default_factory=Identifiers)
    model: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions:
    """How texts are understood. `format`: None goes by the file's name."""

    format: Format | None = None
    phone_region: str = "US"
    day_first: bool = False
    max_line_bytes: int = MAX_LINE_BYTES


def read_batch(path: Path, reading: InputOptions | None = None) -> Generator[BatchLine]:
    """The lines of `path`, one by one. It reads the disk: go through it in a thread.

    Raises `InvalidRequestError` naming file and line.
    """
    reading = reading or InputOptions()
    is_csv = path.suffix.lower() in _CSV_SUFFIXES if reading.format is None else reading.format == "csv"
    try:
        with path.open("rb") as file:
            rows = _csv_rows(file, path, reading) if is_csv else _json_rows(file, reading)
            for place, (number, row) in enumerate(rows):
                yield _line(place, number, row, reading)
    except OSError as error:
        fix = "check the name and its permissions"
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}", param=path.name, fix=fix) from error


def _line(place: int, number: int, row: dict[str, Any] | LineError, reading: InputOptions) -> BatchLine:
    empty = BatchLine(place=place, number=number, id=str(place + 1))
    try:
        if isinstance(row, LineError):
            raise row
        empty = replace(empty, id=readable(row, "id") or empty.id)
        return replace(empty, **line_of(row, phone_region=reading.phone_region, day_first=reading.day_first))
    except LineError as error:
        return replace(empty, problem=f"line {number}: {error}")


def _json_rows(file: IO[bytes], reading: InputOptions) -> Iterator[tuple[int, dict[str, Any] | LineError]]:
    for number, line in _lines(file, reading.max_line_bytes):
        if line is None:
            yield number, LineError(f"longer than {reading.max_line_bytes} bytes")
        elif line.strip():
            yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | LineError:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return LineError(f"no JSON: {error.msg}, column {error.colno}")
    if not isinstance(value, dict):
        return LineError('no JSON object; write {"question": "…", "customer_id": "…"}')
    try:
        return {known: value[name] for name, known in columns(list(value)).items()}
    except LineError as error:
        return error


def _lines(file: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long, which is passed over without being held."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) <= longest or line.endswith(b"\n"):
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(longest + 1)
        yield number, None


class _CsvLines:
    """Physical lines as text for csv.reader, which takes as many as a row needs."""

    def __init__(self, file: IO[bytes], path: Path, longest: int) -> None:
        self._file = file
        self._path = path
        self._longest = longest
        self._taken = 0
        self.number = 0
        self.begin = 1

    def begin_row(self) -> None:
        self._taken, self.begin = 0, self.number + 1

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._longest + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self._taken += len(line)
        if self.number == 1:
            line = line.removeprefix(_BOM)
        if self._taken > self._longest:
            raise self.wrong(
                f"the row is longer than {self._longest} bytes", "is there a quote that is opened and never closed?"
            )
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.wrong(f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from None

    def wrong(self, what: str, fix: str) -> InvalidRequestError:
        place = f"line {self.begin}"
        return InvalidRequestError(f"{self._path}, {place}: {what}", param=place, fix=fix)


def _csv_rows(file: IO[bytes], path: Path, reading: InputOptions) -> Iterator[tuple[int, dict[str, Any] | LineError]]:
    lines = _CsvLines(file, path, reading.max_line_bytes)
    first = next(lines, "")
    if named := _SEPARATOR_LINE.fullmatch(first):  # a spreadsheet's first line, where the comma is the decimal mark
        first = next(lines, "")
    delimiter = named[1] if named else max(_DELIMITERS, key=first.count)
    try:
        header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
        known = columns(header)
    except (csv.Error, LineError) as error:
        raise lines.wrong(
            f"the header cannot be read: {error}", "write a header like: id,customer_id,question"
        ) from None
    if not known:
        raise lines.wrong("no column is known", "write a header like: id,customer_id,question")
    names = [known.get(name) for name in header]
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    lines.begin_row()
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise lines.wrong(f"no CSV: {error}", 'write fields with quotes in them as "…""…"') from None
        if cells is None:
            return
        number = lines.begin
        lines.begin_row()
        if any(cell.strip() for cell in cells):
            yield number, _cells(names, cells)


def _cells(names: list[str | None], cells: list[str]) -> dict[str, Any] | LineError:
    if any(cell.strip() for cell in cells[len(names) :]):
        return LineError(f"{len(cells)} fields, and the header has {len(names)}; put fields with commas into quotes")
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}
