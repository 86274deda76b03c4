"""Checks and deployments with golden questions, done in the worker process: a web process only asks for them.

A job is kept in the store. A worker that is killed while it does one leaves it to the next, which does it again from
its beginning: until the label is moved nothing has changed, and a move that was made is found.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog
from pydantic import ValidationError

from tilores_core.errors import DeploymentRefusedError, RateLimitedError, StoreError, TiloresError, error_code
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.release.experiments.report import as_json
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.prompts import Deployment, ProductionPromptManager
from tilores_core.resilience import Lease
from tilores_core.resilience.work_mark import WorkMark, work_off
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.jobs import Job

log = structlog.get_logger(part="release")

Action = Literal["check", "deploy", "start", "stop"]

JOBS: Final = "release_jobs"
"""The mark that wakes the worker, and the lease of the one that works."""
_KIND: Final = "release"
_MOST_WAITING: Final = 20
_MOST_KEPT: Final = 200
_POLL_SECONDS: Final = 0.2


class ReleaseJobs:
    """`ask`, `get` and `wait` in any process, `work` in the worker. All raise `StoreError`."""

    def __init__(
        self, store: LazyStore, prompts: ProductionPromptManager, tester: ProductionABTester, mark: WorkMark
    ) -> None:
        self._store = store
        self._prompts = prompts
        self._tester = tester
        self._mark = mark

    async def ask(self, action: Action, request: Mapping[str, Any], *, owner: str) -> Job:
        """A queued job; `request`: the arguments of what it does. Raises `RateLimitedError` when too many wait."""
        jobs = (await self._store.get()).jobs
        if len(await self._waiting()) >= _MOST_WAITING:
            raise RateLimitedError("too many deployments wait", retry_after=30.0, fix="wait until some are done")
        options = {"action": action, "request": dict(request)}
        job = await jobs.create(uuid.uuid4().hex, owner=owner, kind=_KIND, options=options)
        self._mark.set()
        return job

    async def get(self, job_id: str) -> Job | None:
        job = await (await self._store.get()).jobs.get(job_id)
        return job if job is not None and job.kind == _KIND else None

    async def wait(self, job: Job, seconds: float) -> Job:
        """The job when it has ended, and after so many seconds anyway."""
        until = time.monotonic() + seconds
        while job.ended is None and time.monotonic() < until:
            await asyncio.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))
            job = await self.get(job.id) or job
        return job

    # --- the worker --------------------------------------------------------------------------------------

    async def work(self) -> None:
        """Do what is asked for, one after the other, until cancelled; one worker does it at a time."""
        await work_off(self._mark, self._store.leases, JOBS, self._waiting, self._do)

    async def _waiting(self) -> list[Job]:
        """The oldest first."""
        return (await (await self._store.get()).jobs.recent(kind=_KIND, ended=False, limit=_MOST_WAITING))[::-1]

    async def _do(self, job: Job, lease: Lease) -> None:
        store, fence = await self._store.get(), lease.fence
        if await store.jobs.start(job.id, fence) is None:
            return
        log.info("prompts.job_started", job=job.id, action=job.options["action"])
        try:
            result = await self._run(job)
        except StoreError:
            raise  # the next look tries again
        except (TiloresError, ValidationError) as error:
            message = error.message if isinstance(error, TiloresError) else "the request is not understood"
            result = {"error": error_code(error), "fix": getattr(error, "fix", None)}
            if isinstance(error, DeploymentRefusedError):
                result["checks"] = [check.as_row() for check in error.checks]
            await store.jobs.finish(job.id, fence, "failed", totals=result, error=message)
        else:
            await store.jobs.finish(job.id, fence, "done", totals=result)
        for old in (await store.jobs.recent(kind=_KIND, ended=True, limit=2 * _MOST_KEPT))[_MOST_KEPT:]:
            await store.jobs.delete(old.id)

    async def _run(self, job: Job) -> dict[str, Any]:
        given: dict[str, Any] = dict(job.options["request"])
        match job.options["action"]:
            case "check":
                return {"checks": [check.as_row() for check in await self._prompts.check(given["version"])]}
            case "deploy":
                moved = await self._moved_before(job)
                number = given.pop("version")
                return (moved or await self._prompts.deploy(number, actor=job.owner, **given)).as_row()
            case "start":
                plan = ExperimentPlan.model_validate(given["plan"])
                found = await self._tester.running(plan.name)
                if found is None or found.started < job.created:  # else a worker that was killed has started it
                    found = await self._tester.start(plan, actor=job.owner, reason=given["reason"])
            case _:
                found = await self._tester.get(given["name"])
                if found.outcome != "deployed" or found.ended is None or found.ended < job.created:  # else as above
                    found = await self._tester.stop(
                        given["name"], actor=job.owner, reason=given["reason"], deploy=True
                    )
        return as_json(found)

    async def _moved_before(self, job: Job) -> Deployment | None:
        """What a worker that was killed has deployed for this job already."""
        request = job.options["request"]
        label = (await (await self._store.get()).prompts.get_labelled()).labels.get(request["label"])
        if label is None or label.number != request["version"] or label.changed < job.created:
            return None
        before = label.previous[-1] if label.previous else None
        return Deployment(label=label.name, number=label.number, before=before)
