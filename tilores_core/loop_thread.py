"""An event loop in a thread of its own, for callers that block: a prompt, an executor's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from threading import Thread
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_CLOSE_SECONDS = 15.0


class EventLoopThread(Generic[T]):
    """Opens an asynchronous context manager on its own event loop and runs coroutines there.

    `with EventLoopThread(options.open_services()) as loop: loop.run(work(loop.opened))`. Ctrl-C reaches the main
    thread, and the loop serves its background tasks meanwhile.
    """

    def __init__(self, context: AbstractAsyncContextManager[T]) -> None:
        self._context = context
        self._opened: Future[tuple[T, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        # A daemon: a call that hangs in it must not keep the process from ending.
        self._thread = Thread(target=self._live, name="event-loop", daemon=True)

    @property
    def opened(self) -> T:
        """What the context manager returned."""
        return self._opened.result()[0]

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run the coroutine on the loop and wait for its result; an interrupt here cancels it there."""
        future = asyncio.run_coroutine_threadsafe(work, self._opened.result()[1])
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def __enter__(self) -> Self:
        self._thread.start()
        self._opened.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _, loop, closing = self._opened.result()
        loop.call_soon_threadsafe(closing.set)
        self._thread.join(_CLOSE_SECONDS)

    def _live(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._opened.done():  # it failed while opening: `__enter__` raises it
                self._opened.set_exception(error)

    async def _serve(self) -> None:
        async with self._context as opened:
            closing = asyncio.Event()
            self._opened.set_result((opened, asyncio.get_running_loop(), closing))
            await closing.wait()
