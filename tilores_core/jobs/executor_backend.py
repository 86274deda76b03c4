"""Lines done by an executor: in its threads, in other processes, on other machines.

Chunks of lines go out as plain dicts and rows come back. What a worker answers to a line is the line's own affair;
a chunk whose worker was lost is handed to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
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
ProcessChunk = Callable[[list[Plain]], list[Plain]]
"""Does lines as plain dicts, which can be pickled and written as JSON; their rows, in the same order. A module's
function, or a partial of one."""


class WorkerLostError(TiloresError):
    """The executor lost the line's worker, again and again."""


def deserialize_line(plain: Plain) -> BatchLine:
    return BatchLine(**{**plain, "identifiers": Identifiers(**plain["identifiers"])})


class ExecutorBackend:
    """Sends chunks of lines to an executor. `concurrency`: lines in progress at once."""

    def __init__(
        self, executor: Executor, process: ProcessChunk, *, concurrency: int, chunk_lines: int = LINES_PER_CHUNK
    ) -> None:
        self._executor = executor
        self._process = process
        self.chunk_lines = min(chunk_lines, concurrency)
        self.chunks = -(-concurrency // self.chunk_lines)
        """How many chunks are sent out at once."""

    async def process(self, lines: Sequence[BatchLine]) -> list[Plain]:
        """The rows, one for each line. Raises the `TiloresError` of a worker that cannot begin its work at all."""
        plain = [asdict(line) for line in lines]
        for attempt in range(1, _TRIES + 1):
            try:
                # In a thread: an executor may talk to its cluster before it returns.
                future = await asyncio.to_thread(self._executor.submit, self._process, plain)
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
