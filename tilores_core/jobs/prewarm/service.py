"""Pre-warming as the server and the command line use it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import CustomerSource
from tilores_core.errors import ConfigError, InvalidRequestError, OverloadedError, UnknownModelError
from tilores_core.jobs.job_runner import MOST_RUNS
from tilores_core.jobs.prewarm.entries import WarmedEntries
from tilores_core.jobs.prewarm.plan import RequestDecoders, WarmList, WarmPlan, parse_plan
from tilores_core.jobs.prewarm.publish import PublishedEntries
from tilores_core.jobs.prewarm.runs import CallWarming, ListRuns, WorkerPool
from tilores_core.jobs.prewarm.schedule import Leases, check_schedule, follow, lead
from tilores_core.jobs.prewarm.stats import HourlyBudget, WarmStats
from tilores_core.jobs.prewarm.warmer import Warmer
from tilores_core.resilience import cancel_tasks
from tilores_core.settings import Config
from tilores_core.settings.nearest import suggest

log = structlog.get_logger(part="prewarm")

KEEP_SECONDS: Final = 60.0
"""How often the time in memory of warmed entries is restarted."""

RUNS_KEPT = 64


class Prewarming:
    """Pre-warming: scheduled lists, lists on request, and callers that are reported.

    `calls` takes what phone applications report; `run` goes through lists now; `start` follows the schedule.

    `leases`: where it is decided which of several replicas follows it; without them this one does not.
    """

    def __init__(
        self,
        *,
        engine: ChatEngine,
        cache: TieredCache,
        source: CustomerSource,
        config: Config,
        decoders: RequestDecoders,
        plan: WarmPlan,
        leases: Leases | None = None,
        entries: WarmedEntries | PublishedEntries | None = None,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        """Raises `ConfigError` where the plan names a model that there is not."""
        self.plan = plan
        self._engine = engine
        self._decoders = decoders
        self._leases = leases
        self._keep_seconds = keep_seconds
        self._check_models(plan)
        self.entries = entries or WarmedEntries(cache, engine.watched_hits, most_pinned=plan.memory_entries)
        self.budget = HourlyBudget(calls=plan.budget.calls_per_hour, cost=plan.budget.cost_per_hour)
        self._warmer = Warmer(engine=engine, source=source, config=config, entries=self.entries)
        self._pool = WorkerPool(plan.concurrency)
        self._list_runs = ListRuns(self._warmer, self._pool)
        self.calls = CallWarming(warmer=self._warmer, budget=self.budget, plan=plan.calls, locale=decoders.locale)
        self._totals = WarmStats()
        self._latest: dict[str, WarmStats] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._runs: dict[str, WarmStats | None] = {}
        self.leading = False

    # --- life --------------------------------------------------------------------------------------------

    def start(self, *, at_once: bool = True) -> None:
        """Keep what is warmed in memory and, where there are lists, follow their schedule. `at_once`: begin now.

        Raises `ConfigError` where the library for it is missing.
        """
        self._spawn(self._keep())
        if self.plan.lists and self._leases is not None:
            check_schedule()
            self._spawn(lead(self._leases, lambda: self.follow(at_once=at_once)))

    async def follow(self, *, at_once: bool = True) -> None:
        """Go through the lists, each at its own interval, until cancelled."""
        self.leading = True
        try:
            await follow([(one, self.interval(one)) for one in self.plan.lists], self._run, at_once=at_once)
        finally:
            self.leading = False

    def interval(self, one: WarmList) -> float:
        """Seconds between two rounds: what the list says, but never so long that an answer ends in between."""
        return self._warmer.interval(one.refresh)

    async def aclose(self) -> None:
        await cancel_tasks(*self._tasks)
        await self._list_runs.aclose()
        await self._pool.aclose()
        await self.calls.aclose()

    # --- now ---------------------------------------------------------------------------------------------

    async def run(self, lists: Sequence[WarmList] | None = None, budget: HourlyBudget | None = None) -> WarmStats:
        """Go once through these lists, by default all; the stats of them together."""
        chosen = self.plan.lists if lists is None else lists
        together = WarmStats()
        for stats in await asyncio.gather(*(self._run(one, budget) for one in chosen)):
            together.include(stats)
        return together

    def begin(self, lists: Sequence[WarmList], sent: WarmPlan | None = None) -> str:
        """The same in the background; returns the name of the run in `runs` of the statistics.

        `sent`: the plan that the lists are from, whose budget counts beside the own one. Raises `OverloadedError`
        when too many runs are in progress.
        """
        if sum(run is None for run in self._runs.values()) >= MOST_RUNS:
            raise OverloadedError("too much is being warmed", retry_after=5.0, fix="wait until some of it is done")
        budget = self.budget if sent is None else self.budget_of(sent)
        name = uuid.uuid4().hex[:12]
        self._runs[name] = None
        while len(self._runs) > RUNS_KEPT:
            del self._runs[next(iter(self._runs))]

        async def run() -> None:
            try:
                self._runs[name] = await self.run(lists, budget)
            finally:
                if name in self._runs and self._runs[name] is None:
                    self._runs[name] = WarmStats()

        self._spawn(run())
        return name

    def budget_of(self, sent: WarmPlan) -> HourlyBudget:
        """The budget of a plan that was sent, which counts beside the own one."""
        limits = sent.budget
        return HourlyBudget(calls=limits.calls_per_hour, cost=limits.cost_per_hour, within=self.budget)

    def choose(self, names: Sequence[str]) -> list[WarmList]:
        """The plan's lists of these names. Raises `InvalidRequestError` for one that there is not."""
        known = {one.name: one for one in self.plan.lists}
        for index, name in enumerate(names):
            if name not in known:
                raise InvalidRequestError(
                    f"there is no list of this name; {suggest(name, known)}", param=f"lists[{index}]"
                )
        return [known[name] for name in dict.fromkeys(names)]

    def parse(self, value: object) -> WarmPlan:
        """A plan that was sent instead of kept in a file. Raises `InvalidRequestError`."""
        try:
            plan = parse_plan(value, where="plan", decoders=self._decoders)
            self._check_models(plan)
        except ConfigError as error:
            raise InvalidRequestError(error.message, param="plan", fix=error.fix) from None
        return plan

    # --- statistics --------------------------------------------------------------------------------------------

    def statistics(self) -> dict[str, Any]:
        """Of this process since its start; times in seconds, `ended_at` since the epoch."""
        return {
            "leading": self.leading,
            "running": list(self._list_runs.running),
            "totals": self._totals.as_plain(),
            "lists": {
                one.name: {
                    "priority": one.priority,
                    "every_seconds": round(self.interval(one), 1),
                    "customers": len(one.customers),
                    "latest": latest.as_plain() if (latest := self._latest.get(one.name)) else None,
                }
                for one in self.plan.lists
            },
            "runs": {name: run.as_plain() if run else None for name, run in self._runs.items()},
            "calls": self.calls.as_plain(),
            "worth": self.entries.as_plain(),
            "budget": self.budget.as_plain(),
        }

    # --- inside ------------------------------------------------------------------------------------------

    async def _run(self, one: WarmList, budget: HourlyBudget | None = None) -> WarmStats:
        stats = await self._list_runs.run(one, budget or self.budget)
        if self._latest.get(one.name) is not stats:  # several may have waited for one round
            if any(known is one for known in self.plan.lists):
                self._latest[one.name] = stats
            self._totals.include(stats)
        return stats

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._keep_seconds)
            await self.entries.keep()

    def _check_models(self, plan: WarmPlan) -> None:
        for name in sorted(plan.models()):
            try:
                self._engine.models.resolve(name)
            except UnknownModelError as error:
                raise ConfigError(error.message, where="ask.model", fix=error.fix) from None

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def on_ended(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("prewarm.failed", error=type(error).__name__)

        task.add_done_callback(on_ended)
