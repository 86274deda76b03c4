"""Finished calls of a run, committed to the store before they count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
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
    """Writes results in groups: a caller that adds one continues when it is committed.

    Callers that come while a group is being written are the next group. With `answers` None results are kept in
    memory alone.
    """

    def __init__(self, answers: KeepsAnswers | None) -> None:
        self._answers = answers
        self._waiting: list[AnswerResult] = []
        self._writing = asyncio.Lock()

    async def add(self, result: AnswerResult) -> None:
        """Returns when it is committed. Raises `StoreError`."""
        if self._answers is None:
            return
        self._waiting.append(result)
        async with self._writing:
            group, self._waiting = self._waiting, []
            if not group:  # the caller before has written it
                return
            try:
                await self._answers.add([one.row() for one in group])
            except BaseException:
                self._waiting = group + self._waiting  # its other callers write it, or fail as this one
                raise
