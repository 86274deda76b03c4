"""What every format yields: rows with their place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from tilores_plugins.sources.file.problems import Problems

BOM = b"\xef\xbb\xbf"
LONGEST_ROW = 1024 * 1024  # bytes; a longer one is a problem, not a row


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file, and its position.

    `offset` and `length` in bytes: where to read it again; `group`: the list it was in, if lists have names.
    """

    offset: int
    length: int
    line: int
    fields: Mapping[str, Any]
    group: str | None = None


class Format(Protocol):
    """A way rows are written."""

    columns: tuple[str, ...]
    """The columns named up front, empty when the format does not."""
    doubled: frozenset[str]
    """Names that the header has more than once; the later columns got a number behind theirs."""
    header_line: int
    """Where the header is, 1 when the file has none."""

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        """All good rows from the beginning of the file; the others go to `problems`."""

    def parse(self, raw: bytes) -> Mapping[str, Any]:
        """One row read again. Raises ValueError when `raw` is not a row."""


def read_line(file: BinaryIO, most: int, end: bytes = b"\n") -> bytes:
    """The next line with its `end`, at most `most` bytes of it; empty at the end of the file."""
    if end == b"\n":
        return file.readline(most)
    start, line = file.tell(), b""
    while len(line) < most and (piece := file.read(4096)):
        before, found, _ = piece.partition(end)
        line += before + found
        if found:
            break
    line = line[:most]
    file.seek(start + len(line))
    return line


def skip_line(file: BinaryIO, end: bytes = b"\n") -> int:
    """Read to the end of the present line; returns how many bytes that were."""
    skipped = 0
    while piece := read_line(file, LONGEST_ROW, end):
        skipped += len(piece)
        if piece.endswith(end):
            break
    return skipped
