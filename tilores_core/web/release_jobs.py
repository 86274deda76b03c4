"""What `/admin/prompts` and `/admin/experiments` answer while the worker process asks golden questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tilores_core.errors import (
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    TiloresError,
    UnknownModelError,
    UnknownNameError,
    error_code,
)
from tilores_core.release.jobs import Action, ReleaseJobs
from tilores_core.web.problems import MISSING, Problem, Responses

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job

_KINDS: Final[tuple[type[Any], ...]] = (
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    UnknownNameError,
    UnknownModelError,
)
_ERRORS: Final = {error_code(kind("")): kind for kind in _KINDS}

Wait = Annotated[
    float,
    Query(
        ge=0,
        le=60,
        description="seconds to wait for the golden questions; then, or without a worker process, the answer is 202",
    ),
]


class ReleaseJob(BaseModel):
    """What the worker process was asked for. `result`: what the request would have been answered with."""

    id: str
    action: Action
    state: Literal["queued", "running", "done", "failed"]
    created: str = Field(description="ISO 8601")
    ended: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    note: str | None = Field(None, description="why it waits, and what to do: no worker process is running")


ACCEPTED: Final[Responses] = {
    202: {"model": ReleaseJob, "description": "It goes on in the worker process; `Location` says how it ended"},
    409: {"model": Problem, "description": "A check refuses it, or it does not fit what is there; `detail` says why"},
}


class JobDesk:
    """Asks for jobs and answers for them. `path`: of the router. `note`: says when no worker process is running."""

    def __init__(self, jobs: ReleaseJobs, path: str, note: Callable[[], str | None]) -> None:
        self._jobs = jobs
        self._path = path
        self._note = note

    async def run(
        self, action: Action, request: dict[str, Any], *, owner: str, seconds: float, status: int = 200
    ) -> JSONResponse:
        """What it came to when it ends in time, else 202 with the job; at once when no worker process would do it.

        Raises what the work raised.
        """
        job = await self._jobs.ask(action, request, owner=owner)
        if self._note() is None:
            job = await self._jobs.wait(job, seconds)
        if job.ended is None:
            headers = {"Location": f"{self._path}/jobs/{job.id}", "Retry-After": "2"}
            return JSONResponse(self._row(job).model_dump(), 202, headers)
        if job.state == "done":
            return JSONResponse(dict(job.totals), status)
        message, fix = job.error or "it failed", job.totals.get("fix")
        kind = _ERRORS.get(job.totals.get("error", ""), TiloresError)
        raise kind(message, fix=fix)

    def add_route(self, router: APIRouter) -> None:
        @router.get("/jobs/{job_id}", responses=MISSING)
        async def job(job_id: str) -> ReleaseJob:
            """A check or deployment that the worker process was asked for."""
            found = await self._jobs.get(job_id[:64])
            if found is None:
                raise UnknownNameError("there is no such job; jobs that ended long ago are forgotten", param="job_id")
            return self._row(found)

    def _row(self, job: Job) -> ReleaseJob:
        return ReleaseJob(
            id=job.id,
            action=job.options["action"],
            state=job.state,
            created=job.created.isoformat(),
            ended=None if job.ended is None else job.ended.isoformat(),
            result=dict(job.totals) if job.ended is not None else None,
            error=job.error,
            note=self._note() if job.ended is None else None,
        )
