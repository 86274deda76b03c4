"""What is not the two chat protocols, through FastAPI: health, administration, plugins' routers, OpenAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.cors import CORSMiddleware

from tilores_core import __version__
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.lookup import customer_tags
from tilores_core.errors import (
    AuthenticationError,
    InvalidRequestError,
    PermissionDeniedError,
    PluginError,
    TiloresError,
)
from tilores_core.hookspecs import HealthCheck
from tilores_core.host.host import PluginHost
from tilores_core.settings import ChatTable
from tilores_core.web.auth import Gate
from tilores_core.web.guard import Guard
from tilores_core.web.openapi import describe

_SECONDS_PER_CHECK = 1.0
_LONGEST_PROBLEM = 500


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]


class Part(BaseModel):
    """One part of the server. `detail` never holds secrets or customers' data."""

    status: Literal["ok", "degraded", "failed", "off"]
    detail: dict[str, Any] = Field(default_factory=dict)


class DetailedHealth(BaseModel):
    status: Literal["ok", "degraded"]
    version: str = __version__
    parts: dict[str, Part]


class PluginRow(BaseModel):
    """A plugin as `tilores plugins list` shows it."""

    model_config = ConfigDict(extra="allow")
    id: str
    state: str


class Invalidation(BaseModel):
    """What to forget: a customer, a namespace (`answers`, `customers`, …) or one key; just one of them."""

    model_config = ConfigDict(extra="forbid")
    customer_id: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    namespace: Annotated[str, Field(pattern="^[a-z]{1,40}$")] | None = None
    key: Annotated[str, Field(pattern="^[a-z]{1,40}:[ -~]{1,200}$")] | None = None


class Invalidated(BaseModel):
    removed: int = Field(description="entries removed from the tiers that could count them")


class Problem(BaseModel):
    """An error. `fix` says what to do about it."""

    detail: str
    fix: str | None = None


_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No key, or a wrong one"},
    403: {"model": Problem, "description": "Administration is off, or not for this key"},
}
_WITH_BODY: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no text"},
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "A field is wrong; `detail` names it"},
}


class Site:
    """The FastAPI application; `asgi` is it with its middleware."""

    def __init__(
        self,
        *,
        host: PluginHost,
        gate: Gate,
        cache: TieredCache,
        engine: ChatEngine,
        is_ready: Callable[[], bool],
        table: ChatTable,
    ) -> None:
        self._host = host
        self._admin_route = _admin_route(gate)
        self._cache = cache
        self._engine = engine
        self._is_ready = is_ready
        self._checks = _build_checks(host)
        self.app = FastAPI(
            title="tilores-core",
            version=__version__,
            description="Questions about a customer, answered: LangServe's protocol under /chat, OpenAI's under /v1.",
            docs_url=None,
            redoc_url=None,
        )
        self.app.add_exception_handler(TiloresError, _problem)
        self.app.add_exception_handler(RequestValidationError, _invalid)
        self.app.add_exception_handler(Exception, _problem)
        self.app.include_router(self._health_routes())
        self.app.include_router(self._admin_routes())
        for plugin_id, router in _build_routers(host):
            self.app.include_router(router, prefix=f"/plugins/{plugin_id}")
        describe(self.app, engine.models, gate)
        self.asgi: Any = Guard(self.app, table.max_body_bytes)
        if table.cors_origins:
            self.asgi = CORSMiddleware(
                self.asgi,
                allow_origins=table.cors_origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=["X-Request-Id", "X-Tilores-Cache"],
            )

    # --- health ------------------------------------------------------------------------------------------

    def _health_routes(self) -> APIRouter:
        router = APIRouter(tags=["health"])

        @router.get("/health")
        async def health() -> Health:
            """The process is alive."""
            return Health()

        @router.get("/health/ready", responses={503: {"model": Readiness, "description": "Starting or ending"}})
        async def ready() -> Readiness:
            """Able to serve; 503 while starting or ending."""
            if self._is_ready():
                return Readiness(status="ready")
            return JSONResponse({"status": "not ready"}, 503, {"Retry-After": "1"})  # type: ignore[return-value]

        async def detailed() -> DetailedHealth:
            """Each part's state. Needs an admin key, or a server bound to loopback."""
            parts = {**self._core_parts(), "cache": await self._cache_part(), **await self._checked_parts()}
            good = all(part.status in ("ok", "off") for part in parts.values())
            return DetailedHealth(status="ok" if good else "degraded", parts=parts)

        router.add_api_route("/health/detailed", detailed, responses=_ERRORS, route_class_override=self._admin_route)
        return router

    def _core_parts(self) -> dict[str, Part]:
        failed = {row.id: row.state for row in self._host.records if row.state not in ("active", "disabled")}
        use = self._host.config.use
        return {
            "plugins": Part(status="degraded" if failed else "ok", detail={"problems": failed}),
            "model": Part(status="ok", detail={"default": use.model, "fallbacks": [*use.fallbacks]}),
            "source": Part(status="ok", detail={"name": use.source}),
            "observers": Part(
                status="degraded" if self._engine.observers.dropped or self._engine.observers.failed else "ok",
                detail={"dropped": self._engine.observers.dropped, "failed": self._engine.observers.failed},
            ),
            **{
                role: Part(status="off", detail={"reason": reason})
                for role, reason in self._host.switched_off.items()
            },
        }

    async def _cache_part(self) -> Part:
        told = await self._cache.stats()
        tiers = {
            label: {what: tier[what] for what in ("name", "breaker", "write_breaker", "errors", "owed_invalidations")}
            for label, tier in told["tiers"].items()
        }
        open_breakers = any("open" in (tier["breaker"], tier["write_breaker"]) for tier in tiers.values())
        return Part(status="degraded" if open_breakers else "ok", detail={"tiers": tiers})

    async def _checked_parts(self) -> dict[str, Part]:
        async def run(check: HealthCheck) -> Part:
            try:
                async with asyncio.timeout(_SECONDS_PER_CHECK):
                    said = await check()
                return Part(status=said.get("status", "ok"), detail={k: v for k, v in said.items() if k != "status"})
            except TimeoutError:
                return Part(status="failed", detail={"error": f"no answer within {_SECONDS_PER_CHECK:g} s"})
            except Exception as error:  # a stranger's code; its message may hold anything
                return Part(status="failed", detail={"error": type(error).__name__})

        parts = await asyncio.gather(*(run(check) for _, check in self._checks))
        return dict(zip((name for name, _ in self._checks), parts, strict=True))

    # --- administration ----------------------------------------------------------------------------------

    def _admin_routes(self) -> APIRouter:
        router = APIRouter(prefix="/admin", tags=["admin"], route_class=self._admin_route, responses=_ERRORS)

        @router.get("/plugins")
        async def plugins() -> list[PluginRow]:
            """The plugins with their states, as `tilores plugins list` shows them."""
            return [PluginRow.model_validate(row.as_row()) for row in self._host.records]

        @router.get("/cache")
        async def cache() -> dict[str, Any]:
            """Statistics of each tier and namespace."""
            return await self._cache.stats()

        @router.post("/cache/invalidate", responses=_WITH_BODY)
        async def invalidate(what: Invalidation) -> Invalidated:
            """Forget a customer, a namespace or a key, in all tiers and replicas."""
            given = [value for value in (what.customer_id, what.namespace, what.key) if value is not None]
            if len(given) != 1:
                raise InvalidRequestError("name exactly one of customer_id, namespace, key", param="customer_id")
            return Invalidated(
                removed=await self._cache.invalidate(
                    keys=(what.key,) if what.key else (),
                    tags=customer_tags(what.customer_id, ()),
                    namespace=what.namespace,
                )
            )

        return router


def _build_routers(host: PluginHost) -> list[tuple[str, APIRouter]]:
    """The routers of the plugins, with the plugins' ids. Raises `PluginError` for what is no router."""
    routers: list[tuple[str, APIRouter]] = []
    for name, router in host.build_used("routers").items():
        plugin_id = host.registration("routers", name).plugin_id
        if not isinstance(router, APIRouter):
            raise PluginError(f"router '{name}' is a {type(router).__name__}, not an APIRouter", plugin=plugin_id)
        routers.append((plugin_id, router))
    return routers


def _build_checks(host: PluginHost) -> list[tuple[str, HealthCheck]]:
    return [(name, cast(HealthCheck, check)) for name, check in host.build_used("health").items()]


def _admin_route(gate: Gate) -> type[APIRoute]:
    """Routes for admins alone; who asks is looked at before the body is read."""

    class AdminRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                gate.admin(dict(request.scope["headers"]))
                return await handle(request)

            return guarded

    return AdminRoute


_STATUS = ((AuthenticationError, 401), (PermissionDeniedError, 403), (InvalidRequestError, 422), (TiloresError, 503))


async def _problem(request: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    message = error.message if isinstance(error, TiloresError) else "Internal Server Error"
    fix = error.fix if isinstance(error, TiloresError) else None
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(Problem(detail=message, fix=fix).model_dump(), status, headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Fields and what is wrong with them; not what was sent, which cannot always be written as JSON."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    said = "; ".join(f"{'.'.join(str(step) for step in item['loc'])}: {item['msg']}" for item in problems[:5])
    # Unknown keys are named too, and JSON may smuggle in what is no character.
    said = said.encode("utf-8", "backslashreplace").decode()[:_LONGEST_PROBLEM]
    return JSONResponse(Problem(detail=said).model_dump(), 422)
