"""What every format yields: rows with their place in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from tilores_plugins.sources.file.problems import Problems

LONGEST_ROW = 1024 * 1024  # bytes; a longer one is a problem, not a row


@dataclass(frozen=True, slots=True)
class Row:
    """`offset` and `length` in bytes: where to read it again; `group`: the list it was in, if lists have names."""

    offset: int
    length: int
    line: int
    fields: Mapping[str, Any]
    group: str | None = None


class Format(Protocol):
    """A way rows are written."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns named up front, empty when the format does not."""
        ...

    def rows(self, file: BinaryIO, problems: Problems) -> Iterator[Row]:
        """All good rows from the beginning of the file; the others go to `problems`."""
        ...

    def parse(self, raw: bytes) -> Mapping[str, Any]:
        """One row read again. Raises ValueError when `raw` is no row."""
        ...


def lines_skipped(file: BinaryIO) -> int:
    """Read to the end of the present line; how many bytes that were."""
    skipped = 0
    while piece := file.readline(LONGEST_ROW):
        skipped += len(piece)
        if piece.endswith(b"\n"):
            break
    return skipped
