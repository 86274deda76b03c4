"""CSV, quoted line feeds included."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from tilores_core import ConfigError
from tilores_plugins.sources.file.problems import Problems
from tilores_plugins.sources.file.rows import BOM, LONGEST_ROW, Row, read_line, skip_line
from tilores_plugins.sources.file.values import cell

_DELIMITERS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_MOST_TITLES: Final = 10  # lines in which the header is looked for
_NOTHING: Final = " \t\x1a"  # the last ends a file of DOS
_SNIFFED: Final = 8
_LINE_END_SAMPLE: Final = 64 * 1024

csv.field_size_limit(LONGEST_ROW)


class CsvFormat:
    """Rows below a header line. Made from a file, whose header it reads."""

    def __init__(self, file: BinaryIO, path: Path, *, encoding: str, delimiter: str | None) -> None:
        self._codec = encoding.removesuffix("-sig")
        start = len(BOM) if file.read(len(BOM)) == BOM else 0
        sample = file.read(_LINE_END_SAMPLE)
        # Old Macintosh programs end lines with a carriage return alone.
        self._end = b"\r" if b"\r" in sample and b"\n" not in sample else b"\n"
        lines = _Lines(file, start, 1, self._codec, self._end)
        try:
            if match := _SEPARATOR_LINE.fullmatch(next(lines, "")):
                delimiter = delimiter or match[1]
                start = lines.offset
            first_line = 2 if match else 1
            lines.move(start, first_line)
            self._delimiter = delimiter or _sniff_delimiter(lines)
            lines.move(start, first_line)
            header = self._find_header(lines)
        except (ValueError, csv.Error) as error:
            reason = _reason(error)
            raise ConfigError(
                f"the header line cannot be read: {reason}",
                where=str(path),
                fix="give the right encoding and delimiter in [plugins.file]",
            ) from None
        if not header:
            raise ConfigError(
                "no line names the columns: the file is empty",
                where=str(path),
                fix="put a header line first",
            )
        self._header = [name.casefold() for name in header]
        self.columns = _unique(header)
        self.doubled = frozenset(name for name in header if name and header.count(name) > 1)
        self._first = (lines.offset, lines.line)

    def _find_header(self, lines: _Lines) -> list[str]:
        """The first line with more than one cell, within the first few; else the first that is not empty."""
        start, first = lines.offset, lines.line
        fallback = None
        self.header_line = first
        for _ in range(_MOST_TITLES):
            lines.begin()
            at = lines.line
            header = [cell(name) for name in next(csv.reader(lines, delimiter=self._delimiter, strict=True), [])]
            while header and not header[-1]:
                header.pop()
            if sum(map(bool, header)) > 1:
                self.header_line = at
                return header
            if header and fallback is None:
                fallback, self.header_line = header, at
                start, first = lines.offset, lines.line
        lines.move(start, first)
        return fallback or []

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        lines = _Lines(file, *self._first, self._codec, self._end)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            lines.begin()
            start, line = lines.offset, lines.line
            try:
                values = next(reader, None)
                if values is None:
                    return
                if values and (values[0].strip(_NOTHING) or any(map(str.strip, values[1:]))):
                    yield Row(start, lines.offset - start, line, self._fields(values))
            except (ValueError, csv.Error) as error:
                problems.add(line, _reason(error))
                # A quote that is never closed swallows what follows: go on at the line after it.
                lines.move(*lines.second)
                reader = csv.reader(lines, delimiter=self._delimiter, strict=True)

    def _fields(self, values: list[str]) -> dict[str, str]:
        """Cells by column. Empty cells more or fewer at the end leave nothing in doubt; anything else does.

        Raises `ValueError`.
        """
        width = len(self.columns)
        given = len(values)
        if given > width and not any(map(str.strip, values[width:])):
            values = values[:width]
        elif width > given > width / 2:
            values = values + [""] * (width - given)
        if len(values) != width:
            raise ValueError(f"{given} columns instead of {width}")
        values = [cell(value) for value in values]
        if [value.casefold() for value in values] == self._header:
            raise ValueError("the header line again")
        return dict(zip(self.columns, values, strict=True))

    def parse(self, raw: bytes) -> Mapping[str, Any]:
        text = io.StringIO(raw.decode(self._codec), newline="")
        try:
            return self._fields(next(csv.reader(text, delimiter=self._delimiter, strict=True), []))
        except csv.Error as error:
            raise ValueError(_reason(error)) from None


class _Lines:
    """Physical lines as text, with their place in the file: csv.reader takes as many as a row needs."""

    def __init__(self, file: BinaryIO, offset: int, line: int, codec: str, end: bytes) -> None:
        self._file = file
        self._codec = codec
        self._end = end
        self.move(offset, line)
        self.begin()

    def move(self, offset: int, line: int) -> None:
        self._file.seek(offset)
        self.offset, self.line = offset, line

    def begin(self) -> None:
        """Mark the beginning of a row."""
        self._start = self.offset
        self.second = (self.offset, self.line)  # where the line after the row's first begins

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = read_line(self._file, LONGEST_ROW + 1, self._end)
        if not raw:
            raise StopIteration
        first = self.offset == self._start
        self.offset += len(raw)
        self.line += 1
        too_long = self.offset - self._start > LONGEST_ROW
        if too_long and not raw.endswith(self._end):
            self.offset += skip_line(self._file, self._end)
        if first:
            self.second = (self.offset, self.line)
        if too_long:
            raise ValueError(f"longer than {LONGEST_ROW} bytes")
        return raw.decode(self._codec)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not {error.encoding} (set encoding in [plugins.file])"
    return str(error)


def _sniff_delimiter(lines: _Lines) -> str:
    """The delimiter that cuts the first lines into the most cells, where possible all of them into as many."""
    sample = [next(lines, "")]
    with suppress(ValueError):  # a line that cannot be read is a problem of its row
        sample += islice(lines, _SNIFFED)
    sample = [line for line in sample if line.strip()]

    def score(mark: str) -> tuple[int, int]:
        widths = [len(next(csv.reader([line.splitlines()[0]], delimiter=mark))) for line in sample]
        common = max(widths, key=widths.count, default=0)
        return (widths.count(common) if common > 1 else 0, common)

    return max(_DELIMITERS, key=score)


def _unique(header: list[str]) -> tuple[str, ...]:
    names: list[str] = []
    for position, name in enumerate(header, 1):
        name = name or f"column_{position}"
        names.append(name if name not in names else f"{name}_{position}")
    return tuple(names)
