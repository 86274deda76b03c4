"""`/admin/experiments`: prompt versions and models compared on live traffic, and the figures of the monitor."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.release import ProductionIntegrationOrchestrator
from tilores_core.release.experiments import ExperimentPlan
from tilores_core.release.experiments.tester import as_row
from tilores_core.web.auth import route_with_key
from tilores_core.web.problems import ERRORS, WITH_BODY, Problem, Responses

if TYPE_CHECKING:
    from tilores_core.store.experiments import Experiment

Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000), Field(description="kept in the audit log")]
_NO_STORE: Final[Responses] = {503: {"model": Problem, "description": "The database does not answer"}}
_REFUSED: Final[Responses] = {409: {"model": Problem, "description": "A check refuses the candidate"}}


class Start(BaseModel):
    model_config = ConfigDict(extra="forbid")
    plan: ExperimentPlan
    reason: Reason
    skip_evaluation: bool = False


class Stop(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Reason
    deploy: bool = False


def experiment_routes(release: ProductionIntegrationOrchestrator) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log."""
    tester = release.tester
    router = APIRouter(
        prefix="/admin/experiments",
        tags=["admin"],
        route_class=route_with_key("admin"),
        responses={**ERRORS, **_NO_STORE, 422: WITH_BODY[422]},
    )

    @router.get("")
    async def overview(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
        """Experiments, the newest first."""
        return [_row(one) for one in await tester.recent(limit=limit)]

    @router.post("", status_code=201, responses={**WITH_BODY, **_REFUSED})
    async def start(body: Start, request: Request) -> dict[str, Any]:
        """Split live traffic between what is in production and a candidate: a prompt version, a model, or both."""
        made = await tester.start(
            body.plan, actor=request.state.caller.name, reason=body.reason, skip_evaluation=body.skip_evaluation
        )
        return _row(made)

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
        return [asdict(one) for one in await release.monitor.performance(hours=hours, step_hours=step_hours)]

    @router.get("/runs/{name}")
    async def status(name: Annotated[str, Field(max_length=40)]) -> dict[str, Any]:
        """What the data say now, and the looks so far. Nothing is decided."""
        experiment, verdict = await tester.status(name)
        return {**_row(experiment), "verdict": as_row(verdict), "looks": list(experiment.looks)}

    @router.post("/runs/{name}/stop", responses={**WITH_BODY, **_REFUSED})
    async def stop(name: Annotated[str, Field(max_length=40)], body: Stop, request: Request) -> dict[str, Any]:
        """End it; `deploy`: with the candidate in production."""
        return _row(await tester.stop(name, actor=request.state.caller.name, reason=body.reason, deploy=body.deploy))

    return router


def _row(experiment: Experiment) -> dict[str, Any]:
    return {
        "name": experiment.name,
        "state": experiment.state,
        "outcome": experiment.outcome,
        "reason": experiment.reason,
        "control": experiment.control,
        "plan": experiment.plan,
        "weights": experiment.weights,
        "started": experiment.started.isoformat(),
        "ended": None if experiment.ended is None else experiment.ended.isoformat(),
        "verdict": experiment.verdict,
    }
