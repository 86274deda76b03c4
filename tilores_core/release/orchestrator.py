"""Prompts, experiments and monitor of one process, and what the worker process does for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeVar

import structlog

from tilores_core.contracts import AlertSink
from tilores_core.errors import StoreError
from tilores_core.logs import LastingFault
from tilores_core.release.experiments.assignment import Assignment, ExperimentRecorder
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.jobs import JOBS, ReleaseJobs
from tilores_core.release.monitor import ProductionPerformanceMonitor
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.resilience import Lease, cancel_tasks, lead, wait_for_event
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings.config import Config
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import EXPERIMENTS, PROMPTS

log = structlog.get_logger(part="release")

T = TypeVar("T")

WORK: Final = "release"
_LEASE_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 60.0
_FIRST_SECONDS: Final = 0.5
"""Until the store is open: nothing opens it for experiments, as without one there are none."""


class ProductionIntegrationOrchestrator:
    """Prompts, experiments and the monitor of one process, put together.

    `resolve`: the full name of a model, of None that of the default one. `recorder` gets the outcomes of this
    process's turns. `mark`: wakes the worker for a kind of work. `version`: the code that runs, which a process that
    serves or decides, its `part`, notes in the store; a command has none.
    """

    def __init__(
        self,
        store: LazyStore,
        prompts: ProductionPromptManager,
        config: Config,
        *,
        resolve: Callable[[str | None], str],
        alerts: AlertSink,
        mark: Callable[[str], WorkMark],
        version: str = "",
        part: Literal["web", "worker"] = "web",
    ) -> None:
        table = config.experiments
        self.prompts = prompts
        self.assignment = Assignment(holdout=table.holdout)
        self.recorder = ExperimentRecorder(self.assignment, store)
        self.tester = ProductionABTester(
            store,
            prompts,
            self.assignment,
            holdout=table.holdout,
            scored=config.quality.live_cpu_percent > 0,
            resolve=resolve,
            alerts=alerts,
        )
        self.jobs = ReleaseJobs(store, prompts, self.tester, mark(JOBS))
        self.monitor = ProductionPerformanceMonitor(store, prompts, config.monitor, alerts=alerts)
        self._look_seconds = table.look_seconds
        self._settle_seconds = config.deploy.settle_seconds
        self.version = version
        self._part = part
        self._store = store
        self._mark = mark(WORK)
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- every process -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Follow what runs. The store is not opened for it: without one there are no experiments."""
        self._store.listen(EXPERIMENTS, lambda _: self._wanted.set())
        self._store.listen(PROMPTS, lambda _: self._mark.set())  # a new version in production is watched
        self._task = asyncio.create_task(self._follow(), name="experiments")

    async def aclose(self) -> None:
        await cancel_tasks(self._task)
        await self.recorder.aclose()

    async def _follow(self) -> None:
        known, fault = False, LastingFault("experiments.not_followed")
        while True:
            await wait_for_event(self._wanted, None if known else _FIRST_SECONDS)
            if not known and self._store.opened is None:
                continue
            self._wanted.clear()
            try:
                await _whole(self.tester.follow())
                if not known:
                    await self._note_version()
                known = True
                fault.end()
            except StoreError as error:
                if fault.is_new(error.message):
                    log.warning("experiments.not_followed", error=error.message, fix=error.fix)
                await asyncio.sleep(self._look_seconds)
                self._wanted.set()
                continue
            if self.assignment.running:
                self.recorder.start()
                self._mark.set()

    async def _note_version(self) -> None:
        """Another version than the one before is a code roll-out. Raises `StoreError`."""
        rollouts = (await self._store.get()).rollouts
        if self.version and await rollouts.started(self.version, part=self._part, seconds=self._settle_seconds):
            log.info("deploy.version_started", version=self.version)

    # --- the worker --------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Look at experiments and at the last deployment, for ever; one worker does it at a time."""
        await lead(self._store.leases, WORK, self._lead, seconds=_LEASE_SECONDS, pause=_LEASE_SECONDS / 3)

    async def _lead(self, lease: Lease) -> None:
        while not lease.lost.is_set():
            self._mark.take()
            busy = await _whole(self._look())
            self._mark.clear(unless=busy)
            await self._mark.wait(self._look_seconds if busy else _IDLE_SECONDS)

    async def _look(self) -> bool:
        """Whether to look again soon. Raises `StoreError`."""
        looked = await self.tester.look()
        await self.monitor.watch()
        return bool(looked) or self.monitor.watching


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Let what has begun end, also when this task is cancelled: a decision and its record belong together."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LEASE_SECONDS / 3)
        raise
