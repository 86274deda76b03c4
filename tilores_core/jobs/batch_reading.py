"""The lines of a batch in small groups, each line with what the batch knows of it already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from tilores_core.jobs.batch_index import AnsweredIndex, line_key
from tilores_core.jobs.batch_input import BatchLine


@dataclass(frozen=True, slots=True)
class Todo:
    """`earlier`: the row of a line before it that asked the same, when that was written before this was read."""

    line: BatchLine
    key: bytes
    earlier: dict[str, Any] | None


def read_group(lines: Iterator[BatchLine], index: AnsweredIndex, count: int) -> list[Todo]:
    """The next lines, at most `count`; empty at the end. It waits for the disk."""
    group = [(line, line_key(line)) for line in islice(lines, count)]
    earlier = index.find([key for _, key in group])
    return [Todo(line, key, earlier.get(key)) for line, key in group]


class ReadAhead:
    """Groups of lines; while one is begun, the next is read, so that nobody waits for the disk between them.

    async with ReadAhead(lines, index, 64) as ahead:
        while group := await ahead.next():
            ...
    """

    def __init__(self, lines: Iterator[BatchLine], index: AnsweredIndex, count: int) -> None:
        self._lines = lines
        self._index = index
        self._count = count
        self._reading: asyncio.Future[list[Todo]]

    async def __aenter__(self) -> ReadAhead:
        self._read()
        return self

    def _read(self) -> None:
        loop = asyncio.get_running_loop()
        self._reading = loop.run_in_executor(None, read_group, self._lines, self._index, self._count)

    async def next(self) -> list[Todo]:
        """The next group, empty at the end; the one behind it is begun to be read. Raises what reading raises."""
        await asyncio.wait({self._reading})  # which cancels no reading
        group = self._reading.result()
        if group:
            self._read()
        return group

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread: nobody may close what it reads from meanwhile."""
        await asyncio.wait({self._reading})
        self._reading.exception()  # of lines that nobody wants any more
