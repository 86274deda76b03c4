"""Deployments that a web process asks for and the worker process does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.release.conftest import Replica, ReplicaStart
from tests.release.test_experiments import MODEL, make, plan
from tilores_core.errors import RateLimitedError
from tilores_core.release.experiments.assignment import Assignment
from tilores_core.release.experiments.tester import ProductionABTester
from tilores_core.release.jobs import JOBS, ReleaseJobs
from tilores_core.resilience.work_mark import WorkMark, has_work
from tilores_core.store.jobs import Job
from tilores_core.testing import eventually


class Side:
    """A process with its jobs."""

    def __init__(self, replica: Replica, folder: Path) -> None:
        self.replica = replica
        self.tester = ProductionABTester(
            replica.store, replica.manager, Assignment(), resolve=lambda name: name or MODEL, alerts=replica.alerts
        )
        self.jobs = ReleaseJobs(replica.store, replica.manager, self.tester, WorkMark(folder, JOBS))


@pytest.fixture
async def web(replica: ReplicaStart, tmp_path: Path) -> Side:
    return Side(await replica("web"), tmp_path)


@pytest.fixture
async def idle(replica: ReplicaStart, tmp_path: Path) -> Side:
    """A worker that does not work yet."""
    return Side(await replica("worker"), tmp_path)


@asynccontextmanager
async def at_work(side: Side, folder: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(side.jobs.work())
    yield
    await eventually(lambda: not has_work(folder))  # it is idle: nothing is cut off in the middle
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def worker(idle: Side, tmp_path: Path) -> AsyncIterator[Side]:
    async with at_work(idle, tmp_path):
        yield idle


def request(version: int, expected: int = 1) -> dict[str, object]:
    return {"version": version, "reason": "better", "label": "production", "expected": expected}


async def ended(web: Side, job: Job) -> Job:
    return await web.jobs.wait(job, 60.0)


async def test_worker_asks_the_golden_questions_and_deploys(web: Side, worker: Side) -> None:
    number = await make(web.replica)
    job = await ended(web, await web.jobs.ask("deploy", request(number), owner="jo"))
    assert (job.state, job.totals["version"], job.totals["before"]) == ("done", number, 1)
    assert {check["check"]: check["result"] for check in job.totals["checks"]}["evaluation"] == "passed"
    assert (len(web.replica.questions.asked), len(worker.replica.questions.asked)) == (0, 1)
    entry = (await web.replica.manager.versions.history(label="production"))[0]
    assert (entry.actor, entry.reason) == ("jo", "better")


async def test_refusal_comes_back_with_its_checks(web: Side, worker: Side) -> None:
    worker.replica.questions.score = 0.5
    number = await make(web.replica)
    job = await ended(web, await web.jobs.ask("deploy", request(number), owner="jo"))
    assert (job.state, job.totals["error"]) == ("failed", "deployment_refused")
    assert "evaluation: 50.0%" in (job.error or "")
    assert [check["result"] for check in job.totals["checks"]].count("refused") == 1


async def test_second_of_two_who_deploy_at_once_is_told_of_the_first(web: Side, worker: Side) -> None:
    one, two = await make(web.replica), await make(web.replica, "Be brief.")
    first = await web.jobs.ask("deploy", request(one), owner="jo")
    second = await web.jobs.ask("deploy", request(two), owner="sam")
    assert (await ended(web, first)).state == "done"
    late = await ended(web, second)
    assert (late.state, late.totals["error"]) == ("failed", "conflict")
    assert late.error == f"'production' was moved meanwhile: it is version {one} and not version 1"


async def test_deployment_of_a_worker_that_was_killed_is_not_made_twice(
    web: Side, idle: Side, tmp_path: Path
) -> None:
    number = await make(web.replica)
    job = await web.jobs.ask("deploy", request(number), owner="jo")
    await web.replica.manager.deploy(number, actor="jo", reason="and then it was killed")
    async with at_work(idle, tmp_path):
        assert (await ended(web, job)).totals["version"] == number
    moves = [one for one in await web.replica.manager.versions.history() if one.actor == "jo"]
    assert [one.action for one in moves] == ["prompts.deploy", "prompts.new"]


async def test_experiment_is_started_and_ended_with_its_candidate(web: Side, worker: Side) -> None:
    number = await make(web.replica)
    asked = {"plan": plan(number).model_dump(mode="json"), "reason": "try it"}
    begun = await ended(web, await web.jobs.ask("start", asked, owner="jo"))
    assert (begun.state, begun.totals["state"]) == ("done", "running")
    stop = {"name": "kinder", "reason": "good"}
    assert (await ended(web, await web.jobs.ask("stop", stop, owner="jo"))).totals["outcome"] == "deployed"
    again = await ended(web, await web.jobs.ask("stop", stop, owner="jo"))
    assert (again.state, again.totals["error"]) == ("failed", "conflict")


@pytest.mark.parametrize("got_to", ["deployed", "ended"])
async def test_end_of_an_experiment_by_a_worker_that_was_killed_is_found(
    web: Side, idle: Side, tmp_path: Path, got_to: str
) -> None:
    number = await make(web.replica)
    await web.tester.start(plan(number), actor="jo", reason="try it")
    job = await web.jobs.ask("stop", {"name": "kinder", "reason": "good"}, owner="jo")
    if got_to == "deployed":
        await web.replica.manager.deploy(number, actor="jo", reason="and then it was killed")
    else:
        await web.tester.stop("kinder", actor="jo", reason="and then it was killed", deploy=True)
    async with at_work(idle, tmp_path):
        found = await ended(web, job)
    assert (found.state, found.totals["outcome"]) == ("done", "deployed")


async def test_only_so_many_wait(web: Side) -> None:
    for _ in range(20):
        job = await web.jobs.ask("check", {"version": 1}, owner="jo")
    with pytest.raises(RateLimitedError):
        await web.jobs.ask("check", {"version": 1}, owner="jo")
    assert (await web.jobs.wait(job, 0.0)).state == "queued"
    assert await web.jobs.get("nothing") is None
