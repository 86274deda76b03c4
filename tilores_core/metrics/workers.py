"""Sums over several worker processes: each writes its numbers to a file once a second, and the one that is scraped
adds the others' to its own.

Why not the shared memory that prometheus_client offers: there every count goes through a lock and a memory-mapped
file, which would slow down a cached answer of some 25 microseconds. Here counting stays adding to an int. The numbers
of the other workers are at most a second old and never go backwards; a killed worker loses the counts of its last
second.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import orjson

from tilores_core.metrics.family import Family, Values, join, without_gauges
from tilores_core.resilience.presence import process_exists

_ENDING = ".json"
_READS = 5
_OLD = 10.0
"""A worker that has not written for this many seconds counts as stuck: its gauges are left out."""


class WorkerFiles:
    """One worker's file in the `folder` that all workers of one run share. All methods block; call them in a thread.

    A worker that takes a dead one's place takes its file over and counts on from there, so that files do not pile up.
    """

    def __init__(self, folder: Path, families: Mapping[str, Family]) -> None:
        self._folder = folder
        self._families = families
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}{_ENDING}"
        self._before: Values = {}

    def open(self) -> None:
        """Take over the file of one dead worker, if there is one. Its new name says at once whose it is."""
        for path in self._folder.glob(f"*{_ENDING}"):
            if not _is_alive(path):
                with suppress(OSError):  # another worker was faster
                    path.rename(self._path)
                    self._before = without_gauges(self._families, _read(self._path))
                    self.write({})
                    return

    def write(self, values: Values) -> None:
        """Write this worker's numbers, including those it took over. Raises `OSError`."""
        whole = join(self._families, (self._before, values)) if self._before else values
        packed = {name: [[list(labels), value] for labels, value in found.items()] for name, found in whole.items()}
        data = orjson.dumps(packed)
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
        return join(self._families, [self._before, values, *self._read_others()])

    def close(self, values: Values) -> None:
        """Write the numbers that remain valid after this worker has ended."""
        with suppress(OSError):
            self.write(without_gauges(self._families, values))

    def _read_others(self) -> list[Values]:
        """What the others have written. When a file vanishes meanwhile, because a worker has taken it over, all are
        read again."""
        for _ in range(_READS):
            with suppress(FileNotFoundError):
                return self._read_once()
        return self._read_once()

    def _read_once(self) -> list[Values]:
        return [self._read_other(path) for path in sorted(self._folder.glob(f"*{_ENDING}")) if path != self._path]

    def _read_other(self, path: Path) -> Values:
        is_running = _is_alive(path) and time.time() - path.stat().st_mtime <= _OLD
        values = _read(path)
        return values if is_running else without_gauges(self._families, values)


def _is_alive(path: Path) -> bool:
    """Whether the process that the file's name says is there; of a name that is not ours, that it is."""
    pid = path.name.partition("-")[0]
    return not pid.isdecimal() or process_exists(int(pid))


def _read(path: Path) -> Values:
    """The file's content, nothing when it is not one of ours. Raises `OSError`."""
    content = path.read_bytes()
    try:
        return {
            name: {tuple(labels): value for labels, value in found} for name, found in orjson.loads(content).items()
        }
    except (ValueError, AttributeError, TypeError):
        return {}
