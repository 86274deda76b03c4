"""When Python looks for garbage in a process that serves callers.

By itself it looks once so many more objects were made than freed. Turns behind the scenes free about as many as they
make, so that ten thousand pile up before it looks; then it takes 5 to 15 ms, and 100 when it looks at everything, and
meanwhile nobody is served. Here it looks at little, and often: at what a piece of work leaves as soon as that is
over, at what has outlived this every five seconds, and at everything at most every two minutes.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_SECONDS: Final = 5.0
_LOOKS_BEFORE_ALL: Final = 24


class GarbageCollection:
    """For one process: what it says holds for all that runs in it, until `aclose`."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._before = gc.get_threshold()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on. What is there now is taken to stay: no look walks over libraries and settings again."""
        gc.collect()
        gc.freeze()
        # The first number is Python's own; the second leaves the middle generation to `_look`. The third counts its
        # looks; Python looks at everything then, if there is a quarter more than at the last time.
        gc.set_threshold(self._before[0], 1_000_000, _LOOKS_BEFORE_ALL)
        self._looking = asyncio.create_task(self._look())

    @staticmethod
    def young() -> None:
        """Look at what was made since the last look: a tenth of a millisecond, after a millisecond's work."""
        gc.collect(0)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            gc.collect(1)

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            gc.set_threshold(*self._before)
