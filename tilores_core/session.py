"""Services that live while somebody types.

The event loop has a thread of its own and the keyboard keeps the main one, so that Ctrl-C reaches whoever waits for a
line, and invalidations are heard meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tilores_core.app import Services

T = TypeVar("T")
_CLOSE_SECONDS = 15.0


class Session:
    """`with Session(options.services()) as session: session.run(work(session.services))`."""

    def __init__(self, services: AbstractAsyncContextManager[Services]) -> None:
        self._services = services
        self._opened: Future[tuple[Services, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        # A daemon: what hangs in it must not keep the command from ending.
        self._thread = Thread(target=self._live, name="services", daemon=True)

    @property
    def services(self) -> Services:
        return self._opened.result()[0]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work in the loop's thread and wait for it; Ctrl-C here cancels it there."""
        future = asyncio.run_coroutine_threadsafe(work, self._opened.result()[1])
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def __enter__(self) -> Session:
        self._thread.start()
        self._opened.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, loop, over = self._opened.result()
        loop.call_soon_threadsafe(over.set)
        self._thread.join(_CLOSE_SECONDS)

    def _live(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._opened.done():  # it failed while opening: `__enter__` raises it
                self._opened.set_exception(error)

    async def _serve(self) -> None:
        async with self._services as services:
            over = asyncio.Event()
            self._opened.set_result((services, asyncio.get_running_loop(), over))
            await over.wait()
