"""Batches, built from `Services`.

async with open_services(load_host(environment), environment) as services:
    plan = Plan(source=Path("questions.jsonl"), output=Path("answers.jsonl"), concurrency=64)
    totals = await Batch(plan, line_work(services, manner(services))).run()
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tilores_core.chat.routing.limits import background_share
from tilores_core.contracts import DEFAULT_CALLER, Caller
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import EXECUTOR
from tilores_core.identity import Locale
from tilores_core.jobs.batch import Batch, Plan
from tilores_core.jobs.batch_elsewhere import Elsewhere
from tilores_core.jobs.batch_input import Reading
from tilores_core.jobs.batch_work import LineWork, Manner
from tilores_core.jobs.job_runner import Start
from tilores_core.metrics import Metrics
from tilores_core.services import Services, job_folder
from tilores_core.settings.loader import read_text
from tilores_core.worker.engine_pool import EngineConfig, EnginePool, process_chunk

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job


def manner(services: Services, *, model: str | None = None, caller: Caller = DEFAULT_CALLER) -> Manner:
    """How lines are asked under the settings. Raises `UnknownModelError`."""
    if model is not None:
        model = services.engine.models.resolve(model)
    return Manner(model=model, caller=caller, seconds=services.host.config.chat.deadline_seconds)


def line_work(services: Services, manner: Manner) -> LineWork:
    """Lines done by the engine of this process."""
    return LineWork(services.engine, services.source, region=services.locale.region, manner=manner)


def reading(locale: Locale) -> Reading:
    """How identifiers in a batch's columns are read."""
    return Reading(phone_region=locale.region, day_first=locale.day_first)


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
    concurrency: int,
    engines: EnginePool,
    *,
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


class BatchRun:
    """One batch, as the worker process runs it (`job_runner.Run`)."""

    def __init__(self, batch: Batch, metrics: Metrics | None) -> None:
        self._batch = batch
        self._metrics = metrics

    async def run(self) -> None:
        ended = None if self._metrics is None else self._metrics.batches.begin(self.totals)
        try:
            await self._batch.run()
        finally:
            if ended is not None:
                ended()

    def totals(self) -> dict[str, float]:
        return self._batch.totals.plain()

    @property
    def lines(self) -> int:
        return self._batch.totals.lines


def batch_start(services: Services) -> Start:
    """Prepares the batches of the job table (`job_runner.Start`)."""
    host, folder = services.host, job_folder(services.environment)
    executors: dict[str, Executor] = {}

    async def start(job: Job) -> BatchRun:
        form, model = job.options["form"], job.options["model"]
        chosen = manner(services, model=model, caller=Caller(name=job.owner))
        most = default_concurrency(services, model)
        plan = Plan(
            source=folder.source(job.id, form),
            output=folder.output(job.id),
            concurrency=min(int(job.options["concurrency"]) or most, most),
            resume=True,
            reading=replace(reading(services.locale), format=form),
        )
        there = await _outside(host, executors)
        sent = None if there is None else elsewhere(host, there, chosen, plan.concurrency, EnginePool())
        return BatchRun(Batch(plan, line_work(services, chosen), elsewhere=sent), services.metrics)

    return start


async def _outside(host: PluginHost, executors: dict[str, Executor]) -> Executor | None:
    """The executor of `[use]`, if it is one outside this process; connected once."""
    for name in host.used(EXECUTOR):
        if name not in executors:
            executors[name] = await build_executor(host, name)
        if not isinstance(executors[name], ThreadPoolExecutor):
            return executors[name]
    return None
