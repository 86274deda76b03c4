"""The composition root: the only place that wires services together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.lookup import CustomerLookup
from tilores_core.chat.models import Models
from tilores_core.chat.observe import Observers
from tilores_core.chat.prompts import BuiltinPrompts
from tilores_core.contracts import CacheTier, CustomerSource, LLMProvider, Tracer
from tilores_core.errors import SourceError
from tilores_core.garbage import GarbageCollection
from tilores_core.host.host import PluginHost
from tilores_core.jobs.prewarm.plan import Plan
from tilores_core.metrics import Metrics
from tilores_core.metrics.jobs import prewarm_samples
from tilores_core.metrics.models import ModelLabels
from tilores_core.metrics.wiring import watch_parts
from tilores_core.settings import Config, Environment, LoadedConfig, load_config, load_environment, variables
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.tracing import Tracing, deployment_of

if TYPE_CHECKING:
    from tilores_core.jobs.batch_service import BatchService
    from tilores_core.jobs.prewarm.plan_file import Reading
    from tilores_core.jobs.prewarm.service import Prewarming
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
    metrics: Metrics | None
    lookup: CustomerLookup
    store: LazyStore


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
    use = host.config.use
    return Models(providers, default=use.model, fallbacks=use.fallbacks, idle=host.idle_providers)


def build_tracers(host: PluginHost) -> dict[str, Tracer]:
    """The tracers of `[use]` that work here, by name. They are closed with the host."""
    return {name: cast(Tracer, tracer) for name, tracer in host.build_used("tracers").items()}


def build_metrics(config: Config, models: Models, folder: Path | None) -> Metrics | None:
    """What counts, unless `[metrics]` says that nothing does. `folder`: see `Metrics`."""
    if not config.metrics.enabled:
        return None
    named = (models.default, *models.fallbacks)
    labels = ModelLabels(lambda name: models.info(name) is not None, named=named, most=config.metrics.max_models)
    return Metrics(labels, folder=folder)


def prewarm_reading(config: Config) -> Reading:
    """Questions of a plan are decoded as OpenAI's protocol decodes them, so that a request finds what they made."""
    from tilores_core.jobs.prewarm.plan_file import Reading
    from tilores_core.web.openai.messages import decode_messages
    from tilores_core.web.openai.parameters import decode_parameters

    return Reading(messages=decode_messages, parameters=decode_parameters, region=config.chat.phone_region)


def load_prewarm_plan(config: Config) -> Plan:
    """The plan that `[prewarm]` names; one that holds nothing where it names none. Raises `ConfigError`."""
    if not config.prewarm.file:
        return Plan()
    from tilores_core.jobs.prewarm.plan_file import load_plan

    return load_plan(Path(config.prewarm.file), prewarm_reading(config))


def build_prewarming(services: Services, plan: Plan) -> Prewarming:
    """Pre-warming by this plan; close it before the services. Raises `ConfigError` for a model that there is not."""
    from tilores_core.jobs.prewarm.election import choose_election
    from tilores_core.jobs.prewarm.service import Prewarming

    config, tiers = services.host.config, [tier for _, tier in services.tiers]
    return Prewarming(
        engine=services.engine,
        lookup=services.lookup,
        source=services.source,
        source_name=config.use.source,
        cache_table=config.cache,
        chat_table=config.chat,
        reading=prewarm_reading(config),
        plan=plan,
        election=choose_election(services.environment.database_url, tiers, services.store),
    )


def build_batches(services: Services) -> BatchService:
    """Batches over HTTP. Close it before the services."""
    from tilores_core.batching import server_batches

    return server_batches(services)


@asynccontextmanager
async def open_services(
    host: PluginHost, environment: Environment, *, metrics_folder: Path | None = None
) -> AsyncIterator[Services]:
    """Build what `[use]` names, in order; close it in reverse. `metrics_folder`: see `Metrics`."""
    config = host.config
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        tiers = build_tiers(host)
        cache = TieredCache(tiers, table=config.cache)
        await cache.start()
        stack.push_async_callback(cache.aclose)
        source = cast(CustomerSource, host.build("source", config.use.source))
        models = build_models(host)
        metrics = build_metrics(config, models, metrics_folder)
        store = LazyStore(store_address(environment.database_url, environment.data_dir), announce=cache.announce)
        cache.on_announcement(lambda _: store.hasten())
        stack.push_async_callback(store.aclose)
        lookup = CustomerLookup(
            source=source,
            name=config.use.source,
            finder=CustomerFinder(source, config.chat.phone_region),
            cache=cache,
            table=config.cache,
            region=config.chat.phone_region,
            seconds=config.chat.source_seconds,
            notes=metrics.sources if metrics is not None else None,
        )
        tracing = Tracing(
            build_tracers(host),
            config.tracing,
            resolve=models.resolve,
            shown=models.shown,
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
            notes=metrics.models if metrics is not None else None,
        )
        stack.push_async_callback(engine.aclose)
        if metrics is not None:
            watch_parts(metrics, cache=cache, engine=engine, tracers=tracing.report)
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
            metrics=metrics,
            lookup=lookup,
            store=store,
        )


def create_app(
    environment: Environment | None = None,
    *,
    loaded: LoadedConfig | None = None,
    metrics_folder: Path | None = None,
    **plan: Any,
) -> Application:
    """The ASGI application. Plugins are loaded now and built when the server starts. `metrics_folder`: see `Metrics`.

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
    prewarm_plan = load_prewarm_plan(host.config)

    @asynccontextmanager
    async def open_parts(application: Application) -> AsyncIterator[tuple[ChatService, Any]]:
        async with open_services(host, environment, metrics_folder=metrics_folder) as services:
            metrics = services.metrics
            chat = ChatService(
                services.engine,
                gate,
                host.config.chat,
                environment.rate_limit,
                tracing=services.tracing,
                metrics=metrics,
            )
            if metrics is not None:
                metrics.watch(chat.samples)
                await metrics.start()
            garbage = GarbageCollection()
            services.engine.lane.stand_behind(lambda: chat.at_work, between=garbage.young)
            prewarming = build_prewarming(services, prewarm_plan)
            batches = build_batches(services)
            if metrics is not None:
                metrics.watch(lambda: prewarm_samples(prewarming.statistics()))
            site = Site(
                host=host,
                gate=gate,
                cache=services.cache,
                engine=services.engine,
                is_ready=lambda: application.ready,
                table=host.config.chat,
                metrics=metrics,
                tracers=services.tracing.report,
                store=services.store.ping,
                prewarming=prewarming,
                batches=batches,
            )
            warming = asyncio.create_task(services.engine.warm_up())
            await asyncio.wait({warming}, timeout=_WARM_UP_SECONDS)  # a slow one goes on behind the start
            chat.start()
            prewarming.start(at_once=host.config.prewarm.at_start)
            batches.start()
            garbage.start()
            try:
                with drain_on_signal(application, host.config.chat.drain_seconds):
                    yield chat, site.asgi
            finally:
                await garbage.aclose()
                await batches.aclose()
                await prewarming.aclose()
                await chat.aclose()
                if metrics is not None:
                    await metrics.aclose()

    return Application(
        open_parts,
        cors_origins=host.config.chat.cors_origins,
        local_only=gate.loopback and gate.chat.open,
    )
