"""Runs jobs: found in the data folder, claimed by a lease, their progress noted in the store.

A job belongs to the process that holds its lease. When that process dies, the lease ends after some seconds, and the
next process that looks continues the job. What a process writes after it lost the lease is refused by its fence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.errors import StoreError, TiloresError
from tilores_core.jobs.batch_output import OutputBusyError, OutputFailedError
from tilores_core.jobs.job_folder import JobFolder, Kind
from tilores_core.logs import LastingFault, sanitize_exception
from tilores_core.resilience import Lease, cancel_tasks
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job
    from tilores_core.store.store import Store

log = structlog.get_logger(part="worker")

LEASE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
_NOTE_SECONDS: Final = 0.4
_PAUSE_SECONDS: Final = 2.5
_TIDY_SECONDS: Final = 3600.0

MOST_RUNS: Final = 16
"""Pre-warmings that were asked for by hand, at one time."""

MOST_AT_ONCE: Final[Mapping[Kind, int]] = {"batch": 1, "prewarm": MOST_RUNS}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job.

    `run`: cancelled, it ends at once and keeps what was finished. `totals`: what has come of it so far, written to
    the store about twice a second. `lines`: how many there are, once that is known.
    """

    run: Callable[[], Coroutine[Any, Any, object]]
    totals: Callable[[], Mapping[str, Any]]
    lines: Callable[[], int | None]


Start = Callable[["Job"], Awaitable[Run]]
"""Prepares a run. Raises `TiloresError` for a job that cannot be run, for example of an unknown model."""


class JobRunner:
    """Runs the jobs of the given kinds: one batch and up to `MOST_RUNS` pre-warmings at a time. One per process.

    `start`: by kind, prepares a run. `keep_seconds`: how long the files of an ended job are kept.
    """

    def __init__(
        self, *, store: LazyStore, folder: JobFolder, start: Mapping[Kind, Start], keep_seconds: float
    ) -> None:
        self._store = store
        self._folder = folder
        self._start = start
        self._keep_seconds = keep_seconds
        self._tidied = 0.0
        self._looking, self._taking = LastingFault("jobs.wait"), LastingFault("jobs.wait")
        self._taken: dict[str, Kind] = {}
        self._begun: set[str] = set()

    async def run(self) -> None:
        """Run jobs until cancelled. The store is opened only when there is a job."""
        async with asyncio.TaskGroup() as group:
            while True:
                pause = _LOOK_SECONDS
                try:
                    for kind, job_ids in (await asyncio.to_thread(self._folder.find_unfinished)).items():
                        for job_id in job_ids:
                            self._begin(group, kind, job_id)
                    await self._tidy()
                    self._looking.end()
                except Exception as error:  # the next look may fare better
                    pause = _PAUSE_SECONDS
                    _log_failure(error, self._looking)
                await asyncio.sleep(pause)

    def _begin(self, group: asyncio.TaskGroup, kind: Kind, job_id: str) -> None:
        """Take the job, unless as many of its kind as may are in progress."""
        most = MOST_AT_ONCE[kind]
        if kind in self._start and job_id not in self._taken and list(self._taken.values()).count(kind) < most:
            self._taken[job_id] = kind
            group.create_task(self._take_safely(kind, job_id), name=f"job {job_id}")

    async def _take_safely(self, kind: Kind, job_id: str) -> None:
        try:
            await self._take(job_id)
            self._taking.end()
        except Exception as error:  # one job's fault must not end the others
            _log_failure(error, self._taking)
            await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            del self._taken[job_id]

    async def _take(self, job_id: str) -> None:
        store = await self._store.get()
        job = await store.jobs.get(job_id)
        if job is None:
            if await asyncio.to_thread(self._folder.is_abandoned, job_id):
                await asyncio.to_thread(self._folder.remove, job_id)
            return
        # Not the kind by the files: the look may have come before the plan was in its place.
        if job.kind == "release" or job.kind not in self._start:
            return
        if job.ended is None:
            await self._claim(store, job, self._start[job.kind])
            job = await store.jobs.get(job_id)
        if job is not None and job.ended is not None:
            self._begun.discard(job_id)
            await store.leases.forget(_lease_name(job))  # not earlier: a lease's fence must go on rising
            await asyncio.to_thread(self._folder.mark_ended, job_id)

    async def _claim(self, store: Store, job: Job, start: Start) -> None:
        lease = await store.leases.take(_lease_name(job), seconds=LEASE_SECONDS)
        if lease is None:
            return
        async with lease:
            taken = await store.jobs.start(job.id, lease.fence)
            if taken is None:
                return
            if job.id not in self._begun:  # one that waits for its output is begun again and again
                self._begun.add(job.id)
                log.info("job.started", job=job.id, kind=job.kind, key=job.owner, again=job.started is not None)
            if taken.state == "cancelling":
                await store.jobs.finish(job.id, lease.fence, "cancelled", totals=job.totals)
                return
            try:
                run = await start(taken)
            except TiloresError as error:
                await self._fail(store, job, lease, job.totals, error)
                return
            await self._run(store, taken, lease, run)

    async def _run(self, store: Store, job: Job, lease: Lease, run: Run) -> None:
        running: asyncio.Future[Any] = asyncio.ensure_future(run.run())
        try:
            cancelled = await self._watch(store, job, lease, run, running)
        finally:
            if not running.done():
                await cancel_tasks(running)
        if cancelled:
            await store.jobs.finish(job.id, lease.fence, "cancelled", totals=run.totals())
        elif not running.cancelled():
            error = running.exception()
            if error is None:
                await store.jobs.progress(job.id, lease.fence, run.totals(), lines=run.lines())
                await store.jobs.finish(job.id, lease.fence, "done", totals=run.totals())
                log.info("job.done", job=job.id, kind=job.kind, lines=run.lines())
            elif isinstance(error, OutputBusyError | OutputFailedError):
                raise error  # another process is at its last line, or the disk is full: it is tried again
            else:
                await self._fail(store, job, lease, run.totals(), error)

    async def _watch(self, store: Store, job: Job, lease: Lease, run: Run, running: asyncio.Future[Any]) -> bool:
        """Note the progress until the run has ended or must end; True when the job was cancelled."""
        lost = asyncio.create_task(lease.lost.wait())
        try:
            while not running.done() and not lease.lost.is_set():
                await asyncio.wait({running, lost}, timeout=_NOTE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    break
                try:
                    now = await store.jobs.progress(job.id, lease.fence, run.totals())
                except StoreError:
                    continue  # the lease says whether the job may go on
                if now is None:
                    return False
                if now.state == "cancelling":
                    return True
        finally:
            lost.cancel()
        return False

    async def _fail(
        self, store: Store, job: Job, lease: Lease, totals: Mapping[str, Any], error: BaseException
    ) -> None:
        text = error.message if isinstance(error, TiloresError) else f"unforeseen: {type(error).__name__}"
        log.warning("job.failed", job=job.id, kind=job.kind, error=type(error).__name__)
        await store.jobs.finish(job.id, lease.fence, "failed", totals=totals, error=text)

    async def _tidy(self) -> None:
        """Remove what ended long ago."""
        now = asyncio.get_running_loop().time()
        if self._tidied and now - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = now
        for job_id in await asyncio.to_thread(self._folder.find_outdated, self._keep_seconds):
            await (await self._store.get()).jobs.delete(job_id)
            await asyncio.to_thread(self._folder.remove, job_id)


def _log_failure(error: Exception, fault: LastingFault) -> None:
    if isinstance(error, TiloresError | OSError):
        said = str(getattr(error, "message", type(error).__name__))
        if fault.is_new(said):
            log.warning("jobs.wait", error=said, fix=getattr(error, "fix", None))
    else:
        log.error("jobs.look_failed", error=type(error).__name__, exc_info=sanitize_exception(error))


def _lease_name(job: Job) -> str:
    return f"{job.kind}:{job.id}"
