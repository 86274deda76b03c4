"""A strategy at work: what it may call, and the thread that it runs in.

A strategy is someone else's code. It has an event loop in a thread of its own, so that one that blocks holds up
neither the leases nor the other tasks of this process; what it asks of the core runs on the core's loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from tilores_core.contracts import Candidate, OptimizerStrategy, ScoredCandidate, ScoredCase
from tilores_core.errors import ConfigError, InvalidRequestError

if TYPE_CHECKING:
    from tilores_core.improve.engine import ContinuousOptimizationEngine

log = structlog.get_logger(part="improve")

_MOST_REFUSALS: Final = 20
SECONDS_TO_END: Final = 5.0
T = TypeVar("T")


class TrainingTask:
    """The `OptimizerTask` of one cycle, all that a strategy gets. Made on the core's loop, called on any other.

    `failure`: the first error that a call of the strategy ended with, also when the strategy goes on after it.
    `closed`: whether the strategy was ended; a call of one that goes on all the same never returns.
    """

    def __init__(self, engine: ContinuousOptimizationEngine) -> None:
        self.baseline = engine.baseline
        self.parts = self.baseline.candidate.parts
        self.lessons = engine.lessons
        self.seed = engine.seed
        self.failure: Exception | None = None
        self.closed = False
        self._engine = engine
        self._core = asyncio.get_running_loop()
        self._refusals = 0

    async def score(self, candidates: Sequence[Candidate], *, keep: int = 1) -> list[ScoredCandidate]:
        """As `OptimizerTask` says."""
        return await self._call(self._engine.select(candidates, keep))

    async def evaluate(self, candidate: Candidate, ids: Sequence[str]) -> list[ScoredCase]:
        """As `OptimizerTask` says."""
        return await self._call(self._engine.score_cases(candidate, ids))

    async def reflect(self, prompt: str) -> str:
        """As `OptimizerTask` says."""
        if (ask := self._engine.ask) is None:
            self.failure = ConfigError(
                "this strategy asks a reflection model, and there is none",
                where="[improve] reflection_model",
                fix="name a model, or use another strategy",
            )
            raise self.failure
        return await self._call(self._engine.journal.reply(prompt, ask))

    async def _call(self, working: Coroutine[Any, Any, T]) -> T:
        if self.closed:
            working.close()
            await asyncio.Event().wait()
        try:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._work(working), self._core))
        except InvalidRequestError:
            raise  # the strategy's own mistake
        except Exception as error:
            self.failure = self.failure or error
            self._refusals += 1
            if self._refusals > _MOST_REFUSALS:  # it does not let the error through, and would go on for ever
                raise asyncio.CancelledError from None
            raise

    async def _work(self, working: Coroutine[Any, Any, T]) -> T:
        if self.closed:  # on its way here
            working.close()
            raise asyncio.CancelledError
        return await working


class StrategyRun:
    """A strategy in a thread of its own, begun at once. `found`: its candidates, or what it raised."""

    def __init__(self, strategy: OptimizerStrategy, task: TrainingTask) -> None:
        self._strategy = strategy
        self._task = task
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[Any] | None = None
        found: Future[list[Candidate]] = Future()
        self.found = asyncio.wrap_future(found)
        self.found.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # or it would be logged
        context = contextvars.copy_context()
        # A daemon: a strategy that does not end must not keep the process from ending.
        self._thread = Thread(target=context.run, args=(self._run, found), name="strategy", daemon=True)
        self._thread.start()

    async def wait(self, seconds: float | None) -> bool:
        """Whether it has ended in time."""
        await asyncio.wait({self.found}, timeout=seconds)
        return self.found.done()

    async def stop(self) -> None:
        """Cancel it; one that does not end then is left behind, interrupted where it runs Python code."""
        self._task.closed = True
        if self.found.done():
            return
        if self._loop is not None and self._work is not None:
            with suppress(RuntimeError):  # the loop is closed: it has just ended
                self._loop.call_soon_threadsafe(self._work.cancel)
        if not await self.wait(SECONDS_TO_END):
            log.warning("improve.strategy_left_behind", seconds=SECONDS_TO_END)
            thread = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(SystemExit))

    def _run(self, found: Future[list[Candidate]]) -> None:
        async def improve() -> list[Candidate]:
            self._work, self._loop = asyncio.current_task(), asyncio.get_running_loop()
            if self._task.closed:
                raise asyncio.CancelledError
            return list(await self._strategy.improve(self._task))

        try:
            found.set_result(asyncio.run(improve()))
        except BaseException as error:  # what it raises ends the search, not this process
            found.set_exception(error)
