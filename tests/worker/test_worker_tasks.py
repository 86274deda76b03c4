"""What the worker does all the time: supervised tasks, and the marks that wake it."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from structlog.testing import capture_logs

from tests.e2e.running_server import RunningServer
from tilores_core.errors import StoreError
from tilores_core.logs import LastingFault
from tilores_core.resilience.work_mark import WorkMark, has_work
from tilores_core.services import Services
from tilores_core.settings import Config
from tilores_core.testing import eventually
from tilores_core.worker.jobs import WorkerTask, run_tasks
from tilores_core.worker.process import has_scheduled_work

SERVICES = cast(Services, SimpleNamespace())
SECRET = "Edwina Hawthorne"


async def test_task_that_fails_is_started_again_while_the_others_go_on() -> None:
    runs, steps, ended = [0], [0], asyncio.Event()

    async def fails(_: Services) -> None:
        runs[0] += 1
        if runs[0] == 1:
            raise ValueError(SECRET)
        if runs[0] == 2:
            raise StoreError("the database is away", fix=None)

    async def goes_on(_: Services) -> None:
        try:
            while True:
                steps[0] += 1
                await asyncio.sleep(0)
        finally:
            ended.set()

    tasks = (WorkerTask("fails", fails), WorkerTask("goes on", goes_on))
    with capture_logs() as logs:
        async with run_tasks(SERVICES, tasks, first_pause=0.001):
            await eventually(lambda: runs[0] == 3, "it is not started again")
            before = steps[0]
            await eventually(lambda: steps[0] > before, "the other has stopped")
    assert ended.is_set()
    failed = [line for line in logs if line["event"] == "worker.task_failed"]
    assert [(line["task"], line["error"], line["restart_in_s"]) for line in failed] == [
        ("fails", "ValueError", 0.001),
        ("fails", "the database is away", 0.002),
    ]
    assert SECRET not in str(logs)


async def test_task_that_returns_is_not_started_again() -> None:
    runs = [0]

    async def once(_: Services) -> None:
        runs[0] += 1

    async with run_tasks(SERVICES, (WorkerTask("once", once),), first_pause=0.0):
        for _ in range(20):
            await asyncio.sleep(0)
    assert runs == [1]


def test_mark_stays_until_it_is_cleared_and_what_is_set_meanwhile_counts_again(tmp_path: Path) -> None:
    mark = WorkMark(tmp_path / "data", "alerts")
    assert not has_work(tmp_path / "data")
    mark.set()
    assert mark.is_set()
    mark.take()
    assert not mark.is_set()
    assert has_work(tmp_path / "data"), "a worker that is killed now has to look again"
    mark.set()
    mark.clear()
    assert mark.is_set()
    mark.take()
    mark.clear()
    assert not has_work(tmp_path / "data")
    mark.take()
    mark.clear()
    mark.clear(unless=True)
    assert has_work(tmp_path / "data")
    assert not mark.is_set()
    (folder,) = (tmp_path / "data").iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())] == [0o700, 0o600]


@pytest.mark.parametrize("name", ["", "../alerts", "Alerts", "a.b", "a" * 61])
def test_mark_with_a_name_that_is_no_plain_word_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name of work"):
        WorkMark(tmp_path, name)


def test_mark_in_a_data_folder_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file where the folder should be")
    mark = WorkMark(tmp_path, "alerts")
    mark.set()
    mark.take()
    mark.clear()
    assert not mark.is_set()
    assert not has_work(tmp_path)


async def test_waiting_for_a_mark_ends_when_it_is_set_or_the_time_is_over(tmp_path: Path) -> None:
    mark = WorkMark(tmp_path, "alerts")
    await mark.wait(seconds=0.01)
    waiting = asyncio.create_task(mark.wait(seconds=600.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    mark.set()
    async with asyncio.timeout(60):
        await waiting


def test_a_mark_wakes_the_worker_process_that_was_idle(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server", worker=True) as server:
        server.wait_for_line(event="worker.started")
        assert not server.lines(event="worker.services_opened")
        WorkMark(server.folder / "data", "alerts").set()
        server.wait_for_line(event="worker.services_opened")


def test_settings_without_a_schedule_let_the_worker_wait() -> None:
    assert not has_scheduled_work(Config())
    assert has_scheduled_work(Config.model_validate({"prewarm": {"file": "plan.json"}}))


async def test_fault_that_lasts_is_logged_once_for_each_reason_and_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tilores_core.worker.jobs._RECOVERED_SECONDS", 0.0)
    runs, works = 0, asyncio.Event()

    async def fails(_: Services) -> None:
        nonlocal runs
        runs += 1
        if runs <= 6:
            raise StoreError("away" if runs < 4 else "full", fix="mend it")
        works.set()
        await asyncio.Event().wait()

    with capture_logs() as logs:
        async with run_tasks(SERVICES, [WorkerTask("one", fails)], first_pause=0.001):
            await works.wait()
            await eventually(lambda: logs[-1]["event"] == "fault.over")
    failed = [(line["error"], line["fix"]) for line in logs if line["event"] == "worker.task_failed"]
    assert failed == [("away", "mend it"), ("full", "mend it")]
    assert [line["fault"] for line in logs if line["event"] == "fault.over"] == ["worker.task_failed"]


def test_fault_that_comes_and_goes_is_logged_once_a_minute() -> None:
    now = 0.0
    fault, told = LastingFault("cache.breaker_opened", clock=lambda: now), []
    with capture_logs() as logs:
        for moment in range(0, 130, 5):
            now = float(moment)
            told += [moment] if fault.is_new("full") else []
            fault.end()
        fault.end()
    assert told == [0, 60, 120]
    assert len(logs) == 3
