"""CSV, quoted line feeds included."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tilores_core import ConfigError
from tilores_plugins.sources.file.problems import Problems
from tilores_plugins.sources.file.rows import LONGEST_ROW, Row, lines_skipped

_DELIMITERS = ",;\t|"
_BOM = b"\xef\xbb\xbf"


class CsvFormat:
    """Rows below a header line. Made from a file, whose header it reads."""

    def __init__(self, file: BinaryIO, path: Path, *, encoding: str, delimiter: str | None) -> None:
        self._codec = encoding.removesuffix("-sig")
        start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        lines = _Lines(file, start, 1, self._codec)
        try:
            self._delimiter = delimiter or _sniffed(lines)
            lines.move(start, 1)
            header = next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])
        except (ValueError, csv.Error) as error:
            reason = _reason(error)
            raise ConfigError(
                f"the header line cannot be read: {reason}",
                where=str(path),
                fix="give the right encoding and delimiter in [plugins.file]",
            ) from None
        if not any(name.strip() for name in header):
            raise ConfigError(
                "the first line must name the columns, but it is empty",
                where=str(path),
                fix="put a header line first",
            )
        self._columns = _unique(header)
        self._first = (lines.offset, lines.line)

    @property
    def columns(self) -> tuple[str, ...]:
        return self._columns

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        lines = _Lines(file, *self._first, self._codec)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        width = len(self._columns)
        while True:
            lines.begin()
            start, line = lines.offset, lines.line
            try:
                values = next(reader, None)
            except (ValueError, csv.Error) as error:
                problems.add(line, _reason(error))
                # A quote that is never closed swallows what follows: go on at the line after it.
                lines.move(*lines.second)
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
                continue
            if values is None:
                return
            if len(values) == width:
                fields = dict(zip(self._columns, values, strict=True))
                yield Row(start, lines.offset - start, line, fields)
            elif values:
                problems.add(line, f"{len(values)} columns instead of {width}")
                lines.move(*lines.second)

    def parse(self, raw: bytes) -> Mapping[str, Any]:
        text = io.StringIO(raw.decode(self._codec), newline="")
        try:
            values = next(csv.reader(text, delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            raise ValueError(_reason(error)) from None
        return dict(zip(self._columns, values, strict=True))


class _Lines:
    """Physical lines as text, knowing where it is in the file: csv.reader takes as many as a row needs."""

    def __init__(self, file: BinaryIO, offset: int, line: int, codec: str) -> None:
        self._file = file
        self._codec = codec
        self.move(offset, line)
        self.begin()

    def move(self, offset: int, line: int) -> None:
        self._file.seek(offset)
        self.offset, self.line = offset, line

    def begin(self) -> None:
        """A row begins here."""
        self._start = self.offset
        self.second = (self.offset, self.line)  # where the line after the row's first begins

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(LONGEST_ROW + 1)
        if not raw:
            raise StopIteration
        first = self.offset == self._start
        self.offset += len(raw)
        self.line += 1
        too_long = self.offset - self._start > LONGEST_ROW
        if too_long and not raw.endswith(b"\n"):
            self.offset += lines_skipped(self._file)
        if first:
            self.second = (self.offset, self.line)
        if too_long:
            raise ValueError(f"longer than {LONGEST_ROW} bytes")
        return raw.decode(self._codec)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not {error.encoding} (set encoding in [plugins.file])"
    return str(error)


def _sniffed(lines: _Lines) -> str:
    """The delimiter that makes the most of the header line."""
    header = next(lines, "")
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in _DELIMITERS}
    return max(counts, key=lambda mark: counts[mark])


def _unique(header: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for position, name in enumerate(header, 1):
        name = name.strip() or f"column_{position}"
        names.append(name if name not in names else f"{name}_{position}")
    return tuple(names)
