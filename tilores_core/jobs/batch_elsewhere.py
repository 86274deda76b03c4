"""Lines done by an executor: in its threads, in other processes, on other machines.

Chunks of lines go out as plain dicts and rows come back. What a worker answers to a line is the line's own affair;
a chunk whose worker was lost is handed to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final

import structlog

from tilores_core.contracts import Identifiers
from tilores_core.errors import TiloresError
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_rows import error_row

log = structlog.get_logger(part="batch")

LINES_PER_CHUNK: Final = 16
_TRIES: Final = 4

Plain = dict[str, Any]
DoChunk = Callable[[list[Plain]], list[Plain]]
"""Does lines that `plain_line` made; their rows, in the same order. A module's function, or a partial of one."""


class WorkerLostError(TiloresError):
    """The executor lost the line's worker, again and again."""


def plain_line(line: BatchLine) -> Plain:
    """What travels; it can be pickled and written as JSON."""
    return asdict(line)


def line_of(plain: Plain) -> BatchLine:
    return BatchLine(**{**plain, "identifiers": Identifiers(**plain["identifiers"])})


class Elsewhere:
    """`concurrency`: turns in flight. In threads each does one line at a time, so there it is the threads' number."""

    def __init__(self, executor: Executor, do: DoChunk, *, concurrency: int) -> None:
        self._executor = executor
        self._do = do
        threads = executor._max_workers if isinstance(executor, ThreadPoolExecutor) else 0
        self.chunk = 1 if threads else min(LINES_PER_CHUNK, concurrency)
        """How many lines go together."""
        self.chunks = threads or -(-concurrency // self.chunk)
        """How many chunks are out at once."""

    async def do(self, lines: Sequence[BatchLine]) -> list[Plain]:
        """The rows, one for each line. Raises the `TiloresError` of a worker that cannot begin its work at all."""
        plain = [plain_line(line) for line in lines]
        for attempt in range(1, _TRIES + 1):
            try:
                # In a thread: an executor may talk to its cluster before it returns.
                future = await asyncio.to_thread(self._executor.submit, self._do, plain)
                rows = await asyncio.wrap_future(future)
            except TiloresError:
                raise
            except Exception as error:  # what it is when a worker dies is each executor's own
                log.warning("batch.chunk_failed", attempt=attempt, error=type(error).__name__)
                lost = WorkerLostError(
                    f"the executor could not do it: {type(error).__name__}", fix="look at the executor's own log"
                )
                continue
            if [row["id"] for row in rows] == [line.id for line in lines]:
                return rows
            lost = WorkerLostError(
                "the executor brought other rows than were asked for", fix="is it the same version?"
            )
        return [error_row(line.id, lost, attempts=_TRIES, seconds=0.0) for line in lines]
