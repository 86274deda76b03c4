"""A roll-out: verified after, taken back when it does not work, gone on with after an interruption."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.deploy.fake_platform import FakePlatform, FakeServer, Raised
from tests.deploy.projects import sound_project
from tilores_core import DeployError, __version__
from tilores_core.deploy.rollout import DeploymentFailedError, Journal, Rollout
from tilores_core.services import code_version
from tilores_core.settings import load_environment
from tilores_core.settings.config import DeployTable

Make = Callable[..., Any]


@pytest_asyncio.fixture
async def roll_out(tmp_path: Path) -> AsyncIterator[Make]:
    started: list[FakeServer] = []

    async def make(*servers: FakeServer, raised: Raised | None = None, **table: Any) -> tuple[Rollout, FakePlatform]:
        for server in servers:
            await server.start()
            started.append(server)
        platform = FakePlatform(*servers)
        (tmp_path / "project").mkdir(exist_ok=True)
        rollout = Rollout(
            name="fake",
            target=platform,
            project=sound_project(tmp_path / "project"),
            journal=Journal(tmp_path / "data", "fake"),
            table=DeployTable(**{"ready_seconds": 0.2, "watch_seconds": 0.2, "question_seconds": 5.0} | table),
            alerts=raised or Raised(),
            progress=lambda _: None,
        )
        return rollout, platform

    yield make
    for server in started:
        await server.stop()


async def test_up_waits_until_ready_and_asks_with_the_chat_key(roll_out: Make) -> None:
    server = FakeServer(ready=2)
    rollout, _ = await roll_out(server, ready_seconds=30.0)
    assert (await rollout.up()).id == "d1"
    assert server.keys == ["Bearer key-of-the-desk"]
    assert server.checks > 3


@pytest.mark.parametrize(
    "bad",
    [FakeServer(ready=None), FakeServer(answers=False), FakeServer(stops_after=2)],
    ids=["never", "mute", "dies"],
)
async def test_deployment_that_does_not_work_is_taken_back_and_raises_an_alert(
    roll_out: Make, bad: FakeServer
) -> None:
    raised = Raised()
    rollout, platform = await roll_out(FakeServer(), bad, raised=raised, watch_seconds=1.0)
    await rollout.up()
    with pytest.raises(DeploymentFailedError) as failed:
        await rollout.up()
    assert failed.value.rolled_back
    assert platform.rollbacks == ["d1"]
    assert [one.id for one in await platform.status() if one.active] == ["d1"]
    assert [(one.kind, one.severity) for one in raised.alerts] == [("deployment.failed", "HIGH")]


async def test_rollback_that_fails_too_is_said_and_critical(roll_out: Make) -> None:
    raised = Raised()
    first = FakeServer()
    rollout, _ = await roll_out(first, FakeServer(ready=None), raised=raised)
    await rollout.up()
    first.ready = None
    with pytest.raises(DeploymentFailedError, match="going back to d1 failed") as failed:
        await rollout.up()
    assert not failed.value.rolled_back
    assert [one.severity for one in raised.alerts] == ["CRITICAL"]


async def test_first_deployment_that_fails_has_nothing_to_go_back_to(roll_out: Make) -> None:
    rollout, platform = await roll_out(FakeServer(ready=None))
    with pytest.raises(DeploymentFailedError, match="no earlier deployment"):
        await rollout.up()
    assert platform.rollbacks == []


async def test_rollback_goes_to_one_before_the_active_and_returns_when_that_does_not_work(roll_out: Make) -> None:
    first, second = FakeServer(), FakeServer()
    rollout, platform = await roll_out(first, second, FakeServer(ready=None))
    await rollout.up()
    await rollout.up()
    with pytest.raises(DeploymentFailedError):
        await rollout.up()
    first.ready = None
    with pytest.raises(DeploymentFailedError, match=r"^d1 does not work: .*d2 is active again"):
        await rollout.rollback()  # not d3, which is newer than the active one and never worked
    assert platform.rollbacks == ["d2", "d1", "d2"]
    assert second.reports[-1][2] == "rolled back", "no roll-out stays open"
    first.ready = 0
    assert (await rollout.rollback()).id == "d1"


async def test_rollback_setting_off_leaves_the_new_one(roll_out: Make) -> None:
    rollout, platform = await roll_out(FakeServer(), FakeServer(ready=None), rollback=False)
    await rollout.up()
    with pytest.raises(DeploymentFailedError, match=r"\[deploy\] rollback is off"):
        await rollout.up()
    assert platform.rollbacks == []


async def test_empty_question_asks_nothing(roll_out: Make) -> None:
    server = FakeServer(answers=False)
    rollout, _ = await roll_out(server, question="")
    await rollout.up()
    assert server.keys == []


async def test_interrupted_up_goes_on_and_still_knows_what_ran_before(roll_out: Make) -> None:
    rollout, platform = await roll_out(FakeServer(), FakeServer(ready=None))
    await rollout.up()
    platform.interrupt = True
    with pytest.raises(asyncio.CancelledError):
        await rollout.up()
    with pytest.raises(DeploymentFailedError):
        await rollout.up()
    assert [one.id for one in await platform.status()] == ["d2", "d1"]
    assert platform.rollbacks == ["d1"]


@pytest.mark.parametrize("moment", ["interrupt", "interrupt_after"])
async def test_interrupted_take_back_is_gone_on_with_and_is_no_success(roll_out: Make, moment: str) -> None:
    raised = Raised()
    rollout, platform = await roll_out(FakeServer(), FakeServer(answers=False), raised=raised)
    await rollout.up()
    original = platform.rollback

    async def rollback(*arguments: Any) -> Any:
        setattr(platform, moment, True)
        platform.rollback = original
        return await original(*arguments)

    platform.rollback = rollback
    with pytest.raises(asyncio.CancelledError):
        await rollout.up()
    platform.known = [replace(one, url=platform.servers[0].url) for one in platform.known]  # one address, as Railway
    with pytest.raises(DeploymentFailedError, match=r"d2 does not work.* d1 is active") as failed:
        await rollout.up()
    assert failed.value.rolled_back
    assert [one.id for one in await platform.status() if one.active] == ["d1"]
    assert [alert.severity for alert in raised.alerts] == ["HIGH"]
    assert rollout.journal.read() == {}


@pytest.mark.parametrize("moment", ["interrupt", "interrupt_after"])
async def test_interrupted_rollback_goes_on_to_the_same_deployment(roll_out: Make, moment: str) -> None:
    rollout, platform = await roll_out(FakeServer(), FakeServer(), FakeServer())
    for _ in range(3):
        await rollout.up()
    setattr(platform, moment, True)
    with pytest.raises(asyncio.CancelledError):
        await rollout.rollback()
    assert (await rollout.rollback()).id == "d2"
    assert [one.id for one in await platform.status() if one.active] == ["d2"]
    assert (await rollout.rollback()).id == "d1"  # and the next one goes further


async def test_begin_and_end_are_reported_to_the_servers_that_are_replaced(roll_out: Make) -> None:
    first, second, bad = FakeServer(), FakeServer(), FakeServer(answers=False)
    rollout, platform = await roll_out(first, second, bad)
    await rollout.up()
    assert first.reports == []  # there was none before it
    platform.interrupt = True
    with pytest.raises(asyncio.CancelledError):
        await rollout.up()
    await rollout.up()
    [begun, again] = first.reports
    assert begun == again == ("begin", begun[1], "", "Bearer key-of-operations")
    assert [one[:3] for one in second.reports] == [("end", begun[1], "succeeded")]
    with pytest.raises(DeploymentFailedError):
        await rollout.up()
    assert [(one[0], one[2]) for one in second.reports[1:]] == [("begin", ""), ("end", "rolled back")]


async def test_roll_out_that_is_remembered_for_too_long_is_begun_again(roll_out: Make) -> None:
    rollout, _ = await roll_out(FakeServer())
    rollout.journal.write(
        {"rollout": {"id": "old", "at": time.time() - 7 * 3600, "before": "d0"}, "deployment": "d0"}
    )
    assert (await rollout.up()).id == "d1"


def test_name_of_a_deployment_tells_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAILWAY_DEPLOYMENT_ID", raising=False)
    assert code_version(load_environment(env_file=None)) == __version__
    assert code_version(load_environment(env_file=None, deployment="blue")) == f"{__version__}+blue"
    monkeypatch.setenv("RAILWAY_DEPLOYMENT_ID", "d-1")
    assert code_version(load_environment(env_file=None)) == f"{__version__}+d-1"


async def test_named_deployment_that_cannot_be_gone_back_to_is_refused(roll_out: Make) -> None:
    rollout, _ = await roll_out(FakeServer())
    with pytest.raises(DeployError, match="there is no deployment 'd9'"):
        await rollout.rollback("d9")
    with pytest.raises(DeployError, match="no earlier deployment"):
        await rollout.rollback()


async def test_two_runs_at_once_are_kept_apart(roll_out: Make) -> None:
    rollout, _ = await roll_out(FakeServer())
    with rollout.journal.lock(), pytest.raises(DeployError, match="another `tilores deploy`"):
        await rollout.up()


@pytest.mark.parametrize(
    ("server", "limit", "why"),
    [
        (FakeServer(ready=3), {"ready_seconds": 0.1}, "did not answer 200 within 0.1 s"),
        (FakeServer(slow=True), {"question_seconds": 0.2}, "no answer within 0.2 s"),
    ],
    ids=["ready", "question"],
)
async def test_each_limit_of_a_roll_out_has_an_effect(
    roll_out: Make, server: FakeServer, limit: dict[str, float], why: str
) -> None:
    rollout, _ = await roll_out(server, **limit)
    with pytest.raises(DeploymentFailedError, match=why):
        await rollout.up()
