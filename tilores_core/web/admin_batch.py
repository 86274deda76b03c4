"""`/admin/batch`: batches over HTTP, for admins alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from tilores_core.jobs.intake import BatchIntake
from tilores_core.web.admin import Actor, admin_router
from tilores_core.web.problems import WITH_BODY, Problem, Responses
from tilores_core.web.server_events import Events, Followers, describe_events, encode_event

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job as StoredJob

PATH: Final = "/admin/batch"
NDJSON: Final = "application/x-ndjson"
_CSV: Final = "text/csv"
_LOOK_SECONDS: Final = 0.5
_BLOCK: Final = 64 * 1024
_LINES: Final = {"description": "A line for each question; what may be in one is each line's own matter."}
_EVENTS: Final = describe_events("`data`: the job as JSON", "progress", "end")
_LINE: Final = {"type": "string", "description": "One JSON object a line; docs/batch.md has its fields."}
JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="as POST /admin/batch gave it")]


class Job(BaseModel):
    """A batch. `lines` is how many there are, about until it is done; `totals` what has come of them so far."""

    id: str
    state: Literal["queued", "running", "cancelling", "done", "failed", "cancelled"]
    owner: str = Field(description="name of the key that sent it")
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    lines: int | None = None
    totals: dict[str, int | float] = Field(default_factory=dict)
    error: str | None = Field(None, description="why all of it failed; the lines' errors are in the results")
    note: str | None = Field(None, description="why it waits, and what to do: no worker process is running")


def batch_routes(batches: BatchIntake, is_ready: Callable[[], bool], note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. `note`: says when no worker process is running."""
    down: Responses = {503: {"model": Problem, "description": "The database is down"}}
    router = admin_router("/admin", {422: WITH_BODY[422]}, down)
    followers = Followers("batches", "ask for the job itself instead")
    missing: Responses = {404: {"model": Problem, "description": "There is no such batch"}}
    too_much: Responses = {
        413: {"model": Problem, "description": "The body is larger than [batch] max_body_bytes"},
        429: {"model": Problem, "description": "Too many batches already"},
    }
    body = {"required": True, "content": {NDJSON: {"schema": _LINES}, _CSV: {"schema": _LINES}}}

    @router.post(
        "/batch", status_code=202, responses=too_much, openapi_extra={"requestBody": body}, response_model=Job
    )
    async def submit(
        request: Request,
        response: Response,
        actor: Actor,
        model: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        concurrency: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    ) -> Job:
        """Ask many questions: JSON lines or CSV in, a job out. The reply comes when the body is safely kept."""
        is_csv = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _CSV
        job = await batches.submit(
            request.stream(),
            form="csv" if is_csv else "jsonl",
            owner=actor,
            model=model,
            concurrency=concurrency or 0,
        )
        response.headers["Location"] = f"{PATH}/{job.id}"
        return _to_job(job, note())

    @router.get("/batch/{id}", responses=missing)
    async def look(id: JobId) -> Job:
        """Its state and totals."""
        return _to_job(await _job(batches, id), note())

    @router.get("/batch/{id}/events", response_class=StreamingResponse, responses={**missing, **_EVENTS})
    async def events(id: JobId) -> StreamingResponse:
        """Its progress as server-sent events, until it has ended: `progress`, then `end`; the data is the job."""
        return followers.reply(_follow(batches, await _job(batches, id), is_ready, note))

    @router.get(
        "/batch/{id}/results",
        response_class=StreamingResponse,
        responses={**missing, 200: {"content": {NDJSON: {"schema": _LINE}}}},
    )
    async def results(id: JobId) -> StreamingResponse:
        """The results there are now, in the order of the input; whole lines."""
        await _job(batches, id)
        return StreamingResponse(_lines(batches.output(id)), media_type=NDJSON)

    @router.delete("/batch/{id}", responses=missing)
    async def cancel(id: JobId) -> Job:
        """Cancel it. Finished lines stay; lines in progress are given up."""
        await _job(batches, id)
        return _to_job(await batches.cancel(id) or await _job(batches, id))

    return router


async def _job(batches: BatchIntake, job_id: str) -> StoredJob:
    job = await batches.get(job_id)
    if job is None:
        raise HTTPException(404, "there is no such batch")
    return job


def _to_job(job: StoredJob, note: str | None = None) -> Job:
    shown = Job.model_validate(job, from_attributes=True)
    return shown if shown.ended is not None else shown.model_copy(update={"note": note})


async def _follow(
    batches: BatchIntake, job: StoredJob, is_ready: Callable[[], bool], note: Callable[[], str | None]
) -> Events:
    """Until the job has ended, or the server is about to."""
    last = b""
    current: StoredJob | None = job
    while current is not None:
        ended = current.ended is not None
        event = encode_event("end" if ended else "progress", _to_job(current, note()).model_dump(mode="json"))
        yield event if event != last else None
        last = event
        if ended or not is_ready():
            return
        await asyncio.sleep(_LOOK_SECONDS)
        current = await batches.get(job.id)


async def _lines(path: FilePath) -> AsyncIterator[bytes]:
    """The whole lines of a file that may still grow."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        return
    try:
        rest = b""
        while block := await asyncio.to_thread(file.read, _BLOCK):
            whole, end, rest = (rest + block).rpartition(b"\n")
            if end:
                yield whole + end
    finally:
        await asyncio.to_thread(file.close)
