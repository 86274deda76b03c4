"""The runner of jobs, with a real store and real folders."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tilores_core.jobs.job_folder import JobFolder
from tilores_core.jobs.job_runner import JobRunner, Start
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing import eventually


async def test_a_plan_that_is_not_in_its_place_at_the_look_makes_its_job_no_batch(tmp_path: Path) -> None:
    (tmp_path / "batch" / "warm").mkdir(parents=True)  # `plan.json` is still being written
    folder, started = JobFolder(tmp_path / "batch"), []

    def starts(kind: str) -> Start:
        async def start(job: Any) -> Any:
            started.append((kind, job.id))
            return SimpleNamespace(run=lambda: asyncio.sleep(0), totals=dict, lines=lambda: 0)

        return start

    async with aclosing(LazyStore(store_address(None, tmp_path))) as lazy:
        store = await lazy.get()
        await store.jobs.create("warm", owner="ops", kind="prewarm")
        kinds: dict[Any, Start] = {"batch": starts("batch"), "prewarm": starts("prewarm")}
        runner = asyncio.create_task(JobRunner(store=lazy, folder=folder, start=kinds, keep_seconds=60.0).run())

        async def is_done() -> bool:
            job = await store.jobs.get("warm")
            return job is not None and job.state == "done"

        await eventually(is_done)
        runner.cancel()
        await asyncio.wait([runner])
    assert started == [("prewarm", "warm")]
