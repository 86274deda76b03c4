"""An end to requests whose body does not arrive."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from tilores_core.errors import DeadlineExceededError
from tilores_core.web.exchange import Exchange

_LOOKS_PER_LIMIT = 6


class SlowBodies:
    """Reads bodies and gives each at most `seconds`.

    One look at all that wait, every few seconds, instead of a timer for each: a timer costs as much as the rest of
    reading a body that is there already, and nearly all are.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._ended: set[asyncio.Task[Any]] = set()
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._look())

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def read(self, exchange: Exchange, limit: int) -> bytes:
        """The body. Raises as `Exchange.body`, and `DeadlineExceededError` when it does not arrive."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read inside a task")
        self._since[task] = monotonic()
        try:
            return await exchange.body(limit)
        except asyncio.CancelledError:
            if task in self._ended and not task.uncancel():
                raise DeadlineExceededError(f"the body did not arrive within {self._seconds:g} s") from None
            raise
        finally:
            del self._since[task]
            self._ended.discard(task)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _LOOKS_PER_LIMIT)
            begun_before = monotonic() - self._seconds
            for task, since in self._since.items():
                if since < begun_before and task not in self._ended:
                    self._ended.add(task)
                    task.cancel()
