"""`/admin/prompts`: versions of the prompt, and which one is in production."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.release import Check, Deployment, ProductionPromptManager
from tilores_core.release.prompt_checks import LONGEST_PART
from tilores_core.store.topics import PRODUCTION
from tilores_core.web.auth import route_with_key
from tilores_core.web.problems import ERRORS, WITH_BODY, Problem, Responses

Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000), Field(description="kept in the audit log")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Version = Annotated[int, Field(ge=1, le=10**15)]
_NO_STORE: Final[Responses] = {503: {"model": Problem, "description": "The database does not answer"}}
_REFUSED: Final[Responses] = {409: {"model": Problem, "description": "A check refuses it; `detail` says which"}}


class NewVersion(BaseModel):
    """A version with these parts; those of `parent` that are not named stay, and an empty text removes one."""

    model_config = ConfigDict(extra="forbid")
    parts: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=LONGEST_PART)]],
        Field(min_length=1, max_length=50),
    ]
    reason: Reason
    parent: Version | None = None


class Deploy(BaseModel):
    model_config = ConfigDict(extra="forbid")
    version: Version
    reason: Reason
    label: Label = PRODUCTION
    skip_evaluation: bool = False


class RollBack(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: Reason
    label: Label = PRODUCTION
    to: Annotated[Version | None, Field(description="an earlier version; default: the last")] = None


class LabelMoved(BaseModel):
    label: str
    version: int
    before: int | None = None
    checks: list[dict[str, Any]]

    @classmethod
    def of(cls, done: Deployment) -> LabelMoved:
        return cls(label=done.label, version=done.number, before=done.before, checks=_rows(done.checks))


def prompt_routes(prompts: ProductionPromptManager) -> APIRouter:
    """For admin keys. The name of the key is the actor in the audit log."""
    router = APIRouter(
        prefix="/admin/prompts",
        tags=["admin"],
        route_class=route_with_key("admin"),
        responses={**ERRORS, **_NO_STORE, 422: WITH_BODY[422]},
    )

    @router.get("")
    async def overview(limit: Annotated[int, Query(ge=1, le=1000)] = 20) -> dict[str, Any]:
        """What this process serves, and the newest versions without their texts."""
        versions = [
            {
                "version": version.number,
                "parent": version.parent,
                "author": version.author,
                "reason": version.reason,
                "created": version.created.isoformat(),
                "scores": version.scores,
            }
            for version in await prompts.versions.recent(limit=limit)
        ]
        report = prompts.report()
        known_at = datetime.fromtimestamp(report["known_at"], UTC).isoformat(timespec="seconds")
        return {**report, "known_at": known_at, "versions": versions}

    @router.get("/history")
    async def history(label: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Any]:
        """Who changed what, when and why; the newest first."""
        found = await prompts.versions.history(label=label, limit=limit)
        return [
            {
                "at": entry.at.isoformat(),
                "actor": entry.actor,
                "action": entry.action,
                "subject": entry.subject,
                "reason": entry.reason,
                "detail": entry.detail,
            }
            for entry in found
        ]

    @router.get("/versions/{version}")
    async def show(version: Annotated[str, Field(max_length=64)]) -> dict[str, Any]:
        """A version with its parts, by number or label."""
        found = await prompts.versions.get(await prompts.versions.number_of(version))
        return {
            "version": found.number,
            "parent": found.parent,
            "author": found.author,
            "reason": found.reason,
            "created": found.created.isoformat(),
            "scores": found.scores,
            "parts": found.parts,
        }

    @router.post("", status_code=201, responses=WITH_BODY)
    async def new(request: Request, what: NewVersion) -> dict[str, Any]:
        """Make a version; it is not deployed by that."""
        parent = what.parent if what.parent is not None else await prompts.versions.number_of(PRODUCTION)
        parts = {**(await prompts.versions.get(parent)).parts, **what.parts}
        number, is_new = await prompts.versions.new(
            parts, author=request.state.caller.name, reason=what.reason, parent=parent
        )
        return {"version": number, "new": is_new}

    @router.post("/check", responses=WITH_BODY)
    async def check(what: Annotated[Version, Query(alias="version")]) -> list[dict[str, Any]]:
        """Make the checks that a deployment makes."""
        return _rows(await prompts.check(what))

    @router.post("/deploy", responses={**WITH_BODY, **_REFUSED})
    async def deploy(request: Request, what: Deploy) -> LabelMoved:
        """Check a version and point a label at it. All servers use it within a second."""
        done = await prompts.deploy(
            what.version,
            actor=request.state.caller.name,
            reason=what.reason,
            label=what.label,
            skip_evaluation=what.skip_evaluation,
        )
        return LabelMoved.of(done)

    @router.post("/rollback", responses=WITH_BODY)
    async def rollback(request: Request, what: RollBack) -> LabelMoved:
        """Go back to the version before, at once and without checks."""
        done = await prompts.roll_back(
            actor=request.state.caller.name, reason=what.reason, label=what.label, to=what.to
        )
        return LabelMoved.of(done)

    return router


def _rows(checks: tuple[Check, ...]) -> list[dict[str, Any]]:
    return [check.as_row() for check in checks]
