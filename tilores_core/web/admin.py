"""What the routes of the administration share: a router for admin keys, who asks and why, bodies, errors."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.web.auth import route_with_key
from tilores_core.web.problems import ERRORS, Problem, Responses

NO_STORE: Final[Responses] = {503: {"model": Problem, "description": "The database does not answer"}}

Reason = Annotated[str, StringConstraints(min_length=1, max_length=2000), Field(description="kept in the audit log")]


def _name_of_key(request: Request) -> str:
    name: str = request.state.caller.name
    return name


Actor = Annotated[str, Depends(_name_of_key)]
"""The name of the key, which is the actor in the audit log."""


class Body(BaseModel):
    """A JSON body that holds nothing else."""

    model_config = ConfigDict(extra="forbid")


def admin_router(path: str, *responses: Responses) -> APIRouter:
    """A router for admin keys with the errors that all its routes have; `responses`: more of them."""
    every: Responses = {}
    for found in (ERRORS, *responses):
        every |= found
    return APIRouter(prefix=path, tags=["admin"], route_class=route_with_key("admin"), responses=every)
