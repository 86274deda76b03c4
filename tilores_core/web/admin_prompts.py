"""`/admin/prompts`: versions of the prompt, and which one is in production."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field, StrictBool, StringConstraints

from tilores_core.release import ProductionIntegrationOrchestrator
from tilores_core.release.prompt_checks import LONGEST_PART
from tilores_core.release.prompts import check_label
from tilores_core.store.topics import PRODUCTION
from tilores_core.web.admin import NO_STORE, Actor, Body, Reason, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY, Problem, Responses
from tilores_core.web.release_jobs import ACCEPTED, JobDesk, Wait

Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Version = Annotated[int, Field(ge=1, le=10**15)]
_CONFLICT: Final[Responses] = {409: {"model": Problem, "description": "It does not fit what is in production"}}
PATH: Final = "/admin/prompts"


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
    prompts, desk = release.prompts, JobDesk(release.jobs, PATH, note)
    router = admin_router(PATH, NO_STORE, MISSING, {422: WITH_BODY[422]})

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
        found = await prompts.versions.history(label=label, limit=limit)
        return [entry.as_row() for entry in found]

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
        done = await prompts.roll_back(actor=actor, reason=what.reason, label=what.label, to=what.to)
        return done.as_row()

    desk.add_route(router)
    return router
