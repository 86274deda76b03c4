"""`/admin/evaluations`: ask for an evaluation; the runs, and the scores of one. `/admin/quality`: live quality."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tilores_core.errors import UnknownNameError
from tilores_core.quality.evaluation.plan import EvaluationRequest
from tilores_core.quality.evaluation.queue import EvaluationQueue
from tilores_core.quality.overview import quality_overview
from tilores_core.settings import QualityTable
from tilores_core.store.lazy import LazyStore
from tilores_core.web.admin import Actor, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY, Problem, Responses

_MOST: Final = 200
_SHOWN: Final = 5


class EvaluationRow(BaseModel):
    """A run: what was asked for, and the means of its scores."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    state: Literal["queued", "running", "done", "stopped", "failed"]
    created: datetime
    ended: datetime | None = None
    prompt_version: str
    options: dict[str, Any] = Field(description="models, splits, seed, judge, …")
    summary: dict[str, Any] = Field(description="means by score, model and spectrum; empty while it runs")


class EvaluationCell(BaseModel):
    """The overall score of a model in a spectrum; the interval is that of the mean, at 95 %."""

    model: str
    spectrum: str
    mean: float | None
    low: float | None
    high: float | None
    count: int
    errors: int


class EvaluationTable(EvaluationRow):
    """A run with its table."""

    table: list[EvaluationCell]


class EvaluationQueued(BaseModel):
    """The run that the worker process will do."""

    id: str
    note: str | None = Field(None, description="why it waits, and what to do: no worker process is running")


def evaluation_routes(queue: EvaluationQueue, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. `note`: says when no worker process is running."""
    router = admin_router("/admin")
    busy: Responses = {429: {"model": Problem, "description": "Too many evaluations wait"}}

    @router.get("/evaluations", responses=WITH_BODY)
    async def evaluations(limit: Annotated[int, Query(ge=1, le=_MOST)] = 20) -> list[EvaluationRow]:
        """The latest evaluations, newest first."""
        runs = await (await queue.store.get()).evaluations.recent(limit=limit)
        return [EvaluationRow.model_validate(run) for run in runs]

    @router.post("/evaluations", status_code=202, responses={**WITH_BODY, **busy})
    async def evaluate(actor: Actor, what: EvaluationRequest) -> EvaluationQueued:
        """Have the worker process evaluate models and a prompt, as `tilores evaluate` does."""
        return EvaluationQueued(id=await queue.ask(what, owner=actor), note=note())

    @router.get("/evaluations/{run_id}", responses={**WITH_BODY, **MISSING})
    async def evaluation(run_id: str) -> EvaluationTable:
        """One evaluation with its table of models and spectrums."""
        from tilores_core.quality.evaluation.results import AnswerResult, score_table

        found = (await queue.store.get()).evaluations
        run = await found.get(run_id) if run_id.isprintable() else None
        if run is None:
            latest = [run.id for run in await found.recent(limit=_SHOWN)]
            raise UnknownNameError(
                f"there is no evaluation '{run_id[:64]}'", fix=f"the latest: {', '.join(latest) or 'none yet'}"
            )
        table = score_table(AnswerResult.of_row(row) for row in await found.results(run_id))
        cells = [
            EvaluationCell(model=model, spectrum=spectrum, **asdict(cell))
            for (model, spectrum), cell in sorted(table.cells.items())
        ]
        return EvaluationTable(**EvaluationRow.model_validate(run).model_dump(), table=cells)

    return router


def quality_routes(store: LazyStore, table: QualityTable) -> APIRouter:
    """For admin keys."""
    router = admin_router("/admin", WITH_BODY)

    @router.get("/quality")
    async def quality(
        hours: Annotated[int, Query(ge=1, le=24 * 366, description="how far back")] = 24,
    ) -> dict[str, Any]:
        """Scores, shares and levels of the last hours, and the trend of each model and spectrum."""
        return await quality_overview(store, table, now_ms=round(time.time() * 1000), hours=hours)

    return router
