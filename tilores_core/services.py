"""What a process has open: plugins, cache, customer source, models, engine, tracers, store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

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
from tilores_core.metrics.collectors import (
    alert_queue_samples,
    experiment_samples,
    prompt_samples,
    quality_samples,
    watch_parts,
)
from tilores_core.metrics.family import Sample
from tilores_core.metrics.meters import ModelLabels
from tilores_core.quality.live import QUALITY_WORK, LiveQuality, ScoreObserver
from tilores_core.release.golden_questions import GoldenQuestions
from tilores_core.release.orchestrator import ProductionIntegrationOrchestrator
from tilores_core.release.prompt_checks import PromptChecks
from tilores_core.release.prompts import ProductionPromptManager
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
_WRITE_PAUSE = 0.0005  # a request to a shared tier, which wakes another process up, costs as much as ten writes in it


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
    use_spectrums(host.config.chat.spectrum_files)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(host.aclose)
        yield await _Opening(stack, host, environment, live=live).open(metrics_folder)


class _Part(Protocol):
    def start(self) -> None: ...

    async def aclose(self) -> None: ...


_P = TypeVar("_P", bound=_Part)


class _Opening:
    """Builds the parts in order. What is opened is closed with `stack`, in reverse."""

    def __init__(self, stack: AsyncExitStack, host: PluginHost, environment: Environment, *, live: bool) -> None:
        self._stack = stack
        self._host = host
        self._config = host.config
        self._environment = environment
        self._live = live
        self._metrics: Metrics | None = None

    async def open(self, metrics_folder: Path | None) -> Services:
        host, config, environment = self._host, self._config, self._environment
        tiers = build_tiers(host)
        cache = await self._open_cache(tiers)
        self._open_plugin_cache(cache)
        source = host.build(SOURCE, config.use.source)
        models = build_models(host)
        if config.metrics.enabled:
            self._metrics = Metrics(_model_labels(config, models), folder=metrics_folder)
        store = self._open_store(cache)
        alerts = self._start(AlertQueue(store, environment.data_dir))
        self._count(lambda: alert_queue_samples(alerts))
        prompts = ProductionPromptManager(
            store, environment.data_dir, checks=PromptChecks(config.prompts), alerts=alerts
        )
        self._stack.push_async_callback(prompts.aclose)
        await prompts.start()
        release = self._start(
            ProductionIntegrationOrchestrator(
                store,
                prompts,
                config,
                resolve=models.resolve,
                alerts=alerts,
                mark=partial(WorkMark, environment.data_dir),
                version=code_version(environment) if self._live or host.background else "",
                part="web" if self._live else "worker",
            )
        )
        locale = _locale(config, source)
        lookup = self._build_lookup(source, cache, locale)
        tracing = self._start(
            Tracing(
                host.build_used(TRACERS),
                config.tracing,
                resolve=models.resolve,
                shown=models.display_name,
                remembered=lookup.get_remembered,
                deployment=deployment_of(variables()),
            )
        )
        quality = self._open_quality(store, cache, release, tracing, models) if self._live else None
        engine = self._open_engine(models, lookup, cache, prompts, tracing, quality)
        if config.healing.mode != "off":
            self._start(ModelHolds(store, engine.hold_models))
        for what, reason in host.disabled_roles.items():
            log.info("plugin.disabled", what=what, reason=reason)
        if self._metrics is not None:
            watch_parts(self._metrics, cache, engine, tracing)
        self._count(lambda: prompt_samples(prompts))
        self._count(lambda: experiment_samples(release))
        await _check_source(lookup, config.use.source)
        prompts.checks.evaluator = GoldenQuestions(engine, source, config.prompts.golden_customers)
        self._open_plugin_services(engine, lookup)
        return Services(
            host=host,
            environment=environment,
            source=source,
            locale=locale,
            tiers=tuple(tiers),
            cache=cache,
            engine=engine,
            tracing=tracing,
            metrics=self._metrics,
            lookup=lookup,
            store=store,
            alerts=alerts,
            prompts=prompts,
            watch=self._build_watch(alerts, engine, cache),
            release=release,
            quality=quality,
        )

    def _start(self, part: _P) -> _P:
        self._stack.push_async_callback(part.aclose)
        part.start()
        return part

    def _count(self, collect: Callable[[], Iterable[Sample]]) -> None:
        if self._metrics is not None:
            self._metrics.watch(collect)

    async def _open_cache(self, tiers: list[tuple[str, CacheTier]]) -> TieredCache:
        table = self._config.cache
        if self._host.background:  # the limit counts what this process waits for a processor as well
            seconds = max(table.tier_timeout_seconds, _BACKGROUND_TIER_SECONDS)
            table = table.model_copy(update={"tier_timeout_seconds": seconds})
        cache = TieredCache(tiers, table=table, write_pause=_WRITE_PAUSE)
        await cache.start()
        self._stack.push_async_callback(cache.aclose)
        return cache

    def _open_plugin_cache(self, cache: TieredCache) -> None:
        key = self._environment.secret_key
        secret = None if key is None else key.get_secret_value()
        self._host.services.open(cache=partial(NamespaceCache, cache, table=self._config.cache, secret=secret))
        self._stack.callback(self._host.services.close)

    def _open_store(self, cache: TieredCache) -> LazyStore:
        address = store_address(self._environment.database_url, self._environment.data_dir)
        store = LazyStore(address, announce=cache.announce)
        cache.on_announcement(lambda _: store.poll_now())
        self._stack.push_async_callback(store.aclose)
        return store

    def _build_lookup(self, source: CustomerSource, cache: TieredCache, locale: Locale) -> CustomerLookup:
        extractor = next(iter(self._host.build_used(EXTRACTOR).items()), None)
        table = self._config.cache
        return CustomerLookup(
            source=source,
            name=self._config.use.source,
            finder=CustomerFinder(
                source,
                locale.region,
                extractor,
                day_first=locale.day_first,
                negative_seconds=min(table.customers.negative_ttl_seconds, table.answers.negative_ttl_seconds),
            ),
            cache=cache,
            table=table,
            locale=locale,
            seconds=self._config.chat.source_seconds,
            notes=self._metrics.sources if self._metrics is not None else None,
        )

    def _open_quality(
        self,
        store: LazyStore,
        cache: TieredCache,
        release: ProductionIntegrationOrchestrator,
        tracing: Tracing,
        models: Models,
    ) -> LiveQuality | None:
        config, collector = self._config, None
        observer: ScoreObserver = release.recorder
        if not config.quality.live_cpu_percent:
            return None
        if config.healing.mode != "off":
            observer = HealthSignals(store, observer, shown=models.display_name, source=config.use.source)
        if config.quality.collect_questions:
            from tilores_core.quality.questions.collecting import QuestionCollector  # a server does without it else

            collector = QuestionCollector(store)
        quality = LiveQuality(
            store,
            cache,
            cpu_share=config.quality.live_cpu_percent / 100,
            wake_monitor=WorkMark(self._environment.data_dir, QUALITY_WORK).set,
            observer=observer,
            collector=collector,
            note=tracing.note_scores,
        )
        if (metrics := self._metrics) is not None:
            metrics.watch(lambda: quality_samples(quality, metrics.labels))
        return self._start(quality)

    def _open_engine(
        self,
        models: Models,
        lookup: CustomerLookup,
        cache: TieredCache,
        prompts: ProductionPromptManager,
        tracing: Tracing,
        quality: LiveQuality | None,
    ) -> ChatEngine:
        config, observers = self._config, [*self._host.build_used(OBSERVERS).values()]
        reporter = OutcomeReporter(observers, tracing=tracing or None, quality=quality)
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
            notes=self._metrics.models if self._metrics is not None else None,
        )
        self._stack.push_async_callback(engine.aclose)
        return engine

    def _open_plugin_services(self, engine: ChatEngine, lookup: CustomerLookup) -> None:
        async def find(identifiers: Identifiers, *, limit: int) -> Sequence[Customer]:
            return await lookup.calls.note_outcome(lookup.source.find(identifiers, limit=limit))

        self._host.services.open(ask=engine.answer, find=find)
        self._stack.callback(self._host.services.close)

    def _build_watch(self, alerts: AlertSink, engine: ChatEngine, cache: TieredCache) -> ConditionWatch:
        """What a process that goes on watches; a command does not start it."""
        watch = ConditionWatch(alerts)
        watch.add(model_check, engine)
        watch.add(source_check, engine, self._config.use.source)
        watch.add(tier_check, cache)
        watch.add(grounding_check(engine, self._config.alerts))
        self._stack.push_async_callback(watch.aclose)
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


def _model_labels(config: Config, models: Models) -> ModelLabels:
    named = (models.default, *models.fallbacks)
    return ModelLabels(lambda name: models.info(name) is not None, named=named, most=config.metrics.max_models)


async def _check_source(lookup: CustomerLookup, name: str) -> None:
    try:
        await lookup.refresh_schema()
    except SourceError as error:  # it may come back; answers from before are still good
        log.warning("source.unavailable_at_start", source=name, error=error.message)
