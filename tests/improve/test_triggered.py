"""The worker's part: a breach becomes a cycle where the settings say so, and none where they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.improve.test_cycle import CONFIG
from tests.quality.evaluated import opened
from tilores_core.contracts import Alert
from tilores_core.services import Services
from tilores_core.store.topics import AlertReport
from tilores_core.testing import eventually
from tilores_core.worker.improving import IMPROVE_WORK, run_triggered


async def breach(services: Services) -> None:
    one = Alert(kind="quality.floor", severity="HIGH", title="low", source="quality", spectrum="credit_analysis")
    report = AlertReport(fingerprint=one.fingerprint, alert=one, count=1, first_ms=1, last_ms=1)
    await (await services.store.get()).alerts.report([report])


async def end(task: asyncio.Task[None], services: Services, folder: Path) -> None:
    """Once it has nothing to do: a task that is cancelled while it asks the store may leave a connection open."""
    services.work_mark(IMPROVE_WORK).set()
    await eventually(lambda: not [*folder.rglob(f"{IMPROVE_WORK}*")], seconds=60)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_worker_says_that_the_budget_is_too_small_for_a_cycle_and_goes_on(tmp_path: Path) -> None:
    config: dict[str, Any] = {**CONFIG, "improve": {**CONFIG["improve"], "triggered": True, "max_calls": 3}}
    async with opened(tmp_path, config) as services:
        await breach(services)
        with capture_logs() as lines:
            task = asyncio.create_task(run_triggered(services))
            mark = services.work_mark(IMPROVE_WORK)
            for _ in range(3):  # tried again, it is logged once
                mark.set()
                await eventually(lambda: not mark.is_set())
        assert [line["event"] for line in lines].count("improve.cycle_not_begun") == 1
        store = await services.store.get()

        async def said() -> bool:
            return any("3 are allowed" in one.alert.detail for one in await store.alerts.recent())

        await eventually(said)
        assert await store.improvement.recent() == []
        await end(task, services, tmp_path)


@pytest.mark.parametrize("triggered", [True, False])
async def test_worker_runs_a_cycle_only_where_it_is_switched_on(tmp_path: Path, triggered: bool) -> None:
    config: dict[str, Any] = {**CONFIG, "improve": {**CONFIG["improve"], "triggered": triggered}}
    async with opened(tmp_path, config) as services:
        await breach(services)
        task = asyncio.create_task(run_triggered(services))
        store = await services.store.get()
        if not triggered:
            mark = services.work_mark(IMPROVE_WORK)
            for _ in range(2):  # the second is taken after a whole look
                mark.set()
                await eventually(lambda: not mark.is_set())
        else:

            async def ended() -> bool:
                return any(cycle.state == "done" for cycle in await store.improvement.recent())

            await eventually(ended, seconds=60, every=0.1)
        cycles = await store.improvement.recent()
        await end(task, services, tmp_path)
        shown = [(cycle.options["spectrums"], cycle.options["reason"]) for cycle in cycles]
        assert shown == ([(["credit_analysis"], "breaches in credit_analysis")] if triggered else [])
