"""Which project, environment and service the token and the settings mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilores_core import DeployError
from tilores_plugins.deploy.railway import documents
from tilores_plugins.deploy.railway.api import RailwayApi
from tilores_plugins.deploy.railway.settings import Settings


class ScopeError(DeployError):
    """The token and the ids do not name one service. `check`: the name of the finding."""

    def __init__(self, check: str, message: str, *, fix: str) -> None:
        super().__init__(message, fix=fix)
        self.check = check


@dataclass(frozen=True, slots=True)
class Scope:
    """One service in one environment. `services`: the names of all services of the project."""

    project: str
    environment: str
    service: str
    services: tuple[str, ...] = ()

    @property
    def ids(self) -> dict[str, str]:
        return {"projectId": self.project, "environmentId": self.environment, "serviceId": self.service}


async def find_scope(api: RailwayApi, settings: Settings) -> Scope:
    """Raises `ScopeError`, and `DeployError` of the calls."""
    if settings.account_token:
        project, environment = _require_both(settings)
    else:
        project, environment = await _of_token(api, settings)
    found: Mapping[str, Any] = (await api.query(documents.PROJECT, projectId=project))["project"]
    environments, services = _nodes(found["environments"]), _nodes(found["services"])
    if environment not in environments:
        raise ScopeError(
            "environment.unknown",
            "the project has no environment with the id in RAILWAY_ENVIRONMENT_ID",
            fix=f"its environments: {', '.join(sorted(environments.values()))}",
        )
    return Scope(project, environment, _service(settings, services), tuple(sorted(services.values())))


async def _of_token(api: RailwayApi, settings: Settings) -> tuple[str, str]:
    token = (await api.query(documents.SCOPE))["projectToken"]
    for name, wanted, key in (
        ("project", settings.project_id, "projectId"),
        ("environment", settings.environment_id, "environmentId"),
    ):
        if wanted is not None and wanted != token[key]:
            raise ScopeError(
                f"token.{name}",
                f"the token belongs to another {name} than RAILWAY_{name.upper()}_ID says",
                fix=f"make a project token for that {name}, or unset RAILWAY_{name.upper()}_ID",
            )
    return token["projectId"], token["environmentId"]


def _require_both(settings: Settings) -> tuple[str, str]:
    if settings.project_id is None or settings.environment_id is None:
        raise ScopeError(
            "token.ids",
            "a token of an account says neither project nor environment",
            fix="set RAILWAY_PROJECT_ID and RAILWAY_ENVIRONMENT_ID, or use a project token",
        )
    return settings.project_id, settings.environment_id


def _service(settings: Settings, services: Mapping[str, str]) -> str:
    names = ", ".join(sorted(services.values())) or "none"
    if settings.service_id is not None:
        if settings.service_id not in services:
            raise ScopeError(
                "service.unknown",
                "the project has no service with the id in RAILWAY_SERVICE_ID",
                fix=f"its services: {names}; the id is in the service's address on Railway",
            )
        return settings.service_id
    if len(services) != 1:
        raise ScopeError(
            "service.ambiguous",
            f"the project has {len(services)} services, and none is chosen",
            fix=f"set RAILWAY_SERVICE_ID to that of one of: {names}",
        )
    return next(iter(services))


def _nodes(connection: Mapping[str, Any]) -> dict[str, str]:
    return {edge["node"]["id"]: edge["node"]["name"] for edge in connection["edges"]}
