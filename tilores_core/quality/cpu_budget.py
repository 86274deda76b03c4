"""A share of one processor core that work may use: a token bucket over the CPU time that was used."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 2.0


class CpuBudget:
    """A share of CPU time for optional work.

    `share`: of one core, 0.01 for one per cent. What is not used is kept for two seconds.

    Work may take more than is left, because its time is known only afterwards; then none is allowed until that is
    made up.
    """

    def __init__(self, share: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self.left = share * _BURST_SECONDS
        """CPU seconds that may be used now."""
        self._at = clock()
        self.used = 0.0
        """CPU seconds since the start."""

    def allows(self) -> bool:
        """Whether work may begin now."""
        now = self._clock()
        self.left = min(self.left + (now - self._at) * self._share, self._share * _BURST_SECONDS)
        self._at = now
        return self.left > 0

    def charge(self, seconds: float) -> None:
        """Take CPU time that was used from the budget."""
        self.used += seconds
        self.left -= seconds
