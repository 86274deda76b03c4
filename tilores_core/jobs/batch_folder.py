"""The files of a server's batches: a folder for each job. Its methods wait for the disk.

<data folder>/batch/<job>/in.jsonl      what was asked (in.csv)
                          out.jsonl     the results so far
                          ended         there when nothing more will come
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from tilores_core.errors import OverloadedError, PayloadTooLargeError
from tilores_core.jobs.batch_input import Format

_ENDED: Final = "ended"
_UPLOAD: Final = ".upload"
_ABANDONED_SECONDS: Final = 3600.0


class BatchFolder:
    """Folders are named after their jobs, whose ids are made here and are no paths."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def source(self, job_id: str, form: Format) -> Path:
        return self._path / job_id / f"in.{form}"

    def output(self, job_id: str) -> Path:
        return self._path / job_id / "out.jsonl"

    def has_source(self, job_id: str, form: Format) -> bool:
        return self.source(job_id, form).is_file()

    def unfinished(self) -> list[str]:
        """Jobs of which nobody has noted here that they ended."""
        return [path.name for path in self._jobs() if not (path / _ENDED).exists()]

    def note_end(self, job_id: str) -> None:
        folder = self._path / job_id
        if folder.is_dir():
            (folder / _ENDED).touch()

    def outdated(self, seconds: float) -> list[str]:
        """Jobs that ended so long ago."""
        before = time.time() - seconds
        return [path.name for path in self._jobs() if _touched(path / _ENDED) < before]

    def is_abandoned(self, job_id: str) -> bool:
        """Too old to be on the way to the database."""
        return _touched(self._path / job_id) < time.time() - _ABANDONED_SECONDS

    def remove(self, job_id: str) -> None:
        shutil.rmtree(self._path / job_id, ignore_errors=True)

    def _jobs(self) -> Iterator[Path]:
        try:
            yield from (path for path in sorted(self._path.iterdir()) if path.is_dir())
        except FileNotFoundError:
            return


class Upload:
    """An input on its way to the disk; `finish` it, or `drop` it."""

    def __init__(self, folder: BatchFolder, job_id: str, form: Format, limit: int) -> None:
        self._folder = folder
        self._job_id = job_id
        self._target = folder.source(job_id, form)
        self._limit = limit
        self._size = 0
        self._last = b"\n"
        self.lines = 0
        """How many, about."""
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Raises `PayloadTooLargeError`, `OverloadedError` when there is no room."""
        self._size += len(data)
        if self._size > self._limit:
            raise PayloadTooLargeError(f"the body is larger than {self._limit} bytes", fix="send less at once")
        if not data:
            return
        try:
            if self._file is None:
                self._target.parent.mkdir(parents=True, mode=0o700)
                self._file = self._target.with_suffix(_UPLOAD).open("xb")
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.lines += data.count(b"\n")
        self._last = data[-1:]

    def finish(self) -> bool:
        """Whether there is anything; from now on not even the power's going loses it."""
        if self._file is None:
            return False
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._target.with_suffix(_UPLOAD).replace(self._target)
        except OSError as error:
            raise _no_room(error) from error
        self.lines += self._last != b"\n"
        return True

    def drop(self) -> None:
        if self._file is not None:
            self._file.close()
        self._folder.remove(self._job_id)


def _no_room(error: OSError) -> OverloadedError:
    return OverloadedError(f"the batch cannot be kept: {error.strerror}", fix="make room in TILORES_DATA_DIR")


def _touched(path: Path) -> float:
    """When; now, when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
