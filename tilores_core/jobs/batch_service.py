"""Batches that a server does: taken in to the disk, noted in the store, done one after another behind live traffic.

A job belongs to whoever holds its lease. A process that dies loses the lease after some seconds, and whoever finds
the job's folder then (this machine's next start, a fellow worker) goes on with it where the output ends.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.contracts import Caller
from tilores_core.errors import InvalidRequestError, RateLimitedError, StoreError, TiloresError
from tilores_core.jobs.batch import Batch, Plan
from tilores_core.jobs.batch_folder import BatchFolder, Upload
from tilores_core.jobs.batch_input import Format
from tilores_core.jobs.batch_output import OutputBusyError
from tilores_core.resilience import Lease, acquire_lease
from tilores_core.settings import BatchTable
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import BATCH

if TYPE_CHECKING:
    from pathlib import Path

    from tilores_core.store.batch_jobs import BatchJob
    from tilores_core.store.store import Store

log = structlog.get_logger(part="batch")

LEASE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 2.5
_NOTE_SECONDS: Final = 0.5
_TIDY_SECONDS: Final = 3600.0
_GROUP: Final = 16
"""Lines read at a time: few, since reading holds up the event loop's thread a little."""

Note = Callable[[Callable[[], Mapping[str, float]]], Callable[[], None]]
"""Takes what tells a batch's totals as it begins; what it gives back is called when the batch has ended."""

Make = Callable[[Plan, str | None, Caller], Awaitable[Batch]]
"""A batch for a plan, a model and whoever asks. `concurrency` 0 in the plan stands for the default."""


class BatchService:
    """One per process. All methods that look at a job raise `StoreError`."""

    def __init__(
        self, *, store: LazyStore, folder: BatchFolder, make: Make, table: BatchTable, note: Note | None = None
    ) -> None:
        self._store = store
        self._folder = folder
        self._make = make
        self._note = note
        self._table = table
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tidied = 0.0

    @property
    def max_body_bytes(self) -> int:
        """Of one batch's input."""
        return self._table.max_body_bytes

    def start(self) -> None:
        """The store is opened only when there is a job."""
        self._store.listen(BATCH, lambda _: self._woken.set())
        self._task = asyncio.create_task(self._serve(), name="batches")

    async def aclose(self) -> None:
        """End what runs, for the next start to go on with."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- from outside ------------------------------------------------------------------------------------

    async def submit(
        self, body: AsyncIterable[bytes], *, form: Format, owner: str, model: str | None, concurrency: int
    ) -> BatchJob:
        """Take a batch in. Once it returns, the batch will be done, whatever becomes of this process.

        Raises `InvalidRequestError` for an empty one, `PayloadTooLargeError`, `RateLimitedError` for one too many.
        """
        store = await self._store.get()
        await self._check_room(store)
        job_id = uuid.uuid4().hex
        upload = Upload(self._folder, job_id, form, self._table.max_body_bytes)
        try:
            async for data in body:
                await asyncio.to_thread(upload.add, data)
            if not await asyncio.to_thread(upload.finish):
                raise InvalidRequestError(
                    "there is no line", param="body", fix='send lines like {"question": "…", "customer_id": "…"}'
                )
            options = {"form": form, "model": model, "concurrency": concurrency}
            job = await store.batch_jobs.create(job_id, owner=owner, options=options, lines=upload.lines)
        except BaseException:
            await asyncio.to_thread(upload.drop)
            raise
        self._woken.set()
        self._store.changed(BATCH)
        return job

    async def get(self, job_id: str) -> BatchJob | None:
        return await (await self._store.get()).batch_jobs.get(job_id)

    async def cancel(self, job_id: str) -> BatchJob | None:
        """The job as it is then; what was done stays. One that has ended stays as it is."""
        jobs = (await self._store.get()).batch_jobs
        job = await jobs.cancel(job_id) or await jobs.get(job_id)
        self._woken.set()
        self._store.changed(BATCH)
        return job

    def output(self, job_id: str) -> Path:
        """Where its results are; not there before the first."""
        return self._folder.output(job_id)

    async def _check_room(self, store: Store) -> None:
        from tilores_core.store.batch_jobs import OPEN

        if len(await store.batch_jobs.recent(states=OPEN, limit=self._table.max_jobs)) >= self._table.max_jobs:
            raise RateLimitedError(
                f"{self._table.max_jobs} batches wait or run already",
                retry_after=60.0,
                fix="wait for one to end, or raise [batch] max_jobs",
            )

    # --- doing them --------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        while True:
            self._woken.clear()
            try:
                for job_id in await asyncio.to_thread(self._folder.unfinished):
                    await self._take(job_id)
                await self._tidy()
            except (StoreError, OSError) as error:
                log.warning("batches have to wait", error=str(getattr(error, "message", type(error).__name__)))
            except Exception as error:  # the next look may fare better; never the end of all batches
                log.error("a look at the batches failed", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._woken.wait()

    async def _take(self, job_id: str) -> None:
        from tilores_core.store.batch_jobs import ENDED

        store = await self._store.get()
        job = await store.batch_jobs.get(job_id)
        if job is None:
            if await asyncio.to_thread(self._folder.is_abandoned, job_id):
                await asyncio.to_thread(self._folder.remove, job_id)
            return
        if job.state not in ENDED:
            await self._run(store, job)
            job = await store.batch_jobs.get(job_id)
        if job is not None and job.state in ENDED:
            await store.leases.forget(_lease(job_id))  # not earlier: a lease's fence must go on rising
            await asyncio.to_thread(self._folder.note_end, job_id)

    async def _run(self, store: Store, job: BatchJob) -> None:
        lease = await acquire_lease(store.leases, _lease(job.id), seconds=LEASE_SECONDS)
        if lease is None:
            return
        async with lease:
            taken = await store.batch_jobs.start(job.id, lease.fence)
            if taken is None:
                return
            log.info("a batch begins", job=job.id, key=job.owner, again=job.started is not None)
            await self._do(store, taken, lease)

    async def _do(self, store: Store, job: BatchJob, lease: Lease) -> None:
        if job.state == "cancelling":
            await store.batch_jobs.finish(job.id, lease.fence, "cancelled", totals=job.totals)
            return
        try:
            batch = await self._make(self._plan(job), job.options["model"], Caller(name=job.owner))
        except TiloresError as error:  # a model that there is not any more
            await self._fail(store, job, lease, error)
            return
        ended = None if self._note is None else self._note(batch.totals.plain)
        running = asyncio.create_task(batch.run())
        try:
            cancelled = await self._watch(store, job, lease, batch, running)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            if ended is not None:
                ended()
        if cancelled:
            await store.batch_jobs.finish(job.id, lease.fence, "cancelled", totals=batch.totals.plain())
        elif not running.cancelled():
            await self._finish(store, job, lease, batch, running)

    async def _watch(
        self, store: Store, job: BatchJob, lease: Lease, batch: Batch, running: asyncio.Task[Any]
    ) -> bool:
        """Note how far it is until it ends or must; whether somebody cancelled it."""
        lost = asyncio.create_task(lease.lost.wait())
        try:
            while not running.done() and not lease.lost.is_set():
                await asyncio.wait({running, lost}, timeout=_NOTE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    break
                try:
                    told = await store.batch_jobs.progress(job.id, lease.fence, batch.totals.plain())
                except StoreError:
                    continue  # the lease says whether we may go on
                if told is None:
                    return False
                if told.state == "cancelling":
                    return True
        finally:
            lost.cancel()
        return False

    async def _finish(
        self, store: Store, job: BatchJob, lease: Lease, batch: Batch, running: asyncio.Task[Any]
    ) -> None:
        error = running.exception()
        if isinstance(error, OutputBusyError):
            return  # who held it before is still at its last line
        if error is not None:
            await self._fail(store, job, lease, error)
            return
        totals = batch.totals.plain()
        await store.batch_jobs.progress(job.id, lease.fence, totals, lines=batch.totals.lines)
        await store.batch_jobs.finish(job.id, lease.fence, "done", totals=totals)
        log.info("a batch is done", job=job.id, lines=batch.totals.lines, failed=batch.totals.failed)

    async def _fail(self, store: Store, job: BatchJob, lease: Lease, error: BaseException) -> None:
        said = error.message if isinstance(error, TiloresError) else f"unforeseen: {type(error).__name__}"
        log.warning("a batch failed", job=job.id, error=type(error).__name__)
        await store.batch_jobs.finish(job.id, lease.fence, "failed", totals=job.totals, error=said)

    def _plan(self, job: BatchJob) -> Plan:
        return Plan(
            source=self._folder.source(job.id, job.options["form"]),
            output=self._folder.output(job.id),
            concurrency=int(job.options["concurrency"]),
            resume=True,
            group=_GROUP,
        )

    async def _tidy(self) -> None:
        """Forget what ended long ago."""
        now = asyncio.get_running_loop().time()
        if self._tidied and now - self._tidied < _TIDY_SECONDS:
            return
        self._tidied = now
        for job_id in await asyncio.to_thread(self._folder.outdated, self._table.keep_hours * 3600):
            await (await self._store.get()).batch_jobs.delete(job_id)
            await asyncio.to_thread(self._folder.remove, job_id)


def _lease(job_id: str) -> str:
    return f"batch:{job_id}"
