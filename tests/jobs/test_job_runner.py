"""The runner of jobs, with a real store and real folders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tilores_core.jobs import job_runner
from tilores_core.jobs.batch_output import OutputFailedError
from tilores_core.jobs.job_folder import JobFolder, Kind
from tilores_core.jobs.job_runner import JobRunner, Start
from tilores_core.resilience.presence import machine
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

    await _run_to_its_end(tmp_path, folder, "prewarm", {"batch": starts("batch"), "prewarm": starts("prewarm")})
    assert started == [("prewarm", "warm")]


async def test_batch_whose_output_cannot_be_written_waits_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "_PAUSE_SECONDS", 0.01)
    (tmp_path / "batch" / "warm").mkdir(parents=True)
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise OutputFailedError("full", fix="make room")

    async def start(job: Any) -> Any:
        return SimpleNamespace(run=run, totals=dict, lines=lambda: 0)

    with capture_logs() as logs:
        until = lambda: logs[-1]["event"] == "fault.over"  # noqa: E731
        await _run_to_its_end(tmp_path, JobFolder(tmp_path / "batch"), "batch", {"batch": start}, until)
    assert runs == 4
    events = [(line["event"], line.get("error")) for line in logs if line["event"].startswith(("job", "fault"))]
    assert events == [("job.started", None), ("jobs.wait", "full"), ("job.done", None), ("fault.over", None)]


async def test_job_of_a_process_that_was_killed_goes_on_at_once(tmp_path: Path) -> None:
    (tmp_path / "batch" / "warm").mkdir(parents=True)
    async with aclosing(LazyStore(store_address(None, tmp_path))) as lazy:
        killed = f"{machine()}:{2**22 + 1}:mark"  # a process that cannot be
        assert await (await lazy.get()).leases.acquire("batch:warm", killed, 3600.0)

    async def start(job: Any) -> Any:
        return SimpleNamespace(run=lambda: asyncio.sleep(0), totals=dict, lines=lambda: 0)

    await _run_to_its_end(tmp_path, JobFolder(tmp_path / "batch"), "batch", {"batch": start})


async def _run_to_its_end(
    tmp_path: Path,
    folder: JobFolder,
    kind: Kind,
    start: dict[Any, Start],
    until: Callable[[], bool] = lambda: True,
) -> None:
    async with aclosing(LazyStore(store_address(None, tmp_path))) as lazy:
        store = await lazy.get()
        await store.jobs.create("warm", owner="ops", kind=kind)
        runner = asyncio.create_task(JobRunner(store=lazy, folder=folder, start=start, keep_seconds=60.0).run())
        await eventually(lambda: not any(folder.find_unfinished().values()))
        job = await store.jobs.get("warm")
        assert job is not None
        assert job.state == "done"
        await eventually(until)
        runner.cancel()
        await asyncio.wait([runner])
