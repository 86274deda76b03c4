"""Railway for tests: a real HTTP server that executes real GraphQL over the types in railway.graphql.

async with RailwayServer() as railway:
    railway.url, railway.token
    railway.deployments             # newest last; `variables` of each are those it got
    railway.outcomes = ["FAILED"]   # how the next deployments end; SUCCESS when there is none
    railway.before, railway.after   # called with the document's name before and after a call is carried out
    railway.throttle = 2            # so many calls get 429
"""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from graphql import GraphQLError, build_schema, graphql_sync, parse

SCHEMA = build_schema((Path(__file__).parent / "railway.graphql").read_text())


@dataclass
class Made:
    """A deployment. It advances one state each time it is asked for."""

    id: str
    createdAt: str  # the schema's names
    variables: dict[str, str]
    states: list[str]
    kind: str = "deploy"
    canRollback: bool = True
    files: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        return self.states[0]

    def advance(self) -> None:
        if len(self.states) > 1:
            self.states.pop(0)


@dataclass
class RailwayServer:
    token: str = "project-token"  # of a server that lives as long as a test
    project: str = "project-1"
    environment: str = "environment-1"
    services: dict[str, str] = field(default_factory=lambda: {"service-1": "web"})
    variables: dict[str, str] = field(default_factory=dict)
    domains: list[dict[str, Any]] = field(default_factory=lambda: [{"domain": "web.example.com", "targetPort": None}])
    custom_domains: list[dict[str, Any]] = field(default_factory=list)
    instance: dict[str, Any] = field(default_factory=dict)
    deployments: list[Made] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    upserts: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] | None = None
    after: Callable[[str], None] | None = None
    throttle: int = 0
    hanging: bool = False
    schemes: list[str] = field(default_factory=list)
    url: str = ""
    active: str | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=10**9)
        application.router.add_post("/graphql/v2", self._graphql)
        application.router.add_post("/project/{project}/environment/{environment}/up", self._up)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def deploy(self, kind: str = "deploy", files: tuple[str, ...] = ()) -> Made:
        number = len(self.deployments) + 1
        outcome = self.outcomes.pop(0) if self.outcomes else "SUCCESS"
        made = Made(
            id=f"deployment-{number}",
            createdAt=f"2026-01-01T00:00:{number:02d}Z",
            variables=dict(self.variables),
            states=["QUEUED", "BUILDING", "DEPLOYING", outcome],
            kind=kind,
            files=files,
        )
        self.deployments.append(made)
        return made

    # --- HTTP -----------------------------------------------------------------------------------------------

    async def _graphql(self, request: web.Request) -> web.Response:
        try:
            return await self._carry_out(request)
        except ConnectionResetError:  # of a hook: the client gets no answer
            assert request.transport is not None
            request.transport.close()
            return web.Response()

    async def _carry_out(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = parse(body["query"]).definitions[0].name.value  # type: ignore[attr-defined]
        if self.throttle:
            self.throttle -= 1
            return web.json_response({}, status=429, headers={"Retry-After": "1", "X-RateLimit-Remaining": "0"})
        self.calls.append(name)
        if self.before is not None:
            self.before(name)
        if self.hanging:
            await asyncio.sleep(0.5)  # longer than the tests wait
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        self.schemes.append(scheme)
        if self.token not in (bearer, request.headers.get("Project-Access-Token")):
            return web.json_response({"errors": [{"message": "Not Authorized"}], "data": None})
        result = graphql_sync(SCHEMA, body["query"], self._root(), variable_values=body.get("variables"))
        if self.after is not None:
            self.after(name)
        if result.errors:
            return web.json_response({"errors": [{"message": e.message} for e in result.errors], "data": result.data})
        return web.json_response({"data": result.data})

    async def _up(self, request: web.Request) -> web.Response:
        self.calls.append("Upload")
        if self.before is not None:
            self.before("Upload")
        data = await request.read()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            made = self.deploy(files=tuple(archive.getnames()))
        if self.after is not None:
            self.after("Upload")
        return web.json_response({"deploymentId": made.id})

    # --- GraphQL --------------------------------------------------------------------------------------------

    def _root(self) -> dict[str, Any]:
        return {
            "projectToken": {"projectId": self.project, "environmentId": self.environment},
            "project": self._project,
            "serviceInstance": self._instance,
            "domains": lambda *_, **ids: {"serviceDomains": self.domains, "customDomains": self.custom_domains},
            "variables": lambda *_, **ids: self.variables,
            "variablesForServiceDeployment": lambda *_, **ids: self.variables | {"RAILWAY_SERVICE_ID": "service-1"},
            "deployments": self._list,
            "deployment": self._get,
            "deploymentEvents": lambda *_, **ids: {"edges": []},
            "deploymentLogs": lambda *_, **ids: [self._line("listening")],
            "buildLogs": lambda *_, **ids: [self._line("built")],
            "variableCollectionUpsert": self._upsert,
            "serviceInstanceDeployV2": lambda *_, **ids: self.deploy().id,
            "deploymentRollback": self._rollback,
        }

    def _project(self, _info: Any, id: str) -> dict[str, Any]:  # the schema's name
        if id != self.project:
            raise GraphQLError("Not Authorized")
        return {
            "id": id,
            "environments": {"edges": [{"node": {"id": self.environment, "name": "production"}}]},
            "services": {"edges": [{"node": {"id": i, "name": n}} for i, n in self.services.items()]},
        }

    def _instance(self, _info: Any, **_: Any) -> dict[str, Any]:
        active = [made for made in self.deployments if made.id == self.active]
        return (
            {
                "restartPolicyType": "ON_FAILURE",
                "healthcheckPath": "/health/ready",
                "drainingSeconds": 35,
                "source": {"repo": "example/app", "image": None},
            }
            | self.instance
            | {"activeDeployments": active}
        )

    def _list(self, _info: Any, input: dict[str, Any], first: int = 10) -> dict[str, Any]:
        return {"edges": [{"node": made} for made in reversed(self.deployments)][:first]}

    def _get(self, _info: Any, id: str) -> Made:
        made = next((one for one in self.deployments if one.id == id), None)
        if made is None:
            raise GraphQLError("Deployment not found")
        made.advance()
        if made.status == "SUCCESS":
            self.active = made.id
        return made

    def _upsert(self, _info: Any, input: dict[str, Any]) -> bool:
        self.upserts.append(input)
        if input["replace"]:
            self.variables.clear()
        self.variables |= input["variables"]
        if not input["skipDeploys"]:
            self.deploy("variables")
        return True

    def _rollback(self, _info: Any, id: str) -> bool:
        target = next(one for one in self.deployments if one.id == id)
        if not target.canRollback:
            raise GraphQLError("Deployment cannot be rolled back to")
        self.deploy("rollback").states = ["DEPLOYING", "SUCCESS"]
        return True

    @staticmethod
    def _line(text: str) -> dict[str, Any]:
        return {"timestamp": "2026-01-01T00:00:00Z", "severity": "info", "message": text}
