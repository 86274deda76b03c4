"""A batch: lines in, rows out, in the same order, each once, with as much memory for a million as for a thousand.

reading     in a thread, a group of lines ahead, with a look whether the batch has answered the same already
doing       from memory at once; otherwise a turn on the event loop, or a chunk for an executor
writing     in order, in a thread; what came too early waits within a window
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.jobs.batch_index import AnsweredIndex, PendingLine, ReadAhead, line_key
from tilores_core.jobs.batch_input import BatchLine, InputOptions, read_batch
from tilores_core.jobs.batch_output import (
    WINDOW,
    OrderedWriter,
    OutputFile,
    Row,
    keep_early,
    read_written,
    resume,
    take_early,
)
from tilores_core.jobs.batch_progress import Totals
from tilores_core.jobs.batch_rows import error_row, input_row, problem_row, repeat_row
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
    """One run. `totals` may be looked at while it runs."""

    def __init__(self, plan: BatchPlan, processor: Processor, *, backend: ExecutorBackend | None = None) -> None:
        """Prepare a run. `backend`: processes the lines that are not cached in this process; by default this event
        loop does."""
        self.totals = Totals()
        self.taken_up = 0
        """How many lines an earlier run had written."""
        self._plan = plan
        self._processor = processor
        self._backend = backend
        self._slots = asyncio.Semaphore(plan.concurrency if backend is None else backend.chunks)
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # What is being asked, and what was answered and is not yet in the index: the window bounds both.
        self._pending: dict[bytes, asyncio.Future[Row]] = {}
        self._chunk: list[PendingLine] = []
        self._early: dict[int, dict[str, Any]] = {}
        self._writer: OrderedWriter

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
            except BaseException:
                file.drop()
                raise
            self._writer = OrderedWriter(file, first=self.taken_up, window=plan.window, note=index.note)
            self._writer.start()
            await self._write_all(lines, index)
            await asyncio.to_thread(keep_early, plan.output, {})
        finally:
            await asyncio.to_thread(_close, lines, index)
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

    async def write_failures(self) -> int:
        """See `batch_failures`; after `run`."""
        return await asyncio.to_thread(write_failures, self._plan.source, self._plan.output, self._plan.input)

    def _take_up(self, lines: Iterator[BatchLine], index: AnsweredIndex) -> int:
        """Count and index what is written; `lines` then continues behind it."""
        last: list[BatchLine] = []
        noted: list[tuple[bytes, int]] = []

        def ids() -> Iterator[str]:
            for line in lines:
                last[:] = [line]
                yield line.id

        def tell(row: Mapping[str, Any], begins: int) -> None:
            self.totals.count(row)
            if "error" not in row:
                noted.append((line_key(last[0]), begins))
            if len(noted) >= _NOTED_AT_ONCE:
                index.add(noted)
                noted.clear()

        place = resume(self._plan.output, ids(), tell)
        index.add(noted)
        self._early = take_early(self._plan.output) if self._plan.resume else {}
        return place

    # --- the lines ---------------------------------------------------------------------------------------

    async def _write_all(self, lines: Iterator[BatchLine], index: AnsweredIndex) -> None:
        doing = asyncio.create_task(self._do_all(lines, index))
        try:
            await asyncio.wait({doing, self._fault}, return_when=asyncio.FIRST_COMPLETED)
            if self._fault.done():
                self._fault.result()
            await doing
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self._leave_off(doing)))
            raise
        finally:
            self._fault.cancel()
        await self._writer.aclose()
        if self._writer.early():
            raise RuntimeError("a batch ended with lines that were finished and not written")

    async def _leave_off(self, doing: asyncio.Task[None]) -> None:
        """Cancel what is in progress, write what is ready, and keep what was finished before its turn."""
        doing.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.aclose()
        with suppress(OSError):  # no room for it: those lines are asked again
            await asyncio.to_thread(keep_early, self._plan.output, {**self._early, **self._writer.early()})
        await asyncio.wait({doing})  # last, as it waits for the thread that reads, and that for its disk or pipe

    async def _do_all(self, lines: Iterator[BatchLine], index: AnsweredIndex) -> None:
        await self._begin_all(lines, index)
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _begin_all(self, lines: Iterator[BatchLine], index: AnsweredIndex) -> None:
        async with ReadAhead(lines, index, self._plan.group) as ahead:
            # What a line finds: the answer in the index, or else its key here. So a key goes when the last group
            # is begun that was read before the answer was in the index.
            settled: list[bytes] = []
            while group := await ahead.next():
                for todo in group:
                    if not self._writer.has_room(todo.line.place):
                        await self._flush()  # what has no room may wait for a line of the chunk
                        await self._writer.room(todo.line.place)
                    await self._begin(todo)
                for key in settled:  # one that failed may be asked again by now
                    if (asked := self._pending.get(key)) is not None and asked.done():
                        del self._pending[key]
                settled, self._writer.settled = self._writer.settled, []
        await self._flush()

    async def _begin(self, todo: PendingLine) -> None:
        line = todo.line
        kept = self._early.pop(line.place, None)
        if line.problem is not None:
            self._finish(line, problem_row(line))
        elif kept is not None and kept["id"] == line.id:
            self._finish(line, kept, todo.key)
        elif (known := self._processor.try_cached(line)) is not None:
            self._finish(line, known, todo.key)
        elif (asked := self._pending.get(todo.key)) is not None:
            if asked.done():
                self._repeat(line, asked)
            else:
                asked.add_done_callback(lambda first: self._repeat(line, first))
        elif todo.earlier is not None:
            self._finish(line, repeat_row(line.id, todo.earlier))
        else:
            self._pending[todo.key] = asyncio.get_running_loop().create_future()
            await self._start(todo)

    async def _start(self, todo: PendingLine) -> None:
        if self._backend is not None:
            self._chunk.append(todo)
            if len(self._chunk) >= self._backend.chunk_lines:
                await self._flush()
            return
        await self._slots.acquire()
        self._spawn([todo])

    async def _flush(self) -> None:
        """Send the lines that are gathered for an executor."""
        if self._chunk:
            chunk, self._chunk = self._chunk, []
            await self._slots.acquire()
            self._spawn(chunk)

    def _spawn(self, todos: Sequence[PendingLine]) -> None:
        task = asyncio.create_task(self._do(todos))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, todos: Sequence[PendingLine]) -> None:
        try:
            rows = await self._rows([todo.line for todo in todos])
            for todo, row in zip(todos, rows, strict=True):
                self._finish(todo.line, row, todo.key)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self._fault.done():
                self._fault.set_exception(error)
        finally:
            self._slots.release()

    async def _rows(self, lines: Sequence[BatchLine]) -> Sequence[dict[str, Any]]:
        if self._backend is not None:
            return await self._backend.process(lines)
        try:
            return [await self._processor.process(lines[0])]
        except Exception as error:  # `do` answers for everything; a fault in it is one line's, not the batch's
            return [error_row(lines[0].id, error, attempts=1, seconds=0.0)]

    def _repeat(self, line: BatchLine, first: asyncio.Future[Row]) -> None:
        if not first.cancelled():
            self._finish(line, repeat_row(line.id, first.result()))

    def _finish(self, line: BatchLine, row: dict[str, Any], key: bytes | None = None) -> None:
        self._writer.put(line.place, row, key)
        self.totals.count(row)
        if key is None:
            return
        asked = self._pending.get(key)
        if asked is None:
            asked = self._pending[key] = asyncio.get_running_loop().create_future()
        if not asked.done():
            asked.set_result(row)


def _close(lines: Iterator[BatchLine], index: AnsweredIndex) -> None:
    close: Callable[[], None] | None = getattr(lines, "close", None)
    if close is not None:
        close()
    index.close()


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
        with fresh.open("wb") as file:
            for line, row in zip(read_batch(source, reading), read_written(output), strict=False):
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
