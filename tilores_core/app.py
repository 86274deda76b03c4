"""The ASGI application: `create_app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tilores_core.garbage import GarbageCollection
from tilores_core.metrics.collectors import prewarm_samples
from tilores_core.services import load_host, open_services
from tilores_core.settings import Environment, LoadedConfig, load_environment
from tilores_core.web.admin_app import AdminApp
from tilores_core.web.application import Application
from tilores_core.web.auth import Authenticator, check_exposure, check_key_tables, require_key
from tilores_core.web.chat import ChatService
from tilores_core.web.server import drain_on_signal
from tilores_core.worker.assembly import build_batches, build_prewarming, load_prewarm_plan

_WARM_UP_SECONDS = 1.5


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
    environment = environment or load_environment()
    check_exposure(environment)
    host = load_host(environment, loaded=loaded, **plan)
    check_key_tables(environment, host.config.keys)
    authenticator = Authenticator(environment, host.config.keys)
    prewarm_plan = load_prewarm_plan(host.config)

    @asynccontextmanager
    async def open_parts(application: Application) -> AsyncIterator[tuple[ChatService, Any]]:
        async with open_services(host, environment, metrics_folder=metrics_folder) as services:
            metrics = services.metrics
            chat = ChatService(
                services.engine,
                authenticator,
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
            host.services.open(calls=prewarming.calls, require_key=require_key)
            batches = build_batches(services)
            if metrics is not None:
                metrics.watch(lambda: prewarm_samples(prewarming.statistics()))
            admin = AdminApp(
                host=host,
                authenticator=authenticator,
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
                    yield chat, admin.asgi
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
        local_only=authenticator.loopback and authenticator.chat.open,
    )
