"""How late the event loop is: a timer that rings four times a second, and how much later than asked for it does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Sample
from tilores_core.metrics.histogram import LAG_BOUNDS, Histogram

_EVERY = 0.25


class LoopLag:
    """Rings from `start` to `stop`."""

    def __init__(self) -> None:
        self._lags = Histogram(LAG_BOUNDS)
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(_EVERY, self._ring, loop, loop.time() + _EVERY)

    def _ring(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._lags.add(max(0.0, now - due))
        self._handle = loop.call_later(_EVERY, self._ring, loop, now + _EVERY)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def samples(self) -> Iterator[Sample]:
        yield Sample(catalogue.LOOP_LAG, (), self._lags.value)
