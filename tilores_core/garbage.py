"""When Python looks for garbage in a process that serves callers.

By itself it looks once so many more objects were made than freed. Turns behind the scenes free about as many as they
make, so that ten thousand pile up before it looks; then it takes 5 to 15 ms, and 100 when it looks at everything, and
meanwhile nobody is served. Here it looks at little, and often: at what a piece of work leaves as soon as that is
over, at what has outlived this every five seconds, and at everything at most once a minute.

What a library brings that is imported later (a database's, a provider's) is not looked at at all: one look at that
takes as long as everything else. Nor may a thread that computes, as importing does, keep Python's lock from the event
loop for as long as Python would let it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import Final

_SECONDS: Final = 5.0
_LOOKS_A_MINUTE: Final = 12
_LOOKS_AN_HOUR: Final = 720
_GROWN: Final = 1.25  # as Python has it
_NEVER: Final = 1_000_000
_A_LIBRARY: Final = 20
"""So many modules more than when what is there was last kept."""
_SWITCH_SECONDS: Final = 0.001


class GarbageCollection:
    """For one process: while it is started, Python itself looks at the youngest alone.

    What is there at the start stays out of every look for good, also after `aclose`: libraries and settings. So does
    what is there when a library has been imported later; garbage that nobody has looked at by then is never freed.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._before: tuple[tuple[int, int, int], float] | None = None
        self._old = 0
        self._modules = 0
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        before = gc.get_threshold()
        if before[1] != _NEVER:  # another has not changed it already, who will put it back
            self._before = before, sys.getswitchinterval()
        gc.collect()
        self._keep()
        gc.set_threshold(before[0], _NEVER, _NEVER)
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._looking = asyncio.create_task(self._look())

    @staticmethod
    def young() -> None:
        """Look at what was made since the last look: a tenth of a millisecond, after a millisecond's work."""
        gc.collect(0)

    def _keep(self) -> None:
        gc.freeze()
        self._modules = len(sys.modules)
        self._old = 0

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            if len(sys.modules) >= self._modules + _A_LIBRARY:
                self._keep()
            gc.collect(1)
            # An explicit look keeps Python from going on to the oldest, so that is ours to do as well.
            looks = gc.get_count()[2]
            if looks % _LOOKS_A_MINUTE == 0 and (looks >= _LOOKS_AN_HOUR or _olds() > self._old * _GROWN):
                gc.collect()
                self._old = _olds()

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._before is not None:
            threshold, switch = self._before
            gc.set_threshold(*threshold)
            sys.setswitchinterval(switch)


def _olds() -> int:
    """How many there are that outlived two looks; counting takes a hundredth of looking."""
    return len(gc.get_objects(generation=2))
