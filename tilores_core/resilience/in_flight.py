"""Calls that several callers share: the first caller starts one, others join it, and all get its result."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Generic, TypeVar

from tilores_core.errors import OverloadedError
from tilores_core.resilience.priority import Budget
from tilores_core.resilience.tasks import current_task

T = TypeVar("T")
P = TypeVar("P")


class InFlightCall(Generic[T, P]):
    """One call in progress, with the result `T` and, for streaming, pieces `P` on the way to it.

    `work` starts at once in a task of its own. It gets a function that hands over one piece; pieces are kept, so that
    a late joiner gets them from the first on. A caller who leaves does not disturb the others; when the last one
    leaves, the call is cancelled. An error reaches every waiter.

    `budget` is the time and priority that `work` has; it grows to the most patient waiter that joins. `note` is for
    the starter's use. `on_close` is called once, as soon as no caller can join any more, `on_end` when it has ended.
    """

    def __init__(
        self,
        work: Callable[[Callable[[P], None]], Awaitable[T]],
        *,
        budget: Budget | None = None,
        note: Any = None,
        on_close: Callable[[InFlightCall[T, P]], None] = lambda _: None,
        on_end: Callable[[InFlightCall[T, P]], None] = lambda _: None,
    ) -> None:
        self.budget = budget or Budget(math.inf)
        self.note = note
        self.waiters = 0
        self._pieces: list[P] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._on_close: Callable[[InFlightCall[T, P]], None] | None = on_close
        self._on_end = on_end
        self._loop = current_task().get_loop()
        self._task: asyncio.Task[T] = self._loop.create_task(self._run(work))

    @property
    def task(self) -> asyncio.Task[T]:
        return self._task

    def join(self, budget: Budget | None = None) -> None:
        """Count one more waiter; each ends with one `result`, `follow`, `leave` or `leave_after`."""
        self.waiters += 1
        if budget is not None and budget is not self.budget:
            self.budget.extend(budget)

    def leave(self) -> None:
        self.waiters -= 1
        if not self.waiters and not self._task.done():
            self.cancel()

    def leave_after(self, seconds: float) -> None:
        """Leave later: the call goes on for so long without a caller."""
        self._timer = self._loop.call_later(seconds, self.leave)

    def cancel(self) -> None:
        """End the call; waiters get `OverloadedError`."""
        self._close()  # no caller may join a call that is about to end
        if self._task.cancel():
            self._task.add_done_callback(self._end)  # one that has not begun to run has nothing to end with

    async def result(self) -> T:
        """The result, for a caller who has joined. Raises what the call raised."""
        try:
            while not self._task.done():
                await self._wait_for_news()
            return self._outcome()
        finally:
            self.leave()

    async def follow(
        self, until: float = math.inf, error: Callable[[], Exception] = TimeoutError
    ) -> AsyncGenerator[P | T, None]:
        """All pieces from the first on, then the result, for a caller who has joined.

        Raises what `error` makes at `until` (`time.monotonic()`), when the caller's own time is over.
        """
        seen, timer = 0, None
        if until < math.inf:
            timer = self._loop.call_later(max(0.0, until - time.monotonic()), self._wake)
        try:
            while True:
                while seen < len(self._pieces):
                    seen += 1
                    yield self._pieces[seen - 1]
                # Nothing is awaited between the last look at the pieces and the wait, so no wake-up is missed.
                if self._task.done():
                    break
                if time.monotonic() >= until:
                    raise error()
                await self._wait_for_news()
            yield self._outcome()
        finally:
            if timer is not None:
                timer.cancel()
            self.leave()

    def _outcome(self) -> T:
        if self._task.cancelled():
            raise OverloadedError("the call behind this request was cancelled", fix="ask again")
        return self._task.result()

    async def _run(self, work: Callable[[Callable[[P], None]], Awaitable[T]]) -> T:
        try:
            return await work(self._add)
        except Exception:
            self._task.add_done_callback(asyncio.Task.exception)  # fetched: perhaps no waiter is left to fetch it
            raise
        finally:
            self._end()

    def _add(self, piece: P) -> None:
        self._pieces.append(piece)
        self._wake()

    def _wait_for_news(self) -> asyncio.Future[None]:
        news = self._loop.create_future()
        self._waiting.append(news)
        return news

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            if not news.done():  # its waiter has gone
                news.set_result(None)

    def _end(self, _: object = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._close()
        self._wake()
        self._on_end(self)

    def _close(self) -> None:
        if self._on_close is not None:
            on_close, self._on_close = self._on_close, None
            on_close(self)


class InFlightCalls(Generic[T, P]):
    """The calls in progress by key. For one event loop."""

    def __init__(self) -> None:
        self._by_key: dict[str, InFlightCall[T, P]] = {}
        self._all: set[InFlightCall[T, P]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def get(self, key: str) -> InFlightCall[T, P] | None:
        """The call in progress for `key` that was started last."""
        return self._by_key.get(key)

    def start(
        self,
        key: str,
        work: Callable[[Callable[[P], None]], Awaitable[T]],
        *,
        budget: Budget | None = None,
        note: Any = None,
    ) -> InFlightCall[T, P]:
        """Start a call; later callers find this one. Raises `OverloadedError` after `aclose`."""
        if self._closed:
            raise OverloadedError("the server is shutting down", fix="ask again in a moment")

        def forget(ended: InFlightCall[T, P]) -> None:
            if self._by_key.get(key) is ended:
                del self._by_key[key]

        call = InFlightCall(work, budget=budget, note=note, on_close=forget, on_end=self._all.discard)
        self._by_key[key] = call
        self._all.add(call)
        return call

    async def aclose(self) -> None:
        """Cancel all calls and wait until they have ended."""
        self._closed = True
        calls = tuple(self._all)
        for call in calls:
            call.cancel()
        await asyncio.gather(*(call.task for call in calls), return_exceptions=True)
