"""`/admin/prompts`: versions of the prompt, and which one is in production. `/admin/experiments`: prompt versions and
models compared on live traffic, and the figures of the monitor. The worker process asks golden questions for both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StrictBool, StringConstraints

from tilores_core.errors import (
    ConflictError,
    DeploymentRefusedError,
    InvalidRequestError,
    TiloresError,
    UnknownModelError,
    UnknownNameError,
    error_code,
)
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.release.experiments.report import as_json
from tilores_core.release.jobs import Action, ReleaseJobs
from tilores_core.release.orchestrator import ProductionIntegrationOrchestrator
from tilores_core.release.prompt_checks import LONGEST_PART
from tilores_core.release.prompts import check_label
from tilores_core.store.topics import PRODUCTION
from tilores_core.web.admin import NO_STORE, Actor, Body, Reason, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY, Problem, Responses

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Version = Annotated[int, Field(ge=1, le=10**15)]
_CONFLICT: Final[Responses] = {409: {"model": Problem, "description": "It does not fit what is in production"}}
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
    """Asks for jobs, and answers for them under `/jobs` of the router.

    `note`: says when no worker process is running.
    """

    def __init__(self, jobs: ReleaseJobs, router: APIRouter, note: Callable[[], str | None]) -> None:
        self._jobs = jobs
        self._path = f"{router.prefix}/jobs"
        self._note = note
        router.get("/jobs/{job_id}", responses=MISSING)(self.job)

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
            headers = {"Location": f"{self._path}/{job.id}", "Retry-After": "2"}
            return JSONResponse(self._row(job).model_dump(), 202, headers)
        if job.state == "done":
            return JSONResponse(dict(job.totals), status)
        message, fix = job.error or "it failed", job.totals.get("fix")
        raise _ERRORS.get(job.totals.get("error", ""), TiloresError)(message, fix=fix)

    async def job(self, job_id: str) -> ReleaseJob:
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


class NewVersion(Body):
    """A version with these parts; those of `parent` that are not named stay, and an empty text removes one."""

    parts: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=LONGEST_PART)]],
        Field(min_length=1, max_length=50),
    ]
    reason: Reason
    parent: Version | None = None


class Deploy(Body):
    version: Version
    reason: Reason
    label: Label = PRODUCTION
    skip_evaluation: StrictBool = False


class RollBack(Body):
    reason: Reason
    label: Label = PRODUCTION
    to: Annotated[Version | None, Field(description="an earlier version; default: the last")] = None


def prompt_routes(release: ProductionIntegrationOrchestrator, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log. `note`: says when no worker process runs."""
    prompts = release.prompts
    router = admin_router("/admin/prompts", NO_STORE, MISSING, {422: WITH_BODY[422]})
    desk = JobDesk(release.jobs, router, note)

    @router.get("")
    async def overview(limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> dict[str, Any]:
        """What this process serves, and the newest versions without their texts."""
        versions = [version.as_row() for version in await prompts.versions.recent(limit=limit)]
        report = prompts.report()
        known_at = datetime.fromtimestamp(report["known_at"], UTC).isoformat(timespec="seconds")
        return {**report, "known_at": known_at, "versions": versions}

    @router.get("/history")
    async def history(label: Label | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Any]:
        """Who changed what, when and why; the newest first."""
        return [entry.as_row() for entry in await prompts.versions.history(label=label, limit=limit)]

    @router.get("/versions/{version}")
    async def show(version: Annotated[str, Field(max_length=64)]) -> dict[str, Any]:
        """A version with its parts, by number or label."""
        found = await prompts.versions.get(await prompts.versions.number_of(version))
        return {**found.as_row(), "parts": dict(found.parts)}

    @router.post("", status_code=201, responses=WITH_BODY)
    async def new(actor: Actor, what: NewVersion) -> dict[str, Any]:
        """Make a version; it is not deployed by that."""
        parent = what.parent if what.parent is not None else await prompts.versions.number_of(PRODUCTION)
        parts = {**(await prompts.versions.get(parent)).parts, **what.parts}
        number, is_new = await prompts.versions.new(parts, author=actor, reason=what.reason, parent=parent)
        return {"version": number, "new": is_new}

    @router.post("/check", response_model=None, responses={**WITH_BODY, **ACCEPTED})
    async def check(
        actor: Actor, what: Annotated[Version, Query(alias="version")], wait: Wait = 10.0
    ) -> JSONResponse:
        """Make the checks that a deployment makes, in the worker process; `checks` says what each one found."""
        await prompts.versions.get(what)
        return await desk.run("check", {"version": what}, owner=actor, seconds=wait)

    @router.post("/deploy", response_model=None, responses={**WITH_BODY, **ACCEPTED})
    async def deploy(actor: Actor, what: Deploy, wait: Wait = 10.0) -> dict[str, Any] | JSONResponse:
        """Check a version and point a label at it. All servers use it within a second.

        The golden questions are asked by the worker process, unless `skip_evaluation` is set.
        """
        if what.skip_evaluation:
            done = await prompts.deploy(
                what.version, actor=actor, reason=what.reason, label=what.label, skip_evaluation=True
            )
            return done.as_row()
        check_label(what.label)
        await prompts.versions.get(what.version)
        expected = (await prompts.versions.labels()).get(what.label)
        asked = {"version": what.version, "reason": what.reason, "label": what.label, "expected": expected}
        return await desk.run("deploy", asked, owner=actor, seconds=wait)

    @router.post("/rollback", responses={**WITH_BODY, **_CONFLICT})
    async def rollback(actor: Actor, what: RollBack) -> dict[str, Any]:
        """Go back to the version before, at once and without checks."""
        return (await prompts.roll_back(actor=actor, reason=what.reason, label=what.label, to=what.to)).as_row()

    return router


class Start(Body):
    plan: ExperimentPlan
    reason: Reason
    skip_evaluation: StrictBool = False


class Stop(Body):
    reason: Reason
    deploy: StrictBool = False


def experiment_routes(release: ProductionIntegrationOrchestrator, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log. `note`: says when no worker process runs."""
    tester = release.tester
    router = admin_router("/admin/experiments", NO_STORE, {422: WITH_BODY[422]})
    desk = JobDesk(release.jobs, router, note)

    @router.get("")
    async def overview(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
        """Experiments, the newest first."""
        return [as_json(experiment) for experiment in await tester.recent(limit=limit)]

    @router.post("", status_code=201, response_model=None, responses={**WITH_BODY, **ACCEPTED})
    async def start(body: Start, actor: Actor, wait: Wait = 10.0) -> dict[str, Any] | JSONResponse:
        """Split live traffic between what is in production and a candidate: a prompt version, a model, or both.

        The candidate is checked before, by the worker process.
        """
        if body.skip_evaluation:
            return as_json(await tester.start(body.plan, actor=actor, reason=body.reason, skip_evaluation=True))
        asked = {"plan": body.plan.model_dump(mode="json"), "reason": body.reason}
        return await desk.run("start", asked, owner=actor, seconds=wait, status=201)

    @router.post("/plan", responses=WITH_BODY)
    async def plan(body: ExperimentPlan) -> dict[str, Any]:
        """What it would need: scored units per arm, and days at the traffic of the last week."""
        return (await tester.plan(body)).model_dump()

    @router.get("/performance")
    async def performance(
        hours: Annotated[float, Query(gt=0, le=24 * 366)] = 24.0,
        step_hours: Annotated[float | None, Query(gt=0, le=24 * 31)] = None,
    ) -> list[dict[str, Any]]:
        """Quality, errors, latency, cost and feedback per model, spectrum and prompt version."""
        return await release.monitor.performance(hours=hours, step_hours=step_hours)

    @router.get("/runs/{name}", responses=MISSING)
    async def status(name: Annotated[str, Field(max_length=40)]) -> dict[str, Any]:
        """What the data say now, and the looks so far. Nothing is decided."""
        experiment, verdict = await tester.status(name)
        return {**as_json(experiment), "verdict": verdict.as_row(), "looks": list(experiment.looks)}

    @router.post("/runs/{name}/stop", response_model=None, responses={**WITH_BODY, **ACCEPTED, **MISSING})
    async def stop(
        name: Annotated[str, Field(max_length=40)], body: Stop, actor: Actor, wait: Wait = 10.0
    ) -> dict[str, Any] | JSONResponse:
        """End it; `deploy`: with the candidate in production, after its checks in the worker process."""
        if not body.deploy:
            return as_json(await tester.stop(name, actor=actor, reason=body.reason))
        return await desk.run("stop", {"name": name, "reason": body.reason}, owner=actor, seconds=wait)

    return router
