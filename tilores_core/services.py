"""What a process has open: plugins, cache, customer source, models, engine, tracers, store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from tilores_core import __version__
from tilores_core.alerts.conditions import ConditionWatch, grounding_check, model_check, source_check, tier_check
from tilores_core.alerts.queue import AlertQueue
from tilores_core.cache.namespace_cache import NamespaceCache
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.customer.finder import CustomerFinder
from tilores_core.chat.customer_lookup import CustomerLookup
from tilores_core.chat.engine import ChatEngine
from tilores_core.chat.models import Models
from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.contracts import (
    AlertSink,
    CacheTier,
    Customer,
    CustomerSource,
    Identifiers,
    SourceLocale,
    SupportsLocale,
)
from tilores_core.errors import SourceError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import CACHE, EXTRACTOR, LLM, OBSERVERS, SOURCE, TRACERS
from tilores_core.identity import Locale
from tilores_core.improve.healing_signals import HealthSignals, ModelHolds
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.metrics import Metrics
from tilores_core.metrics.collectors import alert_queue_samples, experiment_samples, prompt_samples, watch_parts
from tilores_core.metrics.meters import ModelLabels
from tilores_core.metrics.quality import quality_samples
from tilores_core.quality.live import QUALITY_WORK, LiveQuality, ScoreObserver
from tilores_core.release import ProductionIntegrationOrchestrator, ProductionPromptManager, PromptChecks
from tilores_core.release.golden_questions import GoldenQuestions
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import Config, Environment, LoadedConfig, load_config, variables
from tilores_core.settings.data_folder import create_data_folder
from tilores_core.settings.process import switch_off_automatic_tracing
from tilores_core.spectrums import use_spectrums
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.tracing import Tracing, deployment_of

log = structlog.get_logger(part="services")

_BACKGROUND_TIER_SECONDS = 15.0
_WRITE_PAUSE = 0.0005  # a request to a shared tier costs as much as ten writes in it


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the web layer, the worker process and the command line work with."""

    host: PluginHost
    environment: Environment
    source: CustomerSource
    locale: Locale
    tiers: tuple[tuple[str, CacheTier], ...]
    cache: TieredCache
    engine: ChatEngine
    tracing: Tracing
    metrics: Metrics | None
    lookup: CustomerLookup
    store: LazyStore
    alerts: AlertSink
    prompts: ProductionPromptManager
    watch: ConditionWatch
    release: ProductionIntegrationOrchestrator
    quality: LiveQuality | None = None
    """In a process that answers live turns, unless it is switched off."""

    def work_mark(self, name: str) -> WorkMark:
        """The mark that wakes the worker process for this kind of work."""
        return WorkMark(self.environment.data_dir, name)


def load_host(environment: Environment, *, loaded: LoadedConfig | None = None, **plan: Any) -> PluginHost:
    """Read plugins.toml and load the plugins it enables. `plan`: as `PluginHost.start` takes it."""
    loaded = loaded or load_config(environment.config)
    switch_off_automatic_tracing()
    with suppress(OSError):  # whatever cannot be kept there says so when it is needed
        create_data_folder(environment.data_dir)
    host = PluginHost.start(loaded, variables=variables(), data_dir=environment.data_dir, **plan)
    for text in host.config_warnings:
        log.warning("config.warning", detail=text)
    for plugin in host.plugins:
        if plugin.is_problem:
            log.warning(
                "plugin.not_loaded", plugin=plugin.id, state=plugin.state, reason=plugin.reason, fix=plugin.fix
            )
    return host


def job_folder(environment: Environment) -> JobFolder:
    """Where the files of jobs are."""
    return JobFolder(environment.data_dir / "batch")


def build_tiers(host: PluginHost) -> list[tuple[str, CacheTier]]:
    """The cache tiers of `[use]`, fastest first. They are closed with the host."""
    return list(host.build_used(CACHE).items())


def build_models(host: PluginHost) -> Models:
    """The models of all active providers, which are closed with the host."""
    use = host.config.use
    return Models(host.build_used(LLM), default=use.model, fallbacks=use.fallbacks, idle=host.idle_providers)


@asynccontextmanager
async def open_services(
    host: PluginHost, environment: Environment, *, metrics_folder: Path | None = None, live: bool = False
) -> AsyncIterator[Services]:
    """Build what `[use]` names, in order; close it in reverse, with the host. `metrics_folder`: see `Metrics`.

    `live`: this process answers callers, and scores what it answers (`[quality]`).
    """
    config = host.config
    use_spectrums(config.chat.spectrum_files)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        tiers = build_tiers(host)
        cache = await _open_cache(stack, tiers, config, background=host.background)
        _open_plugin_cache(stack, host, environment, cache)
        source = host.build(SOURCE, config.use.source)
        models = build_models(host)
        metrics = _build_metrics(config, models, metrics_folder)
        store = _open_store(stack, environment, cache)
        alerts = _open_alerts(stack, environment, store, metrics)
        prompts = await _open_prompts(stack, environment, config, store, alerts)
        version = code_version(environment) if live or host.background else ""
        release = ProductionIntegrationOrchestrator(
            store,
            prompts,
            config,
            resolve=models.resolve,
            alerts=alerts,
            mark=partial(WorkMark, environment.data_dir),
            version=version,
            part="web" if live else "worker",
        )
        stack.push_async_callback(release.aclose)
        release.start()
        locale = _locale(config, source)
        finder = CustomerFinder(
            source,
            locale.region,
            next(iter(host.build_used(EXTRACTOR).items()), None),
            day_first=locale.day_first,
        )
        lookup = _build_lookup(config, source, finder, cache, metrics, locale)
        tracing = _open_tracing(stack, host, models, lookup)
        quality = None
        if live:
            shown = models.display_name
            quality = _open_quality(stack, environment, store, cache, config, metrics, release, tracing, shown)
        engine = _open_engine(stack, host, models, lookup, cache, prompts, tracing, metrics, quality)
        if config.healing.mode != "off":
            holds = ModelHolds(store, engine.hold_models)
            stack.push_async_callback(holds.aclose)
            holds.start()
        for what, reason in host.disabled_roles.items():
            log.info("plugin.disabled", what=what, reason=reason)
        if metrics is not None:
            watch_parts(metrics, cache=cache, engine=engine, tracers=tracing.report)
            metrics.watch(lambda: prompt_samples(prompts))
            metrics.watch(lambda: experiment_samples(release))
        await _check_source(lookup, config.use.source)
        prompts.checks.evaluator = GoldenQuestions(engine, source, config.prompts.golden_customers)
        _open_plugin_services(stack, host, engine, lookup)
        yield Services(
            host=host,
            environment=environment,
            source=source,
            locale=locale,
            tiers=tuple(tiers),
            cache=cache,
            engine=engine,
            tracing=tracing,
            metrics=metrics,
            lookup=lookup,
            store=store,
            alerts=alerts,
            prompts=prompts,
            watch=_build_watch(stack, config, alerts, engine, cache),
            release=release,
            quality=quality,
        )


async def _open_cache(
    stack: AsyncExitStack, tiers: list[tuple[str, CacheTier]], config: Config, *, background: bool
) -> TieredCache:
    table = config.cache
    if background:  # the limit counts what this process waits for a processor as well
        seconds = max(table.tier_timeout_seconds, _BACKGROUND_TIER_SECONDS)
        table = table.model_copy(update={"tier_timeout_seconds": seconds})
    cache = TieredCache(tiers, table=table, write_pause=_WRITE_PAUSE)
    await cache.start()
    stack.push_async_callback(cache.aclose)
    return cache


def _build_metrics(config: Config, models: Models, folder: Path | None) -> Metrics | None:
    if not config.metrics.enabled:
        return None
    named = (models.default, *models.fallbacks)
    labels = ModelLabels(lambda name: models.info(name) is not None, named=named, most=config.metrics.max_models)
    return Metrics(labels, folder=folder)


def _open_store(stack: AsyncExitStack, environment: Environment, cache: TieredCache) -> LazyStore:
    store = LazyStore(store_address(environment.database_url, environment.data_dir), announce=cache.announce)
    cache.on_announcement(lambda _: store.poll_now())
    stack.push_async_callback(store.aclose)
    return store


async def _open_prompts(
    stack: AsyncExitStack, environment: Environment, config: Config, store: LazyStore, alerts: AlertSink
) -> ProductionPromptManager:
    checks = PromptChecks(config.prompts)
    prompts = ProductionPromptManager(store, environment.data_dir, checks=checks, alerts=alerts)
    stack.push_async_callback(prompts.aclose)
    await prompts.start()
    return prompts


def _open_alerts(
    stack: AsyncExitStack, environment: Environment, store: LazyStore, metrics: Metrics | None
) -> AlertQueue:
    queue = AlertQueue(store, environment.data_dir)
    queue.start()
    stack.push_async_callback(queue.aclose)
    if metrics is not None:
        metrics.watch(lambda: alert_queue_samples(queue))
    return queue


def _build_watch(
    stack: AsyncExitStack, config: Config, alerts: AlertSink, engine: ChatEngine, cache: TieredCache
) -> ConditionWatch:
    """What a process that goes on watches; a command does not start it."""
    watch = ConditionWatch(alerts)
    watch.add(model_check(engine))
    watch.add(source_check(engine, config.use.source))
    watch.add(tier_check(cache))
    watch.add(grounding_check(engine, config.alerts))
    stack.push_async_callback(watch.aclose)
    return watch


def code_version(environment: Environment) -> str:
    """What tells the code that runs here from that of another deployment."""
    name = environment.deployment or deployment_of(variables()).get("deployment_id", "")
    return f"{__version__}+{name}" if name else __version__


def _locale(config: Config, source: CustomerSource) -> Locale:
    """One way to read phone numbers and dates, wherever they come from: `[chat]`, else what the source says."""
    own = source.locale() if isinstance(source, SupportsLocale) else SourceLocale()
    day_first = own.day_first if config.chat.day_first is None else config.chat.day_first
    return Locale.of(config.chat.phone_region or own.phone_region, day_first)


def _build_lookup(
    config: Config,
    source: CustomerSource,
    finder: CustomerFinder,
    cache: TieredCache,
    metrics: Metrics | None,
    locale: Locale,
) -> CustomerLookup:
    return CustomerLookup(
        source=source,
        name=config.use.source,
        finder=finder,
        cache=cache,
        table=config.cache,
        region=locale.region,
        seconds=config.chat.source_seconds,
        notes=metrics.sources if metrics is not None else None,
    )


def _open_tracing(stack: AsyncExitStack, host: PluginHost, models: Models, lookup: CustomerLookup) -> Tracing:
    tracing = Tracing(
        host.build_used(TRACERS),
        host.config.tracing,
        resolve=models.resolve,
        shown=models.display_name,
        remembered=lookup.get_remembered,
        deployment=deployment_of(variables()),
    )
    tracing.start()
    stack.push_async_callback(tracing.aclose)
    return tracing


def _open_quality(
    stack: AsyncExitStack,
    environment: Environment,
    store: LazyStore,
    cache: TieredCache,
    config: Config,
    metrics: Metrics | None,
    release: ProductionIntegrationOrchestrator,
    tracing: Tracing,
    shown: Callable[[str], str],
) -> LiveQuality | None:
    share = config.quality.live_cpu_percent / 100
    if not share:
        return None
    mark = WorkMark(environment.data_dir, QUALITY_WORK)
    observer: ScoreObserver = release.recorder
    if config.healing.mode != "off":
        observer = signals = HealthSignals(store, observer, shown=shown, source=config.use.source)
        stack.push_async_callback(signals.aclose)
        signals.start()
    collector = None
    if config.quality.collect_questions:
        from tilores_core.quality.questions.collecting import QuestionCollector  # a server does without it else

        collector = QuestionCollector(store)
    quality = LiveQuality(
        store,
        cache,
        cpu_share=share,
        wake_monitor=mark.set,
        observer=observer,
        collector=collector,
        note=tracing.note_scores,
    )
    if metrics is not None:
        metrics.watch(lambda: quality_samples(quality, metrics.labels))
    quality.start()
    stack.push_async_callback(quality.aclose)
    return quality


def _open_engine(
    stack: AsyncExitStack,
    host: PluginHost,
    models: Models,
    lookup: CustomerLookup,
    cache: TieredCache,
    prompts: ProductionPromptManager,
    tracing: Tracing,
    metrics: Metrics | None,
    quality: LiveQuality | None,
) -> ChatEngine:
    config = host.config
    reporter = OutcomeReporter([*host.build_used(OBSERVERS).values()], tracing=tracing or None, quality=quality)
    reporter.start()
    engine = ChatEngine(
        customers=lookup,
        models=models,
        prompts=prompts,
        cache=cache,
        table=config.cache,
        reporter=reporter,
        routing=config.routing,
        chat=config.chat,
        deadline_seconds=config.chat.deadline_seconds,
        notes=metrics.models if metrics is not None else None,
    )
    stack.push_async_callback(engine.aclose)
    return engine


def _open_plugin_cache(stack: AsyncExitStack, host: PluginHost, environment: Environment, cache: TieredCache) -> None:
    key = environment.secret_key
    secret = None if key is None else key.get_secret_value()
    host.services.open(cache=partial(NamespaceCache, cache, table=host.config.cache, secret=secret))
    stack.callback(host.services.close)


def _open_plugin_services(
    stack: AsyncExitStack, host: PluginHost, engine: ChatEngine, lookup: CustomerLookup
) -> None:
    async def find(identifiers: Identifiers, *, limit: int) -> Sequence[Customer]:
        return await lookup.calls.note_outcome(lookup.source.find(identifiers, limit=limit))

    host.services.open(ask=engine.answer, find=find)
    stack.callback(host.services.close)


async def _check_source(lookup: CustomerLookup, name: str) -> None:
    try:
        await lookup.refresh_schema()
    except SourceError as error:  # it may come back; answers from before are still good
        log.warning("source.unavailable_at_start", source=name, error=error.message)
