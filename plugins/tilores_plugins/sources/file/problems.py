"""Rows that cannot be served: logged with file and line, never with what is in them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_LOGGED = 20
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was left out. `line` is where it begins, counted from 1."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}"


class Problems:
    """The problems of one reading of the file; the first thousand are kept, all are counted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: list[Problem] = []
        self.count = 0

    def add(self, line: int, reason: str) -> None:
        problem = Problem(self._path, line, reason)
        self.count += 1
        if self.count <= _KEPT:
            self._kept.append(problem)
        if self.count <= _LOGGED:
            _log.warning("%s; the row is left out", problem)

    def close(self) -> None:
        """Say how many there were beyond those logged."""
        if self.count > _LOGGED:
            _log.warning("%s: %d more rows are left out", self._path, self.count - _LOGGED)

    @property
    def kept(self) -> tuple[Problem, ...]:
        return tuple(self._kept)
