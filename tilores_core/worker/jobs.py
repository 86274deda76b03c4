"""All that a worker does with `Services` once there is work, supervised: a task that fails is started again, and the
others go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from tilores_core.alerts.conditions import prewarm_budget_check
from tilores_core.alerts.queue import MARK
from tilores_core.alerts.system import AutomatedAlertingSystem, build_channels
from tilores_core.errors import TiloresError
from tilores_core.jobs.job_folder import Kind
from tilores_core.jobs.job_runner import JobRunner, Start
from tilores_core.jobs.prewarm.jobs import prewarm_start
from tilores_core.jobs.prewarm.plan import WarmPlan
from tilores_core.jobs.prewarm.publish import PublishedEntries
from tilores_core.logs import LastingFault, sanitize_exception
from tilores_core.metrics.collectors import alert_samples, prewarm_samples
from tilores_core.quality.live import QUALITY_WORK
from tilores_core.quality.thresholds import QualityThresholdMonitor
from tilores_core.resilience import cancel_tasks
from tilores_core.services import Services, job_folder
from tilores_core.worker.batches import batch_start
from tilores_core.worker.evaluating import run_evaluations
from tilores_core.worker.improving import run_healing, run_triggered
from tilores_core.worker.prewarming import build_prewarming

log = structlog.get_logger(part="worker")

FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_RECOVERED_SECONDS: Final = 15.0
"""Longer than a call of a database that hangs: until that has failed, nothing has recovered."""
_HEALTHY_SECONDS: Final = 60.0
"""After so many seconds without a failure the next pause is the first again."""


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """Something that the worker process does from its first work until its end.

    `run` goes on until it is cancelled, or returns when nothing is left to do in this process. What it raises is
    logged, and it is called again after a pause that doubles up to a minute; so it keeps in the store what must
    outlive a failure. Several workers may run: what must be done once is done under a lease (`acquire_lease`).
    """

    name: str
    run: Callable[[Services], Awaitable[None]]


@asynccontextmanager
async def run_tasks(
    services: Services, tasks: Sequence[WorkerTask], *, first_pause: float = FIRST_PAUSE
) -> AsyncIterator[None]:
    """Run the tasks while the block runs. `first_pause`: seconds before a task that failed is started again."""
    running = [asyncio.create_task(_supervise(services, task, first_pause), name=task.name) for task in tasks]
    try:
        yield
    finally:
        await cancel_tasks(*running)


async def _supervise(services: Services, task: WorkerTask, first_pause: float) -> None:
    pause, fault = first_pause, LastingFault("worker.task_failed", task=task.name)
    while True:
        begun = time.monotonic()
        recovered = asyncio.get_running_loop().call_later(_RECOVERED_SECONDS, fault.end)
        try:
            await task.run(services)
            return
        except Exception as error:
            if time.monotonic() - begun > _HEALTHY_SECONDS:
                pause = first_pause
            if not isinstance(error, TiloresError):
                said, trace = type(error).__name__, sanitize_exception(error)
                log.error("worker.task_failed", task=task.name, error=said, restart_in_s=pause, exc_info=trace)
            elif fault.is_new(error.message):
                log.error(
                    "worker.task_failed", task=task.name, error=error.message, fix=error.fix, restart_in_s=pause
                )
        finally:
            recovered.cancel()
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def run_alerts(services: Services) -> None:
    """Deliver alerts until cancelled, whenever no other process does; watch the conditions of this one."""
    table, mark = services.host.config.alerts, services.work_mark(MARK)
    channels = build_channels(services.host)
    system = AutomatedAlertingSystem(services.store, channels, table, mark=mark, trace=services.tracing.record)
    if services.metrics is not None:
        services.metrics.watch(lambda: alert_samples(system.figures, system.counted))
    services.watch.start()
    await system.run()


async def watch_quality(services: Services) -> None:
    """Watch the levels of live quality, unless `[quality]` switches scoring off."""
    table, mark = services.host.config.quality, services.work_mark(QUALITY_WORK)
    if table.live_cpu_percent:
        await QualityThresholdMonitor(services.store, services.alerts, table, mark=mark).run()


TASKS: tuple[WorkerTask, ...] = (
    WorkerTask("alerts", run_alerts),
    WorkerTask("evaluations", run_evaluations),
    WorkerTask("quality", watch_quality),
    WorkerTask("release", lambda services: services.release.work()),
    WorkerTask("release jobs", lambda services: services.release.jobs.work()),
    WorkerTask("improvement", run_triggered),
    WorkerTask("healing", run_healing),
)
"""One entry for each feature that works in the background, apart from batches and pre-warming.

A feature whose work may begin at any time wakes an idle worker with a mark (`Services.work_mark`); one that its
settings give work to do has a line in `worker.process.has_scheduled_work`.
"""


@asynccontextmanager
async def run_jobs(services: Services, plan: WarmPlan) -> AsyncIterator[None]:
    """Run batches, pre-warming and its schedule while the block runs: what the worker process does.

    For a program that has `create_app()` and the jobs in one process as well. `plan`: as `load_prewarm_plan` gives
    it. Raises `ConfigError` for an unknown model in the plan.
    """
    store, folder, config = services.store, job_folder(services.environment), services.host.config
    start: dict[Kind, Start] = {"batch": batch_start(services)}
    tasks = list(TASKS)
    async with AsyncExitStack() as stack:
        if services.cache.has_shared:  # otherwise each web process does it, as only it can fill its memory
            entries = PublishedEntries(store, services.cache)
            prewarming = build_prewarming(services, plan, entries=entries)
            stack.push_async_callback(prewarming.aclose)
            services.watch.add(prewarm_budget_check, lambda: prewarming.budget.is_spent)
            start["prewarm"] = prewarm_start(prewarming, entries, folder)
            if services.metrics is not None:
                services.metrics.watch(lambda: prewarm_samples(prewarming.statistics()))
            prewarming.start(at_once=config.prewarm.at_start)
            tasks.append(WorkerTask("warmed entries", lambda _: entries.run(prewarming.statistics)))
        runner = JobRunner(store=store, folder=folder, start=start, keep_seconds=config.batch.keep_hours * 3600)
        tasks.append(WorkerTask("jobs", lambda _: runner.run()))
        await stack.enter_async_context(run_tasks(services, tasks))
        yield
