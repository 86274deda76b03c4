"""Pre-warming that is asked for over HTTP: a job for the worker process, and the statistics of all processes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from tilores_core.errors import OverloadedError, TiloresError
from tilores_core.jobs.job_folder import JobFolder
from tilores_core.jobs.job_runner import MOST_RUNS, Run, Start
from tilores_core.jobs.prewarm.plan import WarmList, WarmPlan
from tilores_core.jobs.prewarm.publish import REPORT, EntrySync, PublishedEntries
from tilores_core.jobs.prewarm.service import RUNS_KEPT, Prewarming
from tilores_core.jobs.prewarm.stats import WarmStats
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job

_NAME_CHARACTERS: Final = 12
_SHARE_SECONDS: Final = 60.0


class PrewarmJobs:
    """What `/admin/prewarm` asks. All methods raise `StoreError`.

    The worker process goes through lists, as it shares a cache tier with this process. Without a shared tier only
    this process can fill its memory, and then goes through the lists itself: `sync` is None.
    """

    def __init__(
        self, prewarming: Prewarming, *, store: LazyStore, folder: JobFolder, sync: EntrySync | None
    ) -> None:
        self.prewarming = prewarming
        self._store = store
        self._folder = folder
        self._sync = sync

    @property
    def is_local(self) -> bool:
        """Whether this process goes through lists itself."""
        return self._sync is None

    async def begin(self, lists: Sequence[WarmList], sent: object | None, plan: WarmPlan | None, owner: str) -> str:
        """Have the lists warmed; returns the name of the run in `runs` of the statistics.

        `sent`: the plan that came with the request, `plan`: the same, parsed. Raises `OverloadedError` when too many
        runs are in progress.
        """
        if self._sync is None:
            return self.prewarming.begin(lists, plan)
        store = await self._store.get()
        if len(await store.jobs.recent(kind="prewarm", ended=False, limit=MOST_RUNS)) >= MOST_RUNS:
            raise OverloadedError("too much is being warmed", retry_after=5.0, fix="wait until some of it is done")
        job_id = uuid.uuid4().hex[:_NAME_CHARACTERS]
        asked = {"lists": [one.name for one in lists]} if sent is None else {"plan": sent}
        await asyncio.to_thread(self._folder.write_plan, job_id, orjson.dumps(asked))
        try:
            await store.jobs.create(
                job_id, kind="prewarm", owner=owner, lines=sum(len(one.customers) for one in lists)
            )
        except BaseException:
            await asyncio.to_thread(self._folder.remove, job_id)
            raise
        return job_id

    async def statistics(self, *, worker_runs: bool) -> dict[str, Any]:
        """What the worker process did with lists, and this process with calls. `worker_runs`: one is there now."""
        own = self.prewarming.statistics()
        if self._sync is None:
            return own
        store = await self._store.get()
        report = await store.reports.get(REPORT)
        jobs = await store.jobs.recent(kind="prewarm", limit=RUNS_KEPT)
        await self._sync.sync()
        own = self.prewarming.statistics()
        own["runs"] = {job.id: _of_run(job.totals) if job.ended else None for job in reversed(jobs)}
        if report is None:
            return own
        for name, stats in report["lists"].items():
            if name in own["lists"]:
                own["lists"][name]["latest"] = stats["latest"]
        for name in ("calls", "cost"):
            own["budget"][name] += report["budget"][name]
        return {
            **own,
            "leading": report["leading"] and worker_runs,
            "running": report["running"],
            "totals": report["totals"],
        }


def _of_run(totals: Mapping[str, Any]) -> Mapping[str, Any]:
    """A run that failed as a whole has no statistics of its own: it is one failure."""
    if totals:
        return totals
    stats = WarmStats()
    stats.add("failed", error="internal_error")
    return stats.as_plain()


def prewarm_start(prewarming: Prewarming, entries: PublishedEntries, folder: JobFolder) -> Start:
    """How the pre-warmings of the job table are begun (`job_runner.Start`)."""

    async def start(job: Job) -> Run:
        try:
            asked = orjson.loads(await asyncio.to_thread(folder.plan(job.id).read_bytes))
        except OSError as error:
            raise TiloresError(f"the plan cannot be read: {error.strerror}", fix="send it again") from None
        plan = prewarming.parse(asked["plan"]) if "plan" in asked else None
        lists = prewarming.choose(asked["lists"]) if plan is None else plan.lists
        budget = None if plan is None else prewarming.budget_of(plan)
        totals: dict[str, Any] = {}

        async def run() -> None:
            stats = await prewarming.run(lists, budget)
            # Before the job is done, so that readers find them.
            left = await entries.settle(prewarming.statistics, _SHARE_SECONDS)
            if left:
                stats.add("failed", times=left, error="not_shared")
            totals.update(stats.as_plain())

        return Run(run, lambda: totals, lambda: sum(len(one.customers) for one in lists))

    return start
