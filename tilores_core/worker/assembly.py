"""Batches and pre-warming, built from `Services`.

async with open_services(load_host(environment), environment) as services:
    plan = Plan(source=Path("questions.jsonl"), output=Path("answers.jsonl"), concurrency=64)
    totals = await Batch(plan, line_work(services, manner(services))).run()
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from tilores_core.chat.routing.limits import background_share
from tilores_core.contracts import DEFAULT_CALLER, Caller
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import EXECUTOR
from tilores_core.jobs.batch import Batch, Plan
from tilores_core.jobs.batch_elsewhere import Elsewhere
from tilores_core.jobs.batch_folder import BatchFolder
from tilores_core.jobs.batch_input import Reading
from tilores_core.jobs.batch_service import BatchService
from tilores_core.jobs.batch_work import LineWork, Manner
from tilores_core.jobs.prewarm.election import choose_leases
from tilores_core.jobs.prewarm.plan import Plan as WarmPlan
from tilores_core.jobs.prewarm.plan_file import Reading as PlanReading
from tilores_core.jobs.prewarm.plan_file import load_plan
from tilores_core.jobs.prewarm.service import Prewarming
from tilores_core.services import Services
from tilores_core.settings import Config
from tilores_core.settings.loader import read_text
from tilores_core.web.openai.decode import decode_messages, decode_parameters
from tilores_core.worker.engine_pool import EngineConfig, EnginePool, process_chunk


def manner(services: Services, *, model: str | None = None, caller: Caller = DEFAULT_CALLER) -> Manner:
    """How lines are asked under the settings. Raises `UnknownModelError`."""
    if model is not None:
        model = services.engine.models.resolve(model)
    return Manner(model=model, caller=caller, seconds=services.host.config.chat.deadline_seconds)


def line_work(services: Services, manner: Manner) -> LineWork:
    """Lines done by the engine of this process."""
    region = services.host.config.chat.phone_region
    return LineWork(services.engine, services.source, region=region, manner=manner)


def reading(host: PluginHost) -> Reading:
    return Reading(phone_region=host.config.chat.phone_region)


def default_concurrency(services: Services, model: str | None) -> int:
    """As many turns as the model's provider may have at once for work behind the scenes."""
    provider = services.engine.models.resolve(model).partition(":")[0]
    routing = services.host.config.routing
    return background_share(routing.concurrent.get(provider, routing.max_concurrent))


async def build_executor(host: PluginHost, name: str) -> Executor:
    """In a thread, as it may connect to a cluster; closed with the host. Raises `ConfigError`, `PluginError`."""
    return await asyncio.to_thread(host.build, EXECUTOR, name)


def elsewhere(
    host: PluginHost,
    executor: Executor,
    manner: Manner,
    *,
    concurrency: int,
    engines: EnginePool,
    no_plugins: bool = False,
    disable: tuple[str, ...] = (),
) -> Elsewhere:
    """Lines done by the processes of `executor`, each with an engine of its own from the same plugins.toml.

    In this process's threads the engines are those of `engines`, one for each thread; close it afterwards.
    """
    engine = EngineConfig(
        config=read_text(host.loaded.path),
        path=str(host.loaded.path.absolute()),
        manner=manner,
        no_plugins=no_plugins,
        disable=disable,
    )
    in_threads = isinstance(executor, ThreadPoolExecutor)
    return Elsewhere(
        executor, partial(engines.process if in_threads else process_chunk, engine), concurrency=concurrency
    )


def build_batches(services: Services) -> BatchService:
    """The batches of a server, behind the callers that it serves."""
    host = services.host
    executors: dict[str, Executor] = {}

    async def make(plan: Plan, model: str | None, caller: Caller) -> Batch:
        chosen = manner(services, model=model, caller=caller)
        most = default_concurrency(services, model)
        plan = replace(plan, concurrency=min(plan.concurrency or most, most), reading=_understood(plan, host))
        there = await _outside(host, executors)
        return Batch(
            plan,
            line_work(services, chosen),
            elsewhere=None if there is None else _sent_to(host, there, chosen, plan),
            lane=services.engine.lane,
        )

    folder = BatchFolder(services.environment.data_dir / "batch")
    note = None if services.metrics is None else services.metrics.batches.begin
    return BatchService(store=services.store, folder=folder, make=make, table=host.config.batch, note=note)


def _understood(plan: Plan, host: PluginHost) -> Reading:
    return replace(reading(host), format="csv" if plan.source.suffix == ".csv" else "jsonl")


async def _outside(host: PluginHost, executors: dict[str, Executor]) -> Executor | None:
    """The executor of `[use]`, if it is one outside this process; connected once."""
    for name in host.used(EXECUTOR):
        if name not in executors:
            executors[name] = await build_executor(host, name)
        if not isinstance(executors[name], ThreadPoolExecutor):
            return executors[name]
    return None


def _sent_to(host: PluginHost, executor: Executor, chosen: Manner, plan: Plan) -> Elsewhere:
    return elsewhere(host, executor, chosen, concurrency=plan.concurrency, engines=EnginePool())


def prewarm_reading(config: Config) -> PlanReading:
    """Questions of a plan are decoded as OpenAI's protocol decodes them, so that a request finds what they made."""
    return PlanReading(messages=decode_messages, parameters=decode_parameters, region=config.chat.phone_region)


def load_prewarm_plan(config: Config) -> WarmPlan:
    """The plan that `[prewarm]` names; one that holds nothing where it names none. Raises `ConfigError`."""
    return load_plan(Path(config.prewarm.file), prewarm_reading(config)) if config.prewarm.file else WarmPlan()


def build_prewarming(services: Services, plan: WarmPlan) -> Prewarming:
    """Pre-warming by this plan; close it before the services. Raises `ConfigError` for an unknown model."""
    config = services.host.config
    return Prewarming(
        engine=services.engine,
        lookup=services.lookup,
        source=services.source,
        source_name=config.use.source,
        cache_table=config.cache,
        chat_table=config.chat,
        reading=prewarm_reading(config),
        plan=plan,
        leases=choose_leases(services.environment.database_url, services.cache, services.store),
    )
