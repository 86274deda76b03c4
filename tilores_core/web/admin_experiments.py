"""`/admin/experiments`: prompt versions and models compared on live traffic, and the figures of the monitor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field, StrictBool

from tilores_core.release import ProductionIntegrationOrchestrator
from tilores_core.release.experiments import ExperimentPlan
from tilores_core.release.experiments.report import as_json
from tilores_core.web.admin import NO_STORE, Actor, Body, Reason, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY
from tilores_core.web.release_jobs import ACCEPTED, JobDesk, Wait

PATH: Final = "/admin/experiments"


class Start(Body):
    plan: ExperimentPlan
    reason: Reason
    skip_evaluation: StrictBool = False


class Stop(Body):
    reason: Reason
    deploy: StrictBool = False


def experiment_routes(release: ProductionIntegrationOrchestrator, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log. `note`: says when no worker process runs."""
    tester, desk = release.tester, JobDesk(release.jobs, PATH, note)
    router = admin_router(PATH, NO_STORE, {422: WITH_BODY[422]})

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

    desk.add_route(router)
    return router
