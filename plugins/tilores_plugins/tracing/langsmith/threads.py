"""Blocking calls in threads of their own, with a deadline that holds whatever the call does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

T = TypeVar("T")

_MOST = 4


class StuckError(Exception):
    """Calls of before have not come back; another one is not begun."""


class Threads:
    """A thread for each call: one that hangs is left behind, and being a daemon does not keep the process alive."""

    def __init__(self) -> None:
        self._running = 0

    async def call(self, work: Callable[[], T], seconds: float) -> T:
        """What `work` returns or raises. Raises `TimeoutError` after `seconds`, `StuckError` when too many hang."""
        if self._running >= _MOST:
            raise StuckError("too many calls hang")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                tell(partial(done.set_exception, error))
            else:
                tell(partial(done.set_result, result))

        def tell(settle: Callable[[], None]) -> None:
            def back() -> None:
                self._running -= 1
                if not done.done():
                    settle()

            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(back)

        self._running += 1
        threading.Thread(target=run, name="langsmith", daemon=True).start()
        async with asyncio.timeout(seconds):
            return await done
