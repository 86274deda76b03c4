"""The ASGI application: `create_app`."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tilores_core.alerts.conditions import prewarm_budget_check, worker_check
from tilores_core.alerts.desk import AlertDesk
from tilores_core.alerts.queue import MARK as ALERTS_MARK
from tilores_core.alerts.system import check_routes
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import HEALTH
from tilores_core.identity import Locale
from tilores_core.jobs.intake import BatchIntake
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.jobs import PrewarmJobs
from tilores_core.jobs.prewarm.publish import EntrySync
from tilores_core.jobs.prewarm.schedule import check_schedule
from tilores_core.metrics.collectors import prewarm_samples
from tilores_core.quality.evaluation.plan import EvaluationRequest
from tilores_core.quality.evaluation.queue import MARK as EVALUATIONS_MARK, EvaluationQueue
from tilores_core.resilience.presence import WorkersSeen, workers
from tilores_core.services import Services, job_folder, load_host, open_services
from tilores_core.settings import Environment, LoadedConfig, load_environment
from tilores_core.store.topics import PREWARM
from tilores_core.web.admin_alerts import alert_routes
from tilores_core.web.admin_app import build_admin_app, cache_routes, health_routes
from tilores_core.web.admin_batch import batch_routes
from tilores_core.web.admin_deploy import deploy_routes
from tilores_core.web.admin_improvement import evaluation_routes, improvement_routes, quality_routes
from tilores_core.web.admin_prewarm import call_routes, prewarm_routes
from tilores_core.web.admin_release import experiment_routes, prompt_routes
from tilores_core.web.application import Application
from tilores_core.web.auth import Authenticator, check_exposure, check_key_tables, provide_keys, require_key
from tilores_core.web.chat import ChatService
from tilores_core.web.health import NO_WORKER, HealthReport
from tilores_core.web.rate_limit import RateLimit
from tilores_core.web.server import drain_on_signal
from tilores_core.worker.prewarming import build_prewarming, load_prewarm_plan

_WARM_UP_SECONDS = 1.5


def create_app(
    environment: Environment | None = None,
    *,
    loaded: LoadedConfig | None = None,
    host: PluginHost | None = None,
    metrics_folder: Path | None = None,
    with_jobs: bool = False,
    served: bool = False,
    **plan: Any,
) -> Application:
    """The ASGI application. Plugins are loaded now and built when the server starts. `metrics_folder`: see `Metrics`.
    `host`: with plugins that were loaded before, instead of `loaded` and `plan`.

    It starts no worker process: batches and pre-warming wait for `tilores worker`. `with_jobs`: run them on this
    event loop instead, for a program that has no worker process; callers then wait for them as well. `served`: the
    process is there for this application alone, so that what would stop a caller is done before the first one comes.

    Raises `ConfigError`, `PluginError`.
    """
    environment = environment or load_environment()
    check_exposure(environment)
    host = host or load_host(environment, loaded=loaded, **plan)
    check_key_tables(environment, host.config.keys)
    environment = provide_keys(environment, synthetic=host.has_synthetic_customers)
    limit = environment.rate_limit
    rate_limit = RateLimit(limit, "requests", metrics_folder) if limit else None
    authenticator = Authenticator(environment, host.config, metrics_folder)
    # What is wrong in the plan, or a route of alerts, stops the start, not the first request.
    check_routes(host)
    checked_plan = load_prewarm_plan(host.config, Locale())
    if checked_plan.lists:
        check_schedule()  # whichever process follows it

    @asynccontextmanager
    async def open_parts(application: Application) -> AsyncIterator[tuple[ChatService, Any]]:
        async with open_services(host, environment, metrics_folder=metrics_folder, live=True) as services:
            metrics = services.metrics
            prewarm_plan = checked_plan
            if services.locale != Locale():  # the source reads phone numbers and dates in another way
                prewarm_plan = load_prewarm_plan(host.config, services.locale)
            chat = ChatService(
                services.engine,
                authenticator,
                host.config.chat,
                rate_limit,
                tracing=services.tracing,
                metrics=metrics,
                quality=services.quality,
            )
            if metrics is not None:
                metrics.watch(chat.samples)
                await metrics.start()
            shared, folder = services.cache.has_shared, job_folder(environment)
            cache, watched = services.cache, services.engine.watched_hits
            entries = WarmedEntries(cache, watched, most_pinned=prewarm_plan.memory_entries)
            prewarming = build_prewarming(services, prewarm_plan, entries=entries, follows=not shared)
            host.services.open(calls=prewarming.calls, require_key=require_key)
            sync = EntrySync(services.store, entries) if shared else None
            services.watch.add(prewarm_budget_check, lambda: prewarming.budget.is_spent)
            warm_jobs = PrewarmJobs(prewarming, store=services.store, folder=folder, sync=sync)
            if metrics is not None:
                metrics.watch(lambda: prewarm_samples(prewarming.statistics()))
            seen = None if with_jobs else lambda: workers(environment.data_dir)

            admin = _build_admin(application, authenticator, services, warm_jobs, seen)
            warming = [asyncio.create_task(services.engine.warm_up())]
            if served and services.quality is not None:
                warming.append(asyncio.create_task(services.store.warm_up()))
            await asyncio.wait(warming, timeout=_WARM_UP_SECONDS)  # a slow one goes on behind the start
            async with AsyncExitStack() as stack:
                if metrics is not None:
                    stack.push_async_callback(metrics.aclose)
                stack.push_async_callback(chat.aclose)
                stack.push_async_callback(prewarming.aclose)
                chat.start()
                if seen is not None:
                    services.watch.add(worker_check(seen))
                services.watch.start()
                prewarming.start(at_once=host.config.prewarm.at_start)
                if sync is not None:
                    stack.push_async_callback(sync.aclose)
                    cache.on_announcement(lambda topic: sync.wake() if topic == PREWARM else None)
                    sync.start(at_once=bool(prewarm_plan.lists))
                if with_jobs:
                    from tilores_core.worker.jobs import run_jobs  # a web process does without what batches need

                    await stack.enter_async_context(run_jobs(services, prewarm_plan))
                if served:
                    # What is there now stays: a collection that walked over it would stop every caller for 0.2 s.
                    # What callers leave behind is entries of caches, which need few whole collections. The first
                    # number is well above what requests under way hold: at 700, collections that find nothing but
                    # that took a tenth of an uncached answer.
                    gc.freeze()
                    gc.set_threshold(5_000, 2, 50)
                    gc.enable()
                with drain_on_signal(application, host.config.chat.drain_seconds):
                    yield chat, admin

    return Application(
        open_parts,
        cors_origins=host.config.chat.cors_origins,
        local_only=authenticator.local_only,
    )


def _build_admin(
    application: Application,
    authenticator: Authenticator,
    services: Services,
    warm_jobs: PrewarmJobs,
    seen: Callable[[], WorkersSeen] | None,
) -> Any:
    """All but the chat protocols. `seen`: the worker processes; None where this process does their work."""
    host, folder, metrics = services.host, job_folder(services.environment), services.metrics
    config = host.config

    def note() -> str | None:
        return NO_WORKER if seen is not None and seen().missing else None

    def is_ready() -> bool:
        return application.ready

    batches = BatchIntake(store=services.store, folder=folder, table=config.batch)
    alerts = AlertDesk(services.store, config.use.alerts, wake=services.work_mark(ALERTS_MARK).set)
    report = HealthReport(
        host=host,
        cache=services.cache,
        engine=services.engine,
        tracers=services.tracing.report,
        store=services.store.ping,
        prompts=services.prompts.report,
        workers=seen,
        checks=tuple(host.build_used(HEALTH).items()),
    )
    routers = (
        health_routes(host, services.source, report, is_ready),
        cache_routes(host, services.cache, folder, services.store),
        prewarm_routes(warm_jobs, note),
        call_routes(warm_jobs.prewarming),
        quality_routes(services.store, config.quality),
        deploy_routes(services.store, services.release.version, config.deploy),
        alert_routes(alerts, note),
        prompt_routes(services.release, note),
        experiment_routes(services.release, note),
        improvement_routes(services.store, config.improve, config.healing.mode, is_ready),
        batch_routes(batches, is_ready, note),
        evaluation_routes(_evaluations(services), note),
    )
    models = services.engine.models
    return build_admin_app(host=host, authenticator=authenticator, models=models, metrics=metrics, routers=routers)


def _evaluations(services: Services) -> EvaluationQueue:
    async def check(request: EvaluationRequest) -> None:
        from tilores_core.worker.evaluating import check_names  # a web process does without what evaluations need

        await check_names(services, request)

    return EvaluationQueue(services.store, services.work_mark(EVALUATIONS_MARK), check)
