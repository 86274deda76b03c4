"""Batches, built from `Services`.

async with open_services(load_host(environment), environment) as services:
    batch = await build_batch(services, Path("questions.jsonl"), Path("answers.jsonl"), concurrency=64)
    totals = await batch.run()
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tilores_core.chat.routing.limits import background_share
from tilores_core.contracts import DEFAULT_CALLER, Caller, SupportsThreads
from tilores_core.files import read_text
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import EXECUTOR
from tilores_core.identity import Locale
from tilores_core.jobs.batch import Batch, BatchPlan
from tilores_core.jobs.batch_input import InputOptions
from tilores_core.jobs.executor_backend import ExecutorBackend
from tilores_core.jobs.job_folder import Format
from tilores_core.jobs.job_runner import Run, Start
from tilores_core.jobs.line_processor import LineOptions, LineProcessor
from tilores_core.services import Services, job_folder
from tilores_core.worker.engine_pool import EngineConfig, EnginePool, process_chunk

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job

LOOP = "loop"
"""Names, in place of an executor, the event loop of this process."""


async def build_batch(
    services: Services,
    source: Path,
    output: Path,
    *,
    resume: bool = False,
    concurrency: int | None = None,
    model: str | None = None,
    caller: Caller = DEFAULT_CALLER,
    form: Format | None = None,
    executor: str | None = None,
    stack: ExitStack | None = None,
    no_plugins: bool = False,
    disable: tuple[str, ...] = (),
) -> Batch:
    """A batch under the settings. `concurrency`: default and limit without `executor` is `background_concurrency`.

    `form`: None goes by the name of `source`. `executor`: a name for this once, or `LOOP`; by default that of `[use]`
    if it is outside this process. `stack` closes what it needs in this process. Raises `ConfigError`, `PluginError`,
    `UnknownModelError`.
    """
    host = services.host
    options = line_options(services, model=model, caller=caller)
    plan = BatchPlan(
        source=source,
        output=output,
        concurrency=concurrency or background_concurrency(services, model),
        resume=resume,
        input=input_options(services.locale, form),
    )
    name = executor or _outside_executor(host)
    backend = None
    if name != LOOP:
        engine = EngineConfig(
            config=read_text(host.loaded.path),
            path=str(host.loaded.path.absolute()),
            options=options,
            no_plugins=no_plugins,
            disable=disable,
        )
        built = await asyncio.to_thread(host.build, EXECUTOR, name)  # it may connect to a cluster
        backend = _backend(built, engine, plan.concurrency, stack or ExitStack())
    return Batch(plan, line_processor(services, options), backend=backend)


def line_options(services: Services, *, model: str | None = None, caller: Caller = DEFAULT_CALLER) -> LineOptions:
    """How lines are asked under the settings. Raises `UnknownModelError`."""
    if model is not None:
        model = services.engine.models.resolve(model)
    return LineOptions(model=model, caller=caller, seconds=services.host.config.chat.deadline_seconds)


def line_processor(services: Services, options: LineOptions) -> LineProcessor:
    """Processes lines with the engine of this process."""
    return LineProcessor(services.engine, services.source, locale=services.locale, options=options)


def input_options(locale: Locale, form: Format | None = None) -> InputOptions:
    """How an input is read. `form`: None goes by the file's name."""
    return InputOptions(format=form, phone_region=locale.region, day_first=locale.day_first)


def background_concurrency(services: Services, model: str | None) -> int:
    """How many background turns the model's provider may have at once."""
    provider = services.engine.models.resolve(model).partition(":")[0]
    routing = services.host.config.routing
    return background_share(routing.concurrent.get(provider, routing.max_concurrent))


def _outside_executor(host: PluginHost) -> str:
    """The executor of `[use]`, if it runs lines outside this process."""
    return next((name for name in host.used_names(EXECUTOR) if not runs_in_threads(host, name)), LOOP)


def runs_in_threads(host: PluginHost, name: str) -> bool:
    """Whether the executor of this name is threads of this process."""
    return SupportsThreads in host.registration(EXECUTOR, name).spec.abilities


def _backend(executor: Executor, engine: EngineConfig, concurrency: int, stack: ExitStack) -> ExecutorBackend:
    if not isinstance(executor, SupportsThreads):
        return ExecutorBackend(executor, partial(process_chunk, engine), concurrency=concurrency)
    engines = EnginePool(per_thread=True)
    stack.callback(engines.close)
    process = partial(engines.process, engine)
    return ExecutorBackend(executor, process, concurrency=executor.thread_count(), chunk_lines=1)


def batch_start(services: Services) -> Start:
    """How the batches of the job table are begun (`job_runner.Start`)."""
    folder = job_folder(services.environment)

    async def start(job: Job) -> Run:
        form, model = job.options["form"], job.options["model"]
        most = background_concurrency(services, model)
        batch = await build_batch(
            services,
            folder.source(job.id, form),
            folder.output(job.id),
            resume=True,
            concurrency=min(int(job.options["concurrency"]) or most, most),
            model=model,
            caller=Caller(name=job.owner),
            form=form,
        )
        totals, metrics = batch.totals, services.metrics

        async def run() -> None:
            with nullcontext() if metrics is None else metrics.batches.running(batch.count_new):
                await batch.run()

        return Run(run, totals.plain, lambda: totals.lines)

    return start
