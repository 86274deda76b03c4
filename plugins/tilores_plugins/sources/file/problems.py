"""Rows that cannot be served: logged with file and line, never with what is in them."""

from __future__ import annotations

import logging
from pathlib import Path

_log = logging.getLogger(__name__)

_LOGGED = 20
_KEPT = 3


class Problems:
    """The rows left out in one reading of the file: `first` of them in words, and their `count`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.first: list[str] = []
        self.count = 0

    def add(self, line: int, reason: str) -> None:
        """Note a row. `line` is where it begins, counted from 1."""
        text = f"{self._path}, line {line}: {reason}"
        self.count += 1
        if self.count <= _KEPT:
            self.first.append(text)
        if self.count <= _LOGGED:
            _log.warning("%s; the row is left out", text)

    def close(self) -> None:
        """Say how many there were beyond those logged."""
        if self.count > _LOGGED:
            _log.warning("%s: %d more rows are left out", self._path, self.count - _LOGGED)
