"""Jobs as the web processes see them: taken in for the worker process, looked up, cancelled."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING

from tilores_core.errors import InvalidRequestError, RateLimitedError
from tilores_core.jobs.job_folder import Format, JobFolder, Upload
from tilores_core.settings import BatchTable
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from pathlib import Path

    from tilores_core.store.jobs import Job
    from tilores_core.store.store import Store


class BatchIntake:
    """Keeps the inputs of batches in the data folder and their jobs in the store. All methods raise `StoreError`."""

    def __init__(self, *, store: LazyStore, folder: JobFolder, table: BatchTable) -> None:
        self._store = store
        self._folder = folder
        self._table = table

    async def submit(
        self, body: AsyncIterable[bytes], *, form: Format, owner: str, model: str | None, concurrency: int
    ) -> Job:
        """Take a batch in. Once this returns, the batch survives the end of this process.

        Raises `InvalidRequestError` for an empty one, `PayloadTooLargeError`, `RateLimitedError` for one too many.
        """
        store = await self._store.get()
        await self._check_room(store)
        job_id = uuid.uuid4().hex
        upload = Upload(self._folder, job_id, self._folder.source(job_id, form), self._table.max_body_bytes)
        try:
            async for data in body:
                await asyncio.to_thread(upload.add, data)
            if not await asyncio.to_thread(upload.finish):
                raise InvalidRequestError(
                    "there is no line", param="body", fix='send lines like {"question": "…", "customer_id": "…"}'
                )
            options = {"form": form, "model": model, "concurrency": concurrency}
            job = await store.jobs.create(job_id, owner=owner, options=options, lines=upload.lines)
        except BaseException:
            await asyncio.to_thread(upload.drop)
            raise
        return job

    async def get(self, job_id: str) -> Job | None:
        job = await (await self._store.get()).jobs.get(job_id)
        return job if job is not None and job.kind == "batch" else None

    async def cancel(self, job_id: str) -> Job | None:
        """The job as it is then; finished lines stay. One that has ended stays as it is."""
        jobs = (await self._store.get()).jobs
        return await jobs.cancel(job_id) or await jobs.get(job_id)

    def output(self, job_id: str) -> Path:
        """The file with its results; not there before the first."""
        return self._folder.output(job_id)

    async def _check_room(self, store: Store) -> None:
        most = self._table.max_jobs
        if len(await store.jobs.recent(kind="batch", ended=False, limit=most)) >= most:
            raise RateLimitedError(
                f"{most} batches wait or run already",
                retry_after=60.0,
                fix="wait for one to end, or raise [batch] max_jobs",
            )
