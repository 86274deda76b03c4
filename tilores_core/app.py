"""The composition root: the only place that wires services together."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.customers import CustomerFinder
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.chat.observe import Observers
from tilores_core.chat.prompts import BuiltinPrompts
from tilores_core.contracts import CacheTier, CustomerSource, LLMProvider, Tracer
from tilores_core.errors import SourceError
from tilores_core.host.host import PluginHost
from tilores_core.settings import Environment, LoadedConfig, load_config, load_environment, variables
from tilores_core.tracing import Tracing, deployment_of

if TYPE_CHECKING:
    from tilores_core.web.application import Application

log = structlog.get_logger(part="app")

_WARM_UP_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the command line and the web layer work with."""

    host: PluginHost
    environment: Environment
    source: CustomerSource
    tiers: tuple[tuple[str, CacheTier], ...]
    cache: TieredCache
    engine: ChatEngine
    tracing: Tracing


def load_host(environment: Environment, *, loaded: LoadedConfig | None = None, **plan: Any) -> PluginHost:
    """Read plugins.toml and load the plugins it enables. `plan`: as `PluginHost.start` takes it."""
    loaded = loaded or load_config(environment.config)
    host = PluginHost.start(loaded, variables=variables(), data_dir=environment.data_dir, **plan)
    for text in host.oddities:
        log.warning("odd settings", detail=text)
    for record in host.records:
        if record.is_problem:
            log.warning(
                "plugin not loaded", plugin=record.id, state=record.state, reason=record.reason, fix=record.fix
            )
    return host


def build_tiers(host: PluginHost) -> list[tuple[str, CacheTier]]:
    """The cache tiers of `[use]`, fastest first. They are closed with the host."""
    return [(name, cast(CacheTier, tier)) for name, tier in host.build_used("cache").items()]


def build_models(host: PluginHost) -> Models:
    """The models of all active providers, which are closed with the host."""
    providers = {name: cast(LLMProvider, provider) for name, provider in host.build_used("llm").items()}
    return Models(providers, default=host.config.use.model, fallbacks=host.config.use.fallbacks)


def build_tracers(host: PluginHost) -> dict[str, Tracer]:
    """The tracers of `[use]` that work here, by name. They are closed with the host."""
    return {name: cast(Tracer, tracer) for name, tracer in host.build_used("tracers").items()}


@asynccontextmanager
async def open_services(host: PluginHost, environment: Environment) -> AsyncIterator[Services]:
    """Build what `[use]` names, in order; close it in reverse."""
    config = host.config
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        tiers = build_tiers(host)
        cache = TieredCache(tiers, table=config.cache)
        await cache.start()
        stack.push_async_callback(cache.aclose)
        source = cast(CustomerSource, host.build("source", config.use.source))
        models = build_models(host)
        lookup = CustomerLookup(
            source=source,
            name=config.use.source,
            finder=CustomerFinder(source, config.chat.phone_region),
            cache=cache,
            table=config.cache,
            region=config.chat.phone_region,
            seconds=config.chat.source_seconds,
        )
        tracing = Tracing(
            build_tracers(host),
            config.tracing,
            resolve=models.resolve,
            remembered=lookup.remembered,
            deployment=deployment_of(variables()),
        )
        tracing.start()
        stack.push_async_callback(tracing.aclose)
        for what, reason in host.switched_off.items():
            log.info("done without", what=what, reason=reason)
        observers = Observers([tracing] if tracing else [])
        observers.start()
        engine = ChatEngine(
            lookup=lookup,
            models=models,
            prompts=BuiltinPrompts(),
            cache=cache,
            table=config.cache,
            observers=observers,
            routing=config.routing,
            chat=config.chat,
            deadline_seconds=config.chat.deadline_seconds,
        )
        stack.push_async_callback(engine.aclose)
        try:
            await lookup.refresh_schema()
        except SourceError as error:  # it may come back; answers from before are still good
            log.warning("the customer source does not answer yet", source=config.use.source, error=error.message)
        yield Services(
            host=host,
            environment=environment,
            source=source,
            tiers=tuple(tiers),
            cache=cache,
            engine=engine,
            tracing=tracing,
        )


def create_app(
    environment: Environment | None = None, *, loaded: LoadedConfig | None = None, **plan: Any
) -> Application:
    """The ASGI application. Plugins are loaded now and built when the server starts.

    Raises `ConfigError`, `PluginError`.
    """
    from tilores_core.web.application import Application
    from tilores_core.web.auth import Gate, check_exposure, check_key_tables
    from tilores_core.web.chat import ChatService
    from tilores_core.web.server import drain_on_signal
    from tilores_core.web.site import Site

    environment = environment or load_environment()
    check_exposure(environment)
    host = load_host(environment, loaded=loaded, **plan)
    check_key_tables(environment, host.config.keys)
    gate = Gate(environment, host.config.keys)

    @asynccontextmanager
    async def open_parts(application: Application) -> AsyncIterator[tuple[ChatService, Any]]:
        async with open_services(host, environment) as services:
            chat = ChatService(
                services.engine, gate, host.config.chat, environment.rate_limit, tracing=services.tracing
            )
            site = Site(
                host=host,
                gate=gate,
                cache=services.cache,
                engine=services.engine,
                is_ready=lambda: application.ready,
                table=host.config.chat,
            )
            warming = asyncio.create_task(services.engine.warm_up())
            await asyncio.wait({warming}, timeout=_WARM_UP_SECONDS)  # a slow one goes on behind the start
            # What is there now stays: full collections need not walk over all libraries and settings again and again.
            gc.collect()
            gc.freeze()
            chat.start()
            try:
                with drain_on_signal(application, host.config.chat.drain_seconds):
                    yield chat, site.asgi
            finally:
                await chat.aclose()

    return Application(
        open_parts,
        cors_origins=host.config.chat.cors_origins,
        local_only=gate.loopback and gate.chat.open,
    )
