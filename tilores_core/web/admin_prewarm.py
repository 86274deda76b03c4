"""`/admin/prewarm`: warm customers now, and what has come of it; `/events/call`: a call begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints

from tilores_core.contracts import Caller, Identifiers
from tilores_core.errors import InvalidRequestError, PermissionDeniedError
from tilores_core.jobs.prewarm.jobs import PrewarmJobs
from tilores_core.jobs.prewarm.service import Prewarming
from tilores_core.web.admin import Actor, Body, admin_router
from tilores_core.web.auth import route_with_key
from tilores_core.web.problems import ERRORS, WITH_BODY, Problem, Responses

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class WarmNow(Body):
    """What to warm: the lists of the server's own plan by name (by default all), or those of a plan that is sent."""

    lists: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=100)] | None = None
    plan: Annotated[dict[str, Any], Field(description="as in the file of `tilores prewarm`; its lists")] | None = None


class PrewarmAccepted(BaseModel):
    run: str = Field(description="its name in `runs` of the statistics; null there until it has ended")
    lists: list[str] = Field(description="the lists that are on their way")
    customers: int = Field(description="customers named in them")
    note: str | None = Field(None, description="why it waits, and what to do: no worker process is running")


class CallEvent(Body):
    """The caller: anything that identifies a customer; all that is given must fit."""

    customer_id: Text | None = None
    phone: Text | None = None
    email: Text | None = None
    name: Text | None = None
    date_of_birth: Text | None = None


class CallAccepted(BaseModel):
    """The same for every caller: the reply does not say whether a customer was found."""

    accepted: bool = True


def prewarm_routes(jobs: PrewarmJobs, note: Callable[[], str | None]) -> APIRouter:
    """For admin keys. `note`: says when no worker process is running."""
    busy: Responses = {503: {"model": Problem, "description": "Too much is being warmed"}}
    router, prewarming = admin_router("/admin", WITH_BODY, busy), jobs.prewarming

    @router.get("/prewarm")
    async def statistics() -> dict[str, Any]:
        """What was warmed, by the worker process and by this process, and how much of it was asked for."""
        return await jobs.statistics(worker_runs=note() is None)

    @router.post("/prewarm", status_code=202, response_model_exclude_none=True)
    async def warm(actor: Actor, what: WarmNow) -> PrewarmAccepted:
        """Warm customers now; the reply does not wait for it."""
        if what.plan is not None:
            if what.lists is not None:
                raise InvalidRequestError("give either lists or plan", param="lists")
            sent = prewarming.parse(what.plan)
            lists = list(sent.lists)
        else:
            sent = None
            lists = prewarming.choose(what.lists) if what.lists is not None else list(prewarming.plan.lists)
        if not lists:
            raise InvalidRequestError(
                "there is no list to warm", param="plan", fix="send a plan with lists, or name a file in [prewarm]"
            )
        run = await jobs.begin(lists, what.plan, sent, actor)
        return PrewarmAccepted(
            run=run,
            lists=[warm_list.name for warm_list in lists],
            customers=sum(len(warm_list.customers) for warm_list in lists),
            note=None if jobs.is_local else note(),
        )

    return router


def call_routes(prewarming: Prewarming) -> APIRouter:
    """For chat keys."""
    router = APIRouter(prefix="/events", tags=["events"], route_class=route_with_key("chat"))

    @router.post("/call", status_code=202, responses={**ERRORS, **WITH_BODY})
    async def call(request: Request, who: CallEvent) -> CallAccepted:
        """A call begins: the caller's records and the answers to the configured questions are made ready."""
        caller: Caller = request.state.caller
        if who.customer_id is None and not caller.search:
            raise PermissionDeniedError(
                "this key may not search for customers", fix="name the customer with customer_id"
            )
        identifiers = Identifiers(**who.model_dump())
        _check(prewarming, identifiers)
        prewarming.calls.begins(identifiers, scope=caller.scope)
        return CallAccepted()

    return router


def _check(prewarming: Prewarming, given: Identifiers) -> None:
    if not given:
        raise InvalidRequestError(
            "name the caller: phone, customer_id, email, or name and date_of_birth", param="phone"
        )
    usable = prewarming.calls.normalise(given)
    for name, fix in (
        ("phone", "send it with its country code, such as +442071838750"),
        ("email", "send an e-mail address"),
        ("date_of_birth", "send it as YYYY-MM-DD"),
    ):
        if getattr(given, name) is not None and (usable is None or getattr(usable, name) is None):
            alone = usable is None and name == "date_of_birth"
            what = "alone does not identify a customer" if alone else "cannot be read"
            raise InvalidRequestError(f"{name} {what}", param=name, fix=fix if not alone else "send the name too")
