"""Sums over several worker processes: each writes its numbers to a file once a second, and the one that is scraped
adds the others' to its own.

Why not the shared memory that prometheus_client offers: there every count goes through a lock and a memory-mapped
file, which would slow down a cached answer of some 25 microseconds. Here counting stays adding to an int. The numbers
of the other workers are at most a second old and never go backwards; a killed worker loses the counts of its last
second.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson

from tilores_core.metrics.family import Family, Values, join, without_gauges
from tilores_core.resilience.presence import process_exists

_ENDING = ".json"
_LOCK = "lock"
_READS = 5
_OLD = 10.0
"""A worker that has not written for this many seconds counts as stuck: its gauges are left out."""


@dataclass(frozen=True, slots=True)
class _File:
    """The file in which one worker process keeps its numbers.

    `includes`: names of files whose numbers are in `values` already.
    """

    path: Path
    pid: int
    written: float
    includes: frozenset[str]
    values: Values


class WorkerFiles:
    """One worker's file in the `folder` that all workers of one run share. All methods block; call them in a thread.

    A worker that takes a dead one's place takes its counters over and removes its file, so that files do not pile up.
    """

    def __init__(self, folder: Path, families: Mapping[str, Family]) -> None:
        self._folder = folder
        self._families = families
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{_ENDING}"
        self._taken_over: Values = {}
        self._includes: frozenset[str] = frozenset()

    def open(self) -> None:
        """Take over the counters of dead workers, unless another worker is doing so."""
        with suppress(OSError), (self._folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._take_over()

    def _take_over(self) -> None:
        files = self._read()
        dead = [file for file in files if not process_exists(file.pid)]
        if not dead:
            return
        included = {name for file in files for name in file.includes}
        left = [file for file in dead if file.path.name not in included]
        self._taken_over = join(self._families, [without_gauges(self._families, file.values) for file in left])
        self._includes = frozenset(name for file in dead for name in (file.path.name, *file.includes))
        self.write({})  # from here on they count as this worker's
        for file in dead:
            file.path.unlink(missing_ok=True)

    def write(self, values: Values) -> None:
        """Write this worker's numbers, including those it took over. Raises `OSError`."""
        whole = join(self._families, (self._taken_over, values)) if self._taken_over else values
        packed = {name: [[list(labels), value] for labels, value in found.items()] for name, found in whole.items()}
        data = orjson.dumps({"pid": os.getpid(), "includes": sorted(self._includes), "values": packed})
        aside = self._path.with_suffix(".new")
        try:
            aside.write_bytes(data)
        except FileNotFoundError:  # temporary folders are cleaned up at times
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            aside.write_bytes(data)
        aside.replace(self._path)

    def together(self, values: Values) -> Values:
        """The sum over all workers. This one's `values` are written first, so that no later scrape of another worker
        reports less than this one did. Raises `OSError`."""
        self.write(values)
        files = self._read()
        included = {name for file in files for name in file.includes}
        now = time.time()
        parts = [self._taken_over, values]
        for file in files:
            if file.path == self._path or file.path.name in included:
                continue
            gone = not process_exists(file.pid) or now - file.written > _OLD
            parts.append(without_gauges(self._families, file.values) if gone else file.values)
        return join(self._families, parts)

    def close(self, values: Values) -> None:
        """Write the numbers that remain valid after this worker has ended."""
        with suppress(OSError):
            self.write(without_gauges(self._families, values))

    def _read(self) -> list[_File]:
        """All files. One that vanishes meanwhile was taken over by a worker whose file may have been read before:
        then all are read again."""
        for _ in range(_READS):
            try:
                return self._read_once()
            except FileNotFoundError:
                continue
        return self._read_once()

    def _read_once(self) -> list[_File]:
        paths = sorted(self._folder.glob(f"*{_ENDING}"))
        return [found for path in paths if (found := _read(path)) is not None]


def _read(path: Path) -> _File | None:
    """The file's content, or None when it is not one of ours. Raises `OSError`."""
    written = path.stat().st_mtime
    content = path.read_bytes()
    try:
        data = orjson.loads(content)
        values: Values = {
            name: {tuple(labels): value for labels, value in found} for name, found in data["values"].items()
        }
        return _File(path, data["pid"], written, frozenset(data["includes"]), values)
    except (ValueError, KeyError, TypeError):
        return None
