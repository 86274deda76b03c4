"""The files of jobs: a folder for each, for its owner alone. Its methods wait for the disk.

<data folder>/batch/<job>/in.jsonl      the input of a batch (in.csv), or plan.json of a pre-warming
                          out.jsonl     a batch's results so far; out.jsonl.early: those before their turn
                          ended         there when nothing more will come
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Literal

import orjson

from tilores_core.errors import OverloadedError, PayloadTooLargeError
from tilores_core.files import open_private
from tilores_core.jobs.batch_output import early_path

Format = Literal["jsonl", "csv"]
Kind = Literal["batch", "prewarm"]

PLAN: Final = "plan.json"
_ENDED: Final = "ended"
_UPLOAD: Final = ".upload"
_ABANDONED_SECONDS: Final = 3600.0


class JobFolder:
    """Folders are named after their jobs, whose ids are made by the server and are not paths."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def source(self, job_id: str, form: Format) -> Path:
        return self._path / job_id / f"in.{form}"

    def output(self, job_id: str) -> Path:
        return self._path / job_id / "out.jsonl"

    def plan(self, job_id: str) -> Path:
        return self._path / job_id / PLAN

    def mark(self) -> int:
        """Another number after a job was added or removed."""
        try:
            return self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def find_unfinished(self) -> dict[Kind, list[str]]:
        """The jobs that are not marked as ended, by kind."""
        found: dict[Kind, list[str]] = {"batch": [], "prewarm": []}
        for path in self._jobs():
            if not (path / _ENDED).exists():
                found["prewarm" if (path / PLAN).exists() else "batch"].append(path.name)
        return found

    def mark_ended(self, job_id: str) -> None:
        folder = self._path / job_id
        if folder.is_dir():
            early_path(self.output(job_id)).unlink(missing_ok=True)  # what only a run that continues would need
            (folder / _ENDED).touch(0o600)

    def find_outdated(self, seconds: float) -> list[str]:
        """Jobs that ended more than so many seconds ago."""
        before = time.time() - seconds
        return [path.name for path in self._jobs() if _modified_at(path / _ENDED) < before]

    def is_abandoned(self, job_id: str) -> bool:
        """Whether it is too old to be on its way to the database."""
        return _modified_at(self._path / job_id) < time.time() - _ABANDONED_SECONDS

    def remove(self, job_id: str) -> None:
        shutil.rmtree(self._path / job_id, ignore_errors=True)

    def write_plan(self, job_id: str, plan: bytes) -> None:
        """Keep the plan of a pre-warming. Raises `OverloadedError` when there is no room."""
        upload = Upload(self, job_id, self.plan(job_id), len(plan))
        try:
            upload.add(plan)
            upload.finish()
        except BaseException:
            upload.drop()
            raise

    def forget(self, customer_id: str) -> tuple[int, int, list[str]]:
        """Remove a customer's lines from the results of ended jobs, and the inputs that name the customer; how many
        of both, and the ids of the jobs that have not ended and hold the customer."""
        lines = inputs = 0
        running = []
        for folder in self._jobs():
            sources = [path for path in (*folder.glob("in.*"), folder / PLAN) if path.exists()]
            output = folder / "out.jsonl"
            if not (folder / _ENDED).exists():
                if any(_names(path, customer_id) for path in (*sources, output, early_path(output))):
                    running.append(folder.name)
                continue
            early_path(output).unlink(missing_ok=True)
            removed = _drop_lines(output, customer_id)
            lines += removed
            for path in sources:
                if removed or _names(path, customer_id):
                    path.unlink(missing_ok=True)
                    inputs += 1
        return lines, inputs, running

    def _jobs(self) -> Iterator[Path]:
        try:
            yield from (path for path in sorted(self._path.iterdir()) if path.is_dir())
        except FileNotFoundError:
            return


class Upload:
    """A job's input on its way to the disk, readable by its owner alone; `finish` it, or `drop` it."""

    def __init__(self, folder: JobFolder, job_id: str, target: Path, limit: int) -> None:
        self._folder = folder
        self._job_id = job_id
        self._target = target
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
                self._target.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._target.parent.mkdir(mode=0o700)
                self._file = open(self._target.with_suffix(_UPLOAD), "xb", opener=open_private)  # noqa: SIM115
            self._file.write(data)
        except OSError as error:
            raise _no_room(error) from error
        self.lines += data.count(b"\n")
        self._last = data[-1:]

    def finish(self) -> bool:
        """Whether there is anything; from now on even a power cut does not lose it."""
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


def _names(path: Path, customer_id: str) -> bool:
    """Whether a line of the file holds the id, as text or in JSON."""
    texts = (customer_id, json.dumps(customer_id)[1:-1], json.dumps(customer_id, ensure_ascii=False)[1:-1])
    spellings = {text.encode() for text in texts}
    try:
        with path.open("rb") as file:
            return any(spelling in line for line in file for spelling in spellings)
    except FileNotFoundError:
        return False


def _drop_lines(path: Path, customer_id: str) -> int:
    """Write the file again without the lines about the customer; how many these were."""
    if not _names(path, customer_id):
        return 0
    dropped = 0
    spare = path.with_name("forget.tmp")
    with path.open("rb") as old, open(spare, "wb", opener=open_private) as new:
        for line in old:
            row = orjson.loads(line) if line.endswith(b"\n") else {}
            if customer_id in (row.get("customer_id"), row.get("id")):
                dropped += 1
            else:
                new.write(line)
        new.flush()
        os.fsync(new.fileno())
    spare.replace(path)
    return dropped


def _no_room(error: OSError) -> OverloadedError:
    return OverloadedError(f"the job cannot be kept: {error.strerror}", fix="make room in TILORES_DATA_DIR")


def _modified_at(path: Path) -> float:
    """When it was changed last; now, when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()
