"""`/admin/improvement`: cycles, why none is triggered now, and a switch to pause them.

`/admin/evaluations`: the runs, and a way to ask for one. `/admin/quality`: live quality.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from tilores_core.errors import UnknownNameError
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.improve.report import ImprovementEvents, as_html, as_markdown, cycle_row, list_cycles, list_episodes
from tilores_core.quality.evaluation.plan import EvaluationRequest
from tilores_core.quality.evaluation.queue import EvaluationQueue
from tilores_core.quality.overview import quality_overview
from tilores_core.settings import QualityTable
from tilores_core.settings.improve import ImproveTable
from tilores_core.store.lazy import LazyStore
from tilores_core.web.admin import NO_STORE, Actor, Body, Reason, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY, Problem, Responses
from tilores_core.web.server_events import Events, Followers, describe_events, encode_event

if TYPE_CHECKING:
    from tilores_core.store.improvement import StoredCycle

_LOOK_SECONDS: Final = 1.0
_NO_SCRIPTS: Final = "default-src 'none'; style-src 'unsafe-inline'"
_LIST: Final = "GET /admin/improvement lists them"
_EVENTS: Final = describe_events(
    "`data`: JSON; see docs/improvement.md", "cycle", "phase", "progress", "decision", "episode"
)


class Switch(Body):
    reason: Reason


def improvement_routes(
    store: LazyStore, table: ImproveTable, healing: str, is_ready: Callable[[], bool]
) -> APIRouter:
    """For admin keys, whose name is the actor in the audit log. Cycles run in the worker. `healing`: its mode."""
    router = admin_router("/admin/improvement", NO_STORE, {422: WITH_BODY[422]})
    orchestrator = ContinuousImprovementOrchestrator(store, table)

    async def look(cycles: int) -> dict[str, Any]:
        found = asdict(await orchestrator.look())
        return {"triggered": orchestrator.triggered, **found, "cycles": await list_cycles(store, cycles)}

    @router.get("")
    async def overview(limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> dict[str, Any]:
        """What is breached, what a cycle may take now and why not, who paused it, and the latest cycles."""
        return await look(limit)

    @router.post("/pause", responses=WITH_BODY)
    async def pause(what: Switch, actor: Actor) -> dict[str, Any]:
        """Let no cycle be triggered; one that runs goes on to its end."""
        await orchestrator.pause(actor=actor, reason=what.reason)
        return await look(1)

    @router.post("/resume", responses=WITH_BODY)
    async def resume(what: Switch, actor: Actor) -> dict[str, Any]:
        """End a pause."""
        await orchestrator.resume(actor=actor, reason=what.reason)
        return await look(1)

    changes = ImprovementEvents(store)
    followers = Followers("improvement", "ask for /admin/improvement instead")

    @router.get("/events", response_class=StreamingResponse, responses=_EVENTS)
    async def events() -> StreamingResponse:
        """What happens in cycles and episodes, as server-sent events, until the client goes away: at first how things
        stand, then each change."""
        return followers.reply(_follow(changes, is_ready))

    @router.get("/episodes")
    async def episodes(limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> dict[str, Any]:
        """What healing has found and done, the newest first, and what was learned from it."""
        return {"mode": healing, **await list_episodes(store, limit)}

    async def find(cycle: str) -> StoredCycle:
        found = await (await store.get()).improvement.get(cycle)
        if found is None:
            raise UnknownNameError(f"there is no improvement cycle '{cycle}'", param="cycle", fix=_LIST)
        return found

    @router.get("/cycles/{cycle}", responses=MISSING)
    async def show(cycle: Annotated[str, Field(max_length=64)]) -> dict[str, Any]:
        """A cycle with what each phase found, and its report as Markdown."""
        found = await find(cycle)
        return {**cycle_row(found), "phases": found.phases, "report": as_markdown(found)}

    # Not declared as an HTMLResponse: its errors are JSON as any other's.
    @router.get(
        "/cycles/{cycle}/report", response_class=Response, responses={**MISSING, 200: {"content": {"text/html": {}}}}
    )
    async def report(cycle: Annotated[str, Field(max_length=64)]) -> HTMLResponse:
        """Its report as one page with charts, without scripts."""
        return HTMLResponse(as_html(await find(cycle)), headers={"Content-Security-Policy": _NO_SCRIPTS})

    return router


async def _follow(events: ImprovementEvents, is_ready: Callable[[], bool]) -> Events:
    async with aclosing(events.follow(_LOOK_SECONDS)) as changes:
        async for changed in changes:
            for name, data in changed:
                yield encode_event(name, data)
            if not changed:
                yield None
            if not is_ready():
                return


# --- evaluations, quality --------------------------------------------------------------------------------------

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
