"""The output of a batch: one JSON object a line, in the order of the input, and complete lines only.

Because the order is that of the input, what is there after a kill is the beginning of what was wanted, and `resume`
needs to know no more than how many lines there are: no set of ids, in memory or backend. That they answer the
lines of this input is checked on the way, id by id.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Generic, TypeVar

import orjson

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.files import open_private, replace_file
from tilores_core.resilience import wait_for_event

T = TypeVar("T")

WINDOW: Final = 1024
_BLOCK: Final = 64 * 1024
_GATHER_SECONDS: Final = 0.05
"""A thread is woken for as many rows as come in this time: for each alone that would cost more than writing it."""

_DYING_SECONDS: Final = 1.0
"""A run that was killed holds its output until the system has taken it down."""
_LOOK_AGAIN_SECONDS: Final = 0.02

Row = Mapping[str, Any]
Note = Callable[[Sequence[tuple[bytes | None, Row]], Sequence[int]], None]
"""Called with rows that were written, each with the key it was put with, and where in the file each begins."""


class OutputBusyError(InvalidRequestError):
    """Another run writes this output."""


class OutputFailedError(TiloresError):
    """The output cannot be written now, for example because the disk is full. A later run continues it."""


class OutputFile:
    """An output that only grows, by whole lines. One process at a time has it. Its methods wait for the disk.

    It holds answers and records: a new one can be read by its owner alone.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._end = file.seek(0, os.SEEK_END)

    @classmethod
    def open(cls, path: Path, *, resume: bool) -> OutputFile:
        """Raises `InvalidRequestError` for one that exists (unless `resume`) or that another run writes."""
        try:
            file: IO[bytes] = open(path, "a+b", buffering=0, opener=open_private)  # noqa: SIM115
            try:
                _lock(file, path, seconds=_DYING_SECONDS if resume else 0.0)
                if file.seek(0, os.SEEK_END) and not resume:
                    fix = "continue it with --resume, or name another output"
                    raise InvalidRequestError(f"{path} is there already", param=path.name, fix=fix)
                _mend(file)
            except BaseException:
                file.close()
                raise
        except OSError as error:
            raise _cannot(path, error) from error
        return cls(file, path)

    def append(self, rows: Iterable[Row]) -> list[int]:
        """Where each begins. Once it returns, a kill of this process loses none of them.

        Raises `TiloresError`, e.g. on a full disk.
        """
        lines = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
        places = []
        for line in lines:
            places.append(self._end)
            self._end += len(line)
        data = b"".join(lines)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise _cannot(self._path, error) from error
        return places

    def close(self) -> None:
        """After this not even the power's going loses any."""
        if not self._file.closed:
            with self._file:
                os.fsync(self._file.fileno())

    def drop(self) -> None:
        """Close what cannot be written any more."""
        self._file.close()


def read_written(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The whole lines of an output, one by one, and where each begins. Raises `InvalidRequestError` for a line that
    no batch wrote."""
    begin = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _parse_line(line, number, path), begin
                begin += len(line)
    except FileNotFoundError:
        return


def resume(path: Path, lines: Iterable[T], id_of: Callable[[T], str]) -> Iterator[tuple[T, dict[str, Any], int]]:
    """The lines of the input that are done, in order, each with its row and where that begins.

    Open the file first (`OutputFile.open`): that keeps others away. No more of `lines` are taken than are done.
    Raises `InvalidRequestError` where the output is not that of this input.
    """
    wanted = iter(lines)
    for place, (row, begin) in enumerate(read_written(path)):
        line = next(wanted, None)
        if line is None or row["id"] != id_of(line):
            fix = "resume with the input that it was begun with, or name another output"
            raise InvalidRequestError(f"{path}, line {place + 1} answers no line of this input", param="id", fix=fix)
        yield line, row, begin


@dataclass(slots=True, eq=False)
class Slot(Generic[T]):
    """What a line gets in the output. `row` is set when it is finished; `key`: for the index of answers."""

    line: T
    key: bytes | None
    row: asyncio.Future[Row]


class OrderedOutput(Generic[T]):
    """Rows in the order in which their slots were added, written in groups: as many as came while the last was.

    `window`: how many slots may wait. Once rows are in the file, `note` is called with them in a thread, and `count`
    with each in the event loop.
    """

    def __init__(
        self,
        file: OutputFile,
        *,
        window: int = WINDOW,
        note: Note | None = None,
        count: Callable[[Row], None] | None = None,
    ) -> None:
        self._file = file
        self._window = window
        self._note = note
        self._count = count
        self._slots: deque[Slot[T]] = deque()
        self._came = asyncio.Event()
        self._pressing = asyncio.Event()
        self._left = asyncio.Event()
        self._ended = self._stopped = False

    @property
    def has_room(self) -> bool:
        """Whether `add` would return at once."""
        return len(self._slots) < self._window

    async def add(self, line: T, key: bytes | None) -> Slot[T]:
        """The slot of the next line. It waits for room, which there is none of once `write` has failed."""
        while not self.has_room:
            self._left.clear()
            await self._left.wait()
        slot = Slot(line, key, asyncio.get_running_loop().create_future())
        self._slots.append(slot)
        self._notify()
        return slot

    def finish(self, slot: Slot[T], row: Row) -> None:
        """The row of a slot, once."""
        slot.row.set_result(row)
        self._notify()

    def end(self, *, unfinished: bool = False) -> None:
        """Nothing more is added. `unfinished`: nothing more is finished either, so that `write` ends early."""
        self._ended, self._stopped = True, unfinished
        self._came.set()
        self._pressing.set()

    def early(self) -> list[Slot[T]]:
        """The slots that are finished and wait for one before them."""
        return [slot for slot in self._slots if slot.row.done()]

    async def write(self) -> None:
        """Write until `end`, and close the file, unless more is to be done while others are kept from it
        (`unfinished`). Raises `TiloresError`, e.g. on a full disk."""
        try:
            while self._is_ready() or not (self._stopped or (self._ended and not self._slots)):
                await self._came.wait()
                await self._gather()
                self._came.clear()
                group: list[Slot[T]] = []
                while self._is_ready():
                    group.append(self._slots.popleft())
                self._left.set()
                if group:
                    await asyncio.to_thread(self._append, group)
                if self._count is not None:
                    for slot in group:
                        self._count(slot.row.result())
        except BaseException:
            await _to_its_end(self._file.drop)
            raise
        if not self._stopped:
            await _to_its_end(self._file.close)

    def _is_ready(self) -> bool:
        return bool(self._slots) and self._slots[0].row.done()

    def _notify(self) -> None:
        if self._is_ready():
            self._came.set()
            if len(self._slots) > self._window // 2:
                self._pressing.set()

    async def _gather(self) -> None:
        """Until it is time, or half of what may wait is there, or nothing more will be."""
        await wait_for_event(self._pressing, _GATHER_SECONDS)
        if not self._ended:
            self._pressing.clear()

    def _append(self, group: Sequence[Slot[T]]) -> None:
        rows = [slot.row.result() for slot in group]
        begins = self._file.append(rows)
        if self._note is not None:
            self._note([(slot.key, row) for slot, row in zip(group, rows, strict=True)], begins)


async def _to_its_end(close: Callable[[], None]) -> None:
    """In a thread, also when the caller is cancelled before the thread begins: the file is locked until then."""
    await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(close)))


def _parse_line(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        fix = "name the output of a batch, or a new file"
        raise InvalidRequestError(f"{path}, line {number} was not written by a batch", param=path.name, fix=fix)
    return row


def _mend(file: IO[bytes]) -> None:
    """Cut off a last line that was torn: go back from the end, a block at a time, to the last line's end."""
    end = file.seek(0, os.SEEK_END)
    begin = end
    while begin:
        size = min(_BLOCK, begin)
        begin -= size
        file.seek(begin)
        found = file.read(size).rfind(b"\n")
        if found >= 0:
            begin += found + 1
            break
    if begin != end:
        file.truncate(begin)


def _lock(file: IO[bytes], path: Path, *, seconds: float) -> None:
    """Lock it while the file is open, a kill included. `seconds`: how long to wait for another holder."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                fix = "wait for it to end, or name another output"
                raise OutputBusyError(f"another run writes {path}", param=path.name, fix=fix) from None
            time.sleep(_LOOK_AGAIN_SECONDS)


def _cannot(path: Path, error: OSError) -> OutputFailedError:
    return OutputFailedError(f"{path} cannot be written: {error.strerror}", fix="make room, or name another output")


def early_path(output: Path) -> Path:
    return output.with_name(f"{output.name}.early")


def keep_early(output: Path, rows: Mapping[int, Row]) -> None:
    """In place of what was kept before. Raises `OSError`."""
    path = early_path(output)
    if not rows:
        path.unlink(missing_ok=True)
        return
    lines = [orjson.dumps([place, row], option=orjson.OPT_APPEND_NEWLINE) for place, row in sorted(rows.items())]
    replace_file(path, b"".join(lines))


def take_early(output: Path) -> dict[int, dict[str, Any]]:
    """What was kept, by place; empty when nothing was, or when it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        lines = early_path(output).read_bytes().splitlines()
        return {int(place): row for place, row in map(orjson.loads, lines) if isinstance(row, dict)}
    return {}
