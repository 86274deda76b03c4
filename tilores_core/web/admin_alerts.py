"""`/admin/alerts`: list, show, acknowledge, resolve, silence, test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, StrictBool

from tilores_core.alerts.desk import MOST_LISTED, AlertDesk
from tilores_core.contracts import Severity
from tilores_core.web.admin import Actor, Body, admin_router
from tilores_core.web.problems import MISSING, WITH_BODY

Fingerprint = Annotated[str, Path(description="fingerprint, or the beginning of it")]
Text = Annotated[str, Field(min_length=1, max_length=100)]


class AlertList(BaseModel):
    alerts: list[dict[str, Any]]
    note: str | None = Field(None, description="why nothing is delivered, and what to do")


class NewSilence(Body):
    """What it matches, and when it ends: `minutes`, or `until_clear` with a `fingerprint`."""

    fingerprint: Annotated[str, Field(pattern="^[0-9a-f]{4,64}$")] | None = None
    kind: Text | None = None
    severity: Severity | None = None
    source: Text | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    spectrum: Text | None = None
    minutes: Annotated[float, Field(ge=0.1, le=525_600)] | None = None
    starts_in_minutes: Annotated[float, Field(ge=0, le=525_600)] = 0.0
    until_clear: StrictBool = False
    comment: Annotated[str, Field(max_length=500)] = ""


class NewTest(Body):
    channel: Text | None = None
    severity: Severity = "INFO"


class SilenceEnded(BaseModel):
    ended: str


def alert_routes(desk: AlertDesk, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. `note`: says when no worker process is running."""
    router = admin_router("/admin/alerts")
    named = {**WITH_BODY, **MISSING}

    def missing_reason() -> str | None:
        return note() if desk.channels else "[use] alerts names no channel, so nothing is delivered"

    @router.get("", response_model_exclude_none=True, responses=WITH_BODY)
    async def list_alerts(
        everything: Annotated[bool, Query(alias="all", description="resolved ones as well")] = False,
        limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    ) -> AlertList:
        """Open alerts, the one that was raised last first. Times are seconds since the epoch."""
        return AlertList(alerts=await desk.list_alerts(everything=everything, limit=limit), note=missing_reason())

    @router.get("/silences", responses=WITH_BODY)
    async def silences() -> list[dict[str, Any]]:
        """Silences in force, and those that begin later."""
        return await desk.silences()

    @router.post("/silences", status_code=201, responses=named)
    async def silence(actor: Actor, what: NewSilence) -> dict[str, Any]:
        """Keep alerts that match from being sent."""
        return await desk.silence(owner=actor, **what.model_dump())

    @router.delete("/silences/{silence_id}", responses=named)
    async def end_silence(silence_id: Annotated[str, Path(description="id of the silence")]) -> SilenceEnded:
        """End a silence now."""
        await desk.end_silence(silence_id)
        return SilenceEnded(ended=silence_id)

    @router.post("/channels/test", status_code=202, responses=WITH_BODY)
    async def test(what: NewTest) -> dict[str, Any]:
        """Have a test message sent; its `deliveries` say what came of it."""
        return await desk.ask_for_test(what.severity, what.channel) | {"note": missing_reason()}

    @router.get("/{fingerprint}", responses=named)
    async def show(fingerprint: Fingerprint) -> dict[str, Any]:
        """One alert with its messages."""
        return await desk.show(fingerprint)

    @router.post("/{fingerprint}/ack", responses=named)
    async def acknowledge(actor: Actor, fingerprint: Fingerprint) -> dict[str, Any]:
        """Someone looks after it: it is neither repeated nor escalated."""
        return await desk.acknowledge(fingerprint, actor)

    @router.post("/{fingerprint}/resolve", responses=named)
    async def resolve(fingerprint: Fingerprint) -> dict[str, Any]:
        """End it. It opens again when it is raised again."""
        return await desk.resolve(fingerprint)

    return router
