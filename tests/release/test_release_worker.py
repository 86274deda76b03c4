"""What the worker process does for experiments and deployments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from tests.release.conftest import Replica, ReplicaStart
from tests.release.test_experiments import make, plan
from tilores_core.release.orchestrator import WORK, ProductionIntegrationOrchestrator
from tilores_core.resilience import acquire_lease
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import Config
from tilores_core.store.changes import bump
from tilores_core.store.experiments import experiments
from tilores_core.store.topics import EXPERIMENTS
from tilores_core.testing import eventually


class Released:
    """The orchestrators of a web process and of workers over one store."""

    def __init__(self, replica: ReplicaStart, folder: Path) -> None:
        self._replica, self._folder = replica, folder
        self.made: list[tuple[Replica, ProductionIntegrationOrchestrator]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def process(
        self, *, version: str = "", settle: float = 300.0, **experiments: Any
    ) -> tuple[Replica, ProductionIntegrationOrchestrator]:
        replica = await self._replica(f"p{len(self.made)}")
        tables = {"experiments": {"look_seconds": 0.05} | experiments, "deploy": {"settle_seconds": settle}}
        config = Config.model_validate({"schema": 1, **tables})
        mark = partial(WorkMark, self._folder)
        release = ProductionIntegrationOrchestrator(
            replica.store,
            replica.manager,
            config,
            resolve=lambda name: name or "demo:simulated-1",
            alerts=replica.alerts,
            mark=mark,
            version=version,
        )
        release.start()
        self.made.append((replica, release))
        return replica, release

    def work(self, release: ProductionIntegrationOrchestrator) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(release.work()))
        return self.tasks[-1]


@pytest.fixture
async def released(replica: ReplicaStart, tmp_path: Path) -> AsyncIterator[Released]:
    made = Released(replica, tmp_path)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    for _, release in made.made:
        await release.aclose()


async def test_web_process_splits_traffic_while_an_experiment_runs_and_pays_nothing_else(released: Released) -> None:
    replica, web = await released.process()
    _, other = await released.process()
    assert replica.manager.assignment is None
    await other.tester.start(plan(await make(replica)), actor="jo", reason="test")
    await eventually(lambda: replica.manager.assignment is web.assignment)
    await other.tester.stop("kinder", actor="jo", reason="enough")
    await eventually(lambda: replica.manager.assignment is None)


async def test_plan_of_a_newer_version_does_not_end_following(released: Released) -> None:
    replica, _ = await released.process()
    _, other = await released.process()
    running = await other.tester.start(plan(await make(replica)), actor="jo", reason="test")
    await eventually(lambda: replica.manager.assignment is not None)
    store = await replica.store.get()
    with capture_logs() as logs:
        async with store.database.write() as connection:
            await connection.execute(update(experiments).values(plan={**running.plan, "of_tomorrow": 1}))
            await bump(connection, EXPERIMENTS)
        await eventually(lambda: any("another version" in entry.get("error", "") for entry in logs))
    await store.experiments.end(running, outcome="stopped", actor="jo", reason="enough", verdict={})
    await eventually(lambda: replica.manager.assignment is None)


async def test_process_that_starts_as_another_version_pauses_decisions(released: Released) -> None:
    replica, _ = await released.process(version="1.0")
    store = await replica.store.get()
    rollouts = store.rollouts

    async def versions() -> list[str]:
        return [entry.detail["version"] for entry in await store.audit.recent() if entry.action == "deploy.start"]

    await eventually(lambda: versions())
    assert await rollouts.current() is None
    other, _ = await released.process(version="1.1", settle=60.0)
    await other.store.get()
    await eventually(lambda: rollouts.current())
    await released.process()  # a command
    assert await versions() == ["1.1", "1.0"]
    current = await rollouts.current()
    assert current is not None
    assert current.end_ms - current.begin_ms == 60_000


async def test_worker_looks_as_often_as_the_setting_says(released: Released) -> None:
    replica, release = await released.process()
    await release.tester.start(plan(await make(replica)), actor="jo", reason="test")
    released.work(release)

    async def looks(count: int) -> bool:
        return len((await release.tester.get("kinder")).looks) >= count

    await eventually(lambda: looks(3))
    _, slow = await released.process(look_seconds=3000)
    assert slow._look_seconds == 3000


async def test_one_of_two_workers_looks_and_the_other_takes_over(released: Released) -> None:
    replica, first = await released.process()
    _, second = await released.process()
    store = await replica.store.get()
    lease = await acquire_lease(store.leases, WORK, seconds=60.0)
    assert lease is not None
    await first.tester.start(plan(await make(replica)), actor="jo", reason="test")
    released.work(second)
    await asyncio.sleep(0)  # it asks for the lease and waits
    assert (await first.tester.get("kinder")).looks == ()
    async with lease:
        pass
    released.work(first)
    await eventually(lambda: _looked(first))


async def _looked(release: ProductionIntegrationOrchestrator) -> bool:
    return bool((await release.tester.get("kinder")).looks)
