"""The latest answers of this process by run id, so that feedback finds what it is about. Ids and names only."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from cachetools import LRUCache

from tilores_core.store.windows import Cell

_MOST_RUNS: Final = 5_000
_MOST_SPECTRUMS: Final = 5_000
_LOOK_UPS: Final = 200
_SAMPLE: Final = 2_000


class RecentRuns:
    """Run ids of recent answers, so that feedback can be joined to the answer it is about.

    `recent` takes (run id, key of the stored answer, model, prompt version), or (run id, None, cell, None).

    One of `hits` is taken for each reply from memory, whose spectrum is looked up only when it is needed.
    """

    def __init__(self, stored_spectrum: Callable[[str], str | None]) -> None:
        self.recent: deque[tuple[str, str | None, Any, str | None]] = deque(maxlen=_MOST_RUNS)
        self.hits = count()
        self._counted = 0
        self._stored_spectrum = stored_spectrum
        self._spectrums: LRUCache[str, str] = LRUCache(_MOST_SPECTRUMS)

    def find(self, run_id: str) -> Cell | None:
        """The cell of an answer, None when it is not known here (any more)."""
        for known, key, model, version in reversed(self.recent):
            if known == run_id:
                return self._cell(key, model, version)
        return None

    def take_hits(self) -> dict[Cell, int]:
        """How many replies were served from memory since the last call, by cell.

        Their number is exact; which spectrums they are shared out to is estimated from the latest 2,000.
        """
        reached = next(self.hits)
        new, self._counted = reached - self._counted, reached + 1
        if not new:
            return {}
        keys: Counter[tuple[str, str, str]] = Counter()
        left = min(new, _SAMPLE)
        for _, key, model, version in reversed(self.recent):
            if key is not None and version is not None:
                keys[key, model, version] += 1
                left -= 1
                if not left:
                    break
        cells: Counter[Cell] = Counter()
        for (key, model, version), number in keys.most_common(_LOOK_UPS):
            cell = self._cell(key, model, version)
            if cell is not None:
                cells[cell] += number
        seen = sum(cells.values())
        return {cell: round(number * new / seen) for cell, number in cells.items()}

    def _cell(self, key: str | None, model: Any, version: str | None) -> Cell | None:
        if key is None or version is None:
            return model if isinstance(model, Cell) else None
        spectrum = self._spectrums.get(key) or self._stored_spectrum(key)
        if spectrum is None:
            return None
        self._spectrums[key] = spectrum
        return Cell(model, spectrum, version)
