"""What is not the two chat protocols, through FastAPI: health, administration, plugins' routers, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.cors import CORSMiddleware

from tilores_core import __version__
from tilores_core.cache.keys import customer_tags
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.models import Models
from tilores_core.contracts import CustomerSource
from tilores_core.errors import InvalidRequestError
from tilores_core.hookspecs import RouterSpec
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import ROUTERS
from tilores_core.jobs.forget import forget_everywhere
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.metrics import Metrics
from tilores_core.store.lazy import LazyStore
from tilores_core.web.admin import Body, admin_router
from tilores_core.web.admin_batch import PATH as BATCH_PATH
from tilores_core.web.auth import Authenticator, route_with_key
from tilores_core.web.guard import Guard, PluginRouters
from tilores_core.web.health import DetailedHealth, HealthReport, no_customers
from tilores_core.web.openapi import describe
from tilores_core.web.problems import ERRORS, WITH_BODY, Problem, handle_errors
from tilores_core.web.root_page import HEADERS, root_page

# A path parameter matches no line feed.
_NO_SUCH_PATH: dict[str, Any] = {"model": Problem, "description": "The path cannot hold such an id"}


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = __version__


class Readiness(BaseModel):
    status: Literal["ready", "not ready"]
    reason: str | None = Field(None, description="why it is not ready")


class PluginRow(BaseModel):
    """A plugin as `tilores plugins list` shows it."""

    model_config = ConfigDict(extra="allow")
    id: str
    state: str


class Invalidation(Body):
    """What to forget: a customer, a namespace (`answers`, `customers`, …) or one key; just one of them."""

    customer_id: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    namespace: Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,39}$")] | None = None
    key: Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,39}:[ -~]{1,200}$")] | None = None


class Invalidated(BaseModel):
    removed: int = Field(description="entries removed from the tiers that could count them")


class NotReached(BaseModel):
    where: str
    reason: str


class ForgottenEverywhere(BaseModel):
    """What was removed, and what cannot be reached from here."""

    removed: dict[str, int | dict[str, int]] = Field(
        description="`cache`: entries by namespace; `batch_results`: lines; `batch_inputs`: files; `questions`: of "
        "live traffic"
    )
    not_reached: list[NotReached]


def build_admin_app(
    *,
    host: PluginHost,
    authenticator: Authenticator,
    models: Models,
    metrics: Metrics | None,
    routers: Sequence[APIRouter],
) -> Any:
    """The FastAPI application with its middleware. `routers`: all routes but those for metrics and of plugins."""
    app = FastAPI(
        title="tilores-core",
        version=__version__,
        description="Questions about a customer, answered: LangServe's protocol under /chat, OpenAI's under /v1.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.authenticator = authenticator
    handle_errors(app)
    for router in routers:
        app.include_router(router)
    if metrics is not None:
        app.include_router(_metrics_route(metrics, authenticator))
    plugin_routers = _include_plugin_routers(app, host)
    describe(app, models, authenticator, plugin_routers)
    table, own_limits = host.config.chat, {BATCH_PATH: host.config.batch.max_body_bytes}
    guarded = Guard(app, table.max_body_bytes, own_limits, plugin_routers)
    if not table.cors_origins:
        return guarded
    return CORSMiddleware(
        guarded,
        allow_origins=table.cors_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["X-Request-Id", "X-Tilores-Cache"],
    )


def health_routes(
    host: PluginHost, source: CustomerSource, report: HealthReport, is_ready: Callable[[], bool]
) -> APIRouter:
    """For everyone, but for `/health/detailed`."""
    router = APIRouter(tags=["health"])

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def root(request: Request) -> HTMLResponse:
        page = root_page(
            request.scope,
            status=(await report.get()).status if is_ready() else "not ready",
            host=host,
            needs_key=not request.app.state.authenticator.chat.open,
        )
        return HTMLResponse(page, headers=dict(HEADERS))

    @router.get("/health")
    async def health() -> Health:
        """The process is alive."""
        return Health()

    @router.get(
        "/health/ready",
        response_model_exclude_none=True,
        responses={503: {"model": Readiness, "description": "Starting, ending, or without any customer"}},
    )
    async def ready() -> Readiness:
        """Able to serve; 503 while starting or ending, and when the source has no customer at all."""
        reason = None if is_ready() else "starting or ending"
        reason = reason or await no_customers(source)
        if reason is None:
            return Readiness(status="ready")
        body = {"status": "not ready", "reason": reason}
        return JSONResponse(body, 503, {"Retry-After": "1"})  # type: ignore[return-value]

    async def detailed() -> DetailedHealth:
        """Each part's state. Needs an admin key."""
        return await report.get()

    router.add_api_route("/health/detailed", detailed, responses=ERRORS, route_class_override=route_with_key("admin"))
    return router


def cache_routes(host: PluginHost, cache: TieredCache, jobs: JobFolder, store: LazyStore) -> APIRouter:
    """Plugins, the cache, and customers to be forgotten. `jobs`, `store`: what else holds customers."""
    router = admin_router("/admin")

    @router.get("/plugins")
    async def plugins() -> list[PluginRow]:
        """The plugins with their states, as `tilores plugins list` shows them."""
        return [PluginRow.model_validate(row.as_row()) for row in host.plugins]

    @router.get("/cache")
    async def statistics() -> dict[str, Any]:
        """Statistics of each tier and namespace."""
        return await cache.stats()

    @router.post("/cache/invalidate", responses=WITH_BODY)
    async def invalidate(what: Invalidation) -> Invalidated:
        """Forget a customer, a namespace or a key, in all tiers and replicas."""
        given = [value for value in (what.customer_id, what.namespace, what.key) if value is not None]
        if len(given) != 1:
            raise InvalidRequestError("name exactly one of customer_id, namespace, key", param="customer_id")
        return Invalidated(
            removed=await cache.invalidate(
                keys=(what.key,) if what.key else (),
                tags=customer_tags(what.customer_id, ()),
                namespace=what.namespace,
            )
        )

    @router.delete("/customers/{customer_id:path}", responses={404: _NO_SUCH_PATH, 422: WITH_BODY[422]})
    async def forget(customer_id: str) -> ForgottenEverywhere:
        """Forget a customer: what all cache tiers and replicas hold, inputs and results of batches."""
        return ForgottenEverywhere.model_validate(await forget_everywhere(cache, jobs, store, host, customer_id))

    return router


def _metrics_route(metrics: Metrics, authenticator: Authenticator) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/metrics", response_class=PlainTextResponse, responses=ERRORS)
    async def tell(request: Request) -> Response:
        """What is counted, for Prometheus. For local requests without a key, else with any key."""
        authenticator.metrics(request.scope)
        text, kind = await metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind})

    return router


def _include_plugin_routers(app: FastAPI, host: PluginHost) -> PluginRouters:
    """Mount the plugins' routers, public ones first."""
    routers = PluginRouters()
    found = []
    for name, router in host.build_used(ROUTERS).items():
        registration = host.registration(ROUTERS, name)
        is_public = isinstance(registration.spec, RouterSpec) and registration.spec.public
        if is_public:
            routers.add_public(registration.plugin_id, router)
        found.append((is_public, registration.plugin_id, router))
    for _, plugin_id, router in sorted(found, key=lambda one: not one[0]):
        app.include_router(router, prefix=f"/plugins/{plugin_id}")
    return routers
