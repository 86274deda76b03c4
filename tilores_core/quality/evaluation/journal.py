"""Finished calls of a run, committed to the store before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from tilores_core.quality.evaluation.results import AnswerResult

if TYPE_CHECKING:
    from tilores_core.store.evaluations import Evaluations


class KeepsAnswers(Protocol):
    """Where the finished calls of one run are kept, as rows of `AnswerResult`."""

    async def load(self) -> list[dict[str, Any]]: ...

    async def add(self, rows: Iterable[Mapping[str, Any]]) -> None: ...


class RunAnswers:
    """The finished calls of a run in the store."""

    def __init__(self, evaluations: Evaluations, run_id: str) -> None:
        self._evaluations = evaluations
        self._run_id = run_id

    async def load(self) -> list[dict[str, Any]]:
        return await self._evaluations.results(self._run_id)

    async def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        await self._evaluations.add(self._run_id, rows)


class Journal:
    """Writes results in groups: a caller that adds one continues when its group is committed.

    With `answers` None results are kept in memory alone.
    """

    def __init__(self, answers: KeepsAnswers | None) -> None:
        self._answers = answers
        self._waiting: list[tuple[AnswerResult, asyncio.Future[None]]] = []
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Journal:
        if self._answers is not None:
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
            if not group or self._answers is None:
                continue
            try:
                await self._answers.add([result.row() for result, _ in group])
            except Exception as error:
                for _, done in group:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in group:
                    if not done.done():
                        done.set_result(None)
