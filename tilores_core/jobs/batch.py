"""A batch: lines in, rows out, in the same order, each once, with as much memory for a million as for a thousand.

reading     in a thread, a group of lines ahead, with a look whether the batch has answered the same already
doing       from memory at once; otherwise a turn on the event loop, or a chunk for an executor
writing     in order, in a thread; what came too early waits within a window
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.files import open_private
from tilores_core.jobs.batch_index import AnsweredIndex, PendingLine, ReadAhead, line_key
from tilores_core.jobs.batch_input import BatchLine, InputOptions, read_batch
from tilores_core.jobs.batch_output import (
    WINDOW,
    OrderedOutput,
    OutputFile,
    Row,
    Slot,
    keep_early,
    read_written,
    resume,
    take_early,
)
from tilores_core.jobs.batch_rows import Totals, error_row, input_row, problem_row, repeat_row
from tilores_core.jobs.executor_backend import ExecutorBackend

_NOTED_AT_ONCE = 512


class Processor(Protocol):
    """Processes lines; `LineProcessor` is the one that asks the engine."""

    def try_cached(self, line: BatchLine) -> dict[str, Any] | None: ...

    async def process(self, line: BatchLine) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """What a batch reads and writes.

    `source` -> `output`, with `concurrency` lines in progress at once, `group` lines read at a time.

    `resume`: continue where an earlier run of the same ended, or begin.
    """

    source: Path
    output: Path
    concurrency: int
    resume: bool = False
    input: InputOptions = field(default_factory=InputOptions)
    window: int = WINDOW
    group: int = 64


class Batch:
    """One run. `totals` may be looked at while it runs. `backend`: processes the lines that are not cached in this
    process; by default this event loop does."""

    def __init__(self, plan: BatchPlan, processor: Processor, *, backend: ExecutorBackend | None = None) -> None:
        self.totals = Totals()
        """Of the lines in the output: so two runs of one batch, the first of which ends late, count none twice."""
        self.taken_up = Totals()
        """Of these, what an earlier run had written."""
        self._plan = plan
        self._processor = processor
        self._backend = backend
        self._limit = asyncio.Semaphore(plan.concurrency if backend is None else backend.chunks)
        self._asked: dict[bytes, asyncio.Future[Row]] = {}
        """The rows of the lines that were begun last. An older answer is in the index: at most two windows of rows
        are not written yet, and at most two groups of lines were read before that."""
        self._chunk: list[Slot[BatchLine]] = []
        self._early: dict[int, dict[str, Any]] = {}
        self._output: OrderedOutput[BatchLine]
        self._tasks: asyncio.TaskGroup

    async def run(self) -> Totals:
        """To the end of the input. Cancelled, it ends at once and keeps everything that was finished.

        Raises `InvalidRequestError` for what cannot be read, `TiloresError` for what cannot be written.
        """
        plan = self._plan
        file = await self._open()
        index = AnsweredIndex(plan.output)
        lines = read_batch(plan.source, plan.input)
        try:
            try:
                self.taken_up = await asyncio.to_thread(self._take_up, lines, index)
                self.totals.add(self.taken_up)
            except BaseException:
                file.drop()
                raise
            self._output = OrderedOutput(file, window=plan.window, note=index.note, count=self.totals.count)
            async with ReadAhead(lines, index, plan.group) as ahead:
                await self._write_all(ahead, file)
            await asyncio.to_thread(keep_early, plan.output, {})
        finally:
            await asyncio.to_thread(lines.close)
            await asyncio.to_thread(index.close)
        return self.totals

    async def _open(self) -> OutputFile:
        """Cancelled meanwhile, it leaves no file open, and so none locked, behind."""
        plan = self._plan
        opening = asyncio.ensure_future(asyncio.to_thread(OutputFile.open, plan.output, resume=plan.resume))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait({opening})
            if opening.exception() is None:
                opening.result().drop()
            raise

    def count_new(self) -> dict[str, float]:
        """The totals without what an earlier run, whose process has counted it, had written."""
        before = self.taken_up.plain()
        return {name: value - before[name] for name, value in self.totals.plain().items()}

    async def write_failures(self) -> int:
        """See `batch_failures`; after `run`."""
        return await asyncio.to_thread(write_failures, self._plan.source, self._plan.output, self._plan.input)

    def _take_up(self, lines: Iterator[BatchLine], index: AnsweredIndex) -> Totals:
        """Count and index what is written; `lines` then continues behind it."""
        written, noted = Totals(), list[tuple[bytes, int]]()
        for line, row, begins in resume(self._plan.output, lines, lambda line: line.id):
            written.count(row)
            if "error" not in row:
                noted.append((line_key(line), begins))
            if len(noted) >= _NOTED_AT_ONCE:
                index.add(noted)
                noted.clear()
        index.add(noted)
        self._early = take_early(self._plan.output) if self._plan.resume else {}
        return written

    # --- the lines ---------------------------------------------------------------------------------------

    async def _write_all(self, ahead: ReadAhead, file: OutputFile) -> None:
        """What fails first, the reading, a line's work or the writing, ends the others."""
        writing = asyncio.create_task(self._output.write(), name="batch output")
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(_end_of(writing))
                while group := await ahead.next():
                    for pending in group:
                        await self._begin(pending)
                await self._flush()
                self._output.end()
        except BaseException as error:
            await asyncio.shield(asyncio.ensure_future(self._leave_off(writing, file)))
            if isinstance(error, BaseExceptionGroup):
                raise error.exceptions[0] from None
            raise

    async def _leave_off(self, writing: asyncio.Task[None], file: OutputFile) -> None:
        """Write what is ready, keep what was finished before its turn, and only then let the next run go on."""
        self._output.end(unfinished=True)
        await asyncio.wait({writing})
        rows = {slot.line.place: slot.row.result() for slot in self._output.early()}
        with suppress(OSError):  # no room for it: those lines are asked again
            await asyncio.to_thread(keep_early, self._plan.output, {**self._early, **rows})
        with suppress(OSError):
            await asyncio.to_thread(file.close)

    async def _begin(self, pending: PendingLine) -> None:
        line, key = pending.line, pending.key
        if not self._output.has_room:
            await self._flush()  # what has no room may wait for a line of the chunk
        slot = await self._output.add(line, None if line.problem is not None else key)
        kept, asked = self._early.pop(line.place, None), self._asked.get(key)
        if asked is not None and asked.done() and "error" in asked.result():
            asked = None
        if line.problem is not None:
            self._output.finish(slot, problem_row(line))
        elif kept is not None and kept["id"] == line.id:
            self._output.finish(slot, kept)
        elif (cached := self._processor.try_cached(line)) is not None:
            self._output.finish(slot, cached)
        elif asked is not None:
            asked.add_done_callback(lambda first: self._output.finish(slot, repeat_row(line.id, first.result())))
            return
        elif pending.earlier is not None:
            self._output.finish(slot, repeat_row(line.id, pending.earlier))
            return
        else:
            self._remember(key, slot.row)
            await self._start(slot)
            return
        if line.problem is None:
            self._remember(key, slot.row)

    def _remember(self, key: bytes, row: asyncio.Future[Row]) -> None:
        self._asked.pop(key, None)
        self._asked[key] = row
        if len(self._asked) > 2 * (self._plan.window + self._plan.group):
            del self._asked[next(iter(self._asked))]

    async def _start(self, slot: Slot[BatchLine]) -> None:
        self._chunk.append(slot)
        if len(self._chunk) >= (1 if self._backend is None else self._backend.chunk_lines):
            await self._flush()

    async def _flush(self) -> None:
        """Have the lines that are gathered processed."""
        if self._chunk:
            chunk, self._chunk = self._chunk, []
            await self._limit.acquire()
            self._tasks.create_task(self._process(chunk))

    async def _process(self, chunk: Sequence[Slot[BatchLine]]) -> None:
        try:
            for slot, row in zip(chunk, await self._rows([slot.line for slot in chunk]), strict=True):
                self._output.finish(slot, row)
        finally:
            self._limit.release()

    async def _rows(self, lines: Sequence[BatchLine]) -> Sequence[dict[str, Any]]:
        if self._backend is not None:
            return await self._backend.process(lines)
        try:
            return [await self._processor.process(lines[0])]
        except Exception as error:  # `process` answers for everything; a fault in it is one line's, not the batch's
            return [error_row(lines[0].id, error, attempts=1, seconds=0.0)]


async def _end_of(task: asyncio.Task[None]) -> None:
    """Raise what the task raises; the task goes on when this is cancelled."""
    await asyncio.shield(task)


def check_paths(source: Path, output: Path) -> None:
    """Raises `InvalidRequestError` for an output that is the input."""
    if source.exists() and output.exists() and source.samefile(output):
        raise InvalidRequestError(f"{output} is the input", param=output.name, fix="name another output")


def failures_path(output: Path) -> Path:
    """`answers.jsonl` -> `answers.jsonl.failed.jsonl`."""
    return output.with_name(f"{output.name}.failed.jsonl")


def write_failures(source: Path, output: Path, reading: InputOptions) -> int:
    """How many there are; without any a file of an earlier run is taken away.

    Both files are read side by side, one line of each in memory: so it is right after any number of interruptions.
    Raises `InvalidRequestError`, `TiloresError`.
    """
    path = failures_path(output)
    fresh = path.with_name(f"{path.name}.new")
    count = 0
    try:
        with open(fresh, "wb", opener=open_private) as file:
            for line, (row, _) in zip(read_batch(source, reading), read_written(output), strict=False):
                if "error" in row:
                    file.write(orjson.dumps(input_row(line), option=orjson.OPT_APPEND_NEWLINE))
                    count += 1
        if count:
            fresh.replace(path)
        elif path != source:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise TiloresError(
            f"{path} cannot be written: {error.strerror}", fix="make room; --resume writes it again"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)
    return count
