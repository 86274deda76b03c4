"""`/admin/deploy`: code roll-outs, which pause decisions about prompts. `tilores deploy up` reports its own here."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from tilores_core.errors import InvalidRequestError
from tilores_core.settings.config import DeployTable
from tilores_core.store.lazy import LazyStore
from tilores_core.web.admin import NO_STORE, Actor, Body, admin_router
from tilores_core.web.problems import WITH_BODY

Id = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$", description="made by the deployer")]


class Begin(Body):
    id: Id
    target: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,100}$", description="what is deployed to")]


class End(Body):
    id: Id
    result: Literal["succeeded", "failed", "rolled back"]


class RolloutRow(BaseModel):
    """Times are milliseconds since 1970; `end_ms` lies ahead while it is in progress. `version`: of a server that
    started as another version. `result`: empty when the deployer did not say it."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    target: str
    version: str
    actor: str
    begin_ms: int
    end_ms: int
    result: str
    in_progress: bool


class Rollouts(BaseModel):
    """`in_progress`: decisions about prompts pause now."""

    in_progress: bool
    version: str = Field(description="of the process that answers")
    rollouts: list[RolloutRow] = Field(description="the newest first")


def deploy_routes(store: LazyStore, version: str, table: DeployTable) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log."""
    router = admin_router("/admin/deploy", NO_STORE, {422: WITH_BODY[422]})

    async def overview(limit: int) -> Rollouts:
        rollouts = (await store.get()).rollouts
        return Rollouts(
            in_progress=await rollouts.current() is not None,
            version=version,
            rollouts=[RolloutRow.model_validate(rollout) for rollout in await rollouts.recent(limit=limit)],
        )

    @router.get("")
    async def show(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> Rollouts:
        """Code roll-outs, and whether one is in progress."""
        return await overview(limit)

    @router.post("/begin", responses=WITH_BODY)
    async def begin(what: Begin, actor: Actor) -> Rollouts:
        """A roll-out begins, or goes on. Without an end it ends by itself after `[deploy] pause_seconds`."""
        rollouts = (await store.get()).rollouts
        await rollouts.begin(what.id, target=what.target, actor=actor, seconds=table.pause_seconds)
        return await overview(1)

    @router.post("/end", responses=WITH_BODY)
    async def end(what: End, actor: Actor) -> Rollouts:
        """A roll-out has ended."""
        rollouts = (await store.get()).rollouts
        if not any(rollout.id == what.id for rollout in await rollouts.recent()):
            raise InvalidRequestError(f"no roll-out '{what.id}' was begun", param="id")
        await rollouts.end(what.id, result=what.result, actor=actor)
        return await overview(1)

    return router
