"""What a batch has answered already, on the disk: a question that comes twice is asked once.

The cache does most of that. It does not where it holds less than the batch, where its entries end before the batch
does, and where the lines are done in other processes; then the answer is taken from the output itself.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final

import orjson

from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_output import Row

_PAGES_KIB: Final = 4096
_KEY_BYTES: Final = 16


def line_key(line: BatchLine) -> bytes:
    """The same for two lines that ask the same of the same customer and model."""
    who = line.identifiers
    parts = (
        *(line.question, line.model),
        *(who.customer_id, who.email, who.phone, who.name, who.date_of_birth),
    )
    return blake2b(orjson.dumps(parts), digest_size=_KEY_BYTES).digest()


class AnsweredIndex:
    """From a line's key to where its answer begins in the output. It waits for the disk, from any thread.

    A temporary database of this process: it is gone when the process is, whichever way it ends, and is made again
    from the output when a batch is resumed. Memory holds 4 MiB of it, whatever its size.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._lock = Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for statement in (
            f"PRAGMA cache_size = -{_PAGES_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE answered (line BLOB PRIMARY KEY, begins INTEGER NOT NULL) WITHOUT ROWID",
        ):
            self._database.execute(statement)

    def note(self, rows: Sequence[tuple[bytes | None, Row]], begins: Sequence[int]) -> None:
        """Rows that were written, with their keys, and where each begins. Failures are not kept."""
        self.add(
            (key, begin)
            for (key, row), begin in zip(rows, begins, strict=True)
            if key is not None and "error" not in row
        )

    def add(self, entries: Iterable[tuple[bytes, int]]) -> None:
        with self._lock:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT OR IGNORE INTO answered VALUES (?, ?)", entries)
            self._database.execute("COMMIT")

    def find(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The rows of those that were answered."""
        with self._lock:
            look = self._database.execute
            found = {
                key: hit[0]
                for key in keys
                if (hit := look("SELECT begins FROM answered WHERE line = ?", (key,)).fetchone()) is not None
            }
        if not found:
            return {}
        with self._output.open("rb") as output:
            rows = {}
            for key, begins in found.items():
                output.seek(begins)
                rows[key] = orjson.loads(output.readline())
            return rows

    def close(self) -> None:
        with self._lock:
            self._database.close()


@dataclass(frozen=True, slots=True)
class PendingLine:
    """A line of the input that has no answer yet.

    `earlier`: the row of a line before it that asked the same, when that was written before this was read.
    """

    line: BatchLine
    key: bytes
    earlier: dict[str, Any] | None


def read_group(lines: Iterator[BatchLine], index: AnsweredIndex, count: int) -> list[PendingLine]:
    """The next lines, at most `count`; empty at the end. It waits for the disk."""
    group = [(line, line_key(line)) for line in islice(lines, count)]
    earlier = index.find([key for _, key in group])
    return [PendingLine(line, key, earlier.get(key)) for line, key in group]


class ReadAhead:
    """Groups of lines; while one is started, the next is read, so that starting lines does not wait for the disk.

    async with ReadAhead(lines, index, 64) as ahead:
        while group := await ahead.next():
            ...
    """

    def __init__(self, lines: Iterator[BatchLine], index: AnsweredIndex, count: int) -> None:
        self._lines = lines
        self._index = index
        self._count = count
        self._reading: asyncio.Future[list[PendingLine]]

    async def __aenter__(self) -> ReadAhead:
        self._read()
        return self

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        self._reading = loop.run_in_executor(None, read_group, self._lines, self._index, self._count)

    async def next(self) -> list[PendingLine]:
        """The next group, empty at the end; the one behind it is begun to be read. Raises what reading raises."""
        await asyncio.wait({self._reading})  # which cancels no reading
        group = self._reading.result()
        if group:
            self._read()
        return group

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread: what it reads from must stay open meanwhile."""
        await asyncio.wait({self._reading})
        self._reading.exception()  # of lines that are not wanted any more
