"""A share of one processor core that work may use: a token bucket over measured CPU time of the working thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_BURST_SECONDS: Final = 2.0


class CpuBudget:
    """A share of CPU time for optional work.

    `share`: of one core, 0.01 for one per cent. What is not used is kept for two seconds.

    Work may take more than is left, because its time is known only afterwards; then none is allowed until that is
    made up.
    """

    def __init__(
        self,
        share: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._share = share
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._left = share * _BURST_SECONDS
        self._at = clock()
        self.used = 0.0
        """CPU seconds since the start."""

    def allows(self) -> bool:
        """Whether work may begin now."""
        now = self._clock()
        self._left = min(self._left + (now - self._at) * self._share, self._share * _BURST_SECONDS)
        self._at = now
        return self._left > 0

    @contextmanager
    def measure(self) -> Iterator[None]:
        """Take the CPU time of the block, in this thread, from the budget."""
        began = self._cpu_clock()
        try:
            yield
        finally:
            taken = self._cpu_clock() - began
            self.used += taken
            self._left -= taken
