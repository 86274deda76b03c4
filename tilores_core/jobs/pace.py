"""Background work on the event loop that callers are served from: it goes on only while the loop is idle enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_SLICE: Final = 0.001
_LONGEST: Final = 0.05


class Pace:
    """`live`: how many callers are being served now.

    Each step lets the loop go round once and sees how long that took. A round longer than a millisecond means that
    the loop is full, with work of callers or with this work's own: then it stands back for as long, or three times as
    long while callers are served, so that whoever comes finds the loop free.
    """

    def __init__(self, live: Callable[[], int] = lambda: 0) -> None:
        self._live = live

    async def give_way(self) -> None:
        """Between two steps of the work."""
        begun = time.perf_counter()
        await asyncio.sleep(0)
        round_trip = time.perf_counter() - begun
        served = self._live() > 0
        if served or round_trip > _SLICE:
            await asyncio.sleep(min(_LONGEST, max(round_trip, _SLICE) * (3 if served else 1)))
