"""Finished calls of a run, committed to the store before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from tilores_core.quality.evaluation.results import AnswerResult

if TYPE_CHECKING:
    from tilores_core.store.evaluations import RunState, StoredRun


class KeepsEvaluations(Protocol):
    """Where runs and their finished calls are kept: `store.evaluations.Evaluations`, or what has its methods."""

    async def begin(
        self, run_id: str, *, digest: str, prompt_version: str, options: Mapping[str, Any]
    ) -> StoredRun: ...

    async def start(self, run_id: str, *, digest: str, prompt_version: str, options: Mapping[str, Any]) -> None: ...

    async def find_unfinished(self, digest: str) -> StoredRun | None: ...

    async def results(self, run_id: str) -> list[dict[str, Any]]: ...

    async def add(self, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None: ...

    async def end(self, run_id: str, *, state: RunState, summary: Mapping[str, Any]) -> None: ...


class HoldsEvaluations(Protocol):
    """A store, as far as an evaluation needs one."""

    @property
    def evaluations(self) -> KeepsEvaluations: ...


class OpensEvaluations(Protocol):
    """A `LazyStore`, as far as an evaluation needs one."""

    async def get(self) -> HoldsEvaluations: ...


class Journal:
    """Writes results in groups: a caller that adds one continues when its group is committed.

    Without a store (`evaluations` None) results are kept in memory alone.
    """

    def __init__(self, evaluations: KeepsEvaluations | None, run_id: str) -> None:
        self._evaluations = evaluations
        self._run_id = run_id
        self._waiting: list[tuple[AnswerResult, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Journal:
        if self._evaluations is not None:
            self._task = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def add(self, result: AnswerResult) -> None:
        """Returns when it is committed. Raises `StoreError`."""
        if self._task is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, done))
        self._work.set()
        await done

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            group, self._waiting = self._waiting, []
            if not group or self._evaluations is None:
                continue
            try:
                await self._evaluations.add(self._run_id, [result.row() for result, _ in group])
            except Exception as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
