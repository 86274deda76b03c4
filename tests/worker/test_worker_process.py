"""The worker process beside real servers: restarted, ended with them, alone, and what it tells them."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import PATIENCE, TILORES, RunningServer, clean_environment
from tests.redis_server import redis_binaries
from tilores_core.cli.options import Options
from tilores_core.cli.serve import _variables
from tilores_core.errors import ConfigError
from tilores_core.resilience.presence import WorkersSeen, announce_start, present, workers
from tilores_core.settings import load_environment
from tilores_core.testing.waiting import wait_until
from tilores_core.worker.process import NO_PLUGINS

EDWINA = "EDW_HAWTHORNE_001"
TOML = """
[use]
cache = ["memory"]
[plugins.demo-model]
latency_ms = {latency}
[worker]
nice = 0  # other tests run beside it
"""
NDJSON = {"Content-Type": "application/x-ndjson"}


def _questions(count: int) -> bytes:
    rows = [
        {"id": f"line-{n}", "customer_id": EDWINA, "question": f"What is the credit score? ({n})"}
        for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _send(server: RunningServer, count: int, concurrency: int = 8) -> dict[str, Any]:
    url = f"{server.url}/admin/batch?concurrency={concurrency}"
    sent = httpx.post(url, content=_questions(count), headers=NDJSON | server.admin, timeout=30)
    assert sent.status_code == 202, sent.text
    job: dict[str, Any] = sent.json()
    return job


def _job(server: RunningServer, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(
        f"{server.url}/admin/batch/{job['id']}", headers=server.admin, timeout=30
    ).json()
    return found


def _results(server: RunningServer, job: dict[str, Any]) -> list[str]:
    text = httpx.get(f"{server.url}/admin/batch/{job['id']}/results", headers=server.admin, timeout=30).text
    return [json.loads(line)["id"] for line in text.splitlines()]


def _worker_health(server: RunningServer) -> dict[str, Any]:
    part: dict[str, Any] = httpx.get(f"{server.url}/health/detailed", headers=server.admin, timeout=30).json()[
        "parts"
    ]["worker"]
    return part


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # The fork server of the tests reaps no grandchildren: what is dead is a zombie there.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip() or state.startswith("Z")


@contextmanager
def _serving(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tilores serve` as the leader of its own process group, as a shell starts it."""
    with (folder / "log.jsonl").open("wb") as log:
        process = subprocess.Popen(
            [str(TILORES), "serve", "--port", "0", *arguments],
            cwd=folder,
            env=clean_environment(TILORES_DATA_DIR=str(folder / "data"), TILORES_LOG_FORMAT="json"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _events(folder: Path, name: str) -> list[dict[str, Any]]:
    text = (folder / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return [line for line in lines if line["event"] == name]


def test_killed_worker_is_restarted_and_continues_its_batch(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server", toml=TOML.format(latency=20), worker=True) as server:
        pid = server.wait_for_line(event="worker.started")["pid"]
        job = _send(server, 800)
        wait_until(lambda: len(_results(server, job)) > 50, "no results")
        before = _results(server, job)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: _job(server, job)["state"] == "done", "the batch is not continued", PATIENCE)
        assert _results(server, job) == [f"line-{n}" for n in range(800)]
        assert before
        assert len(server.lines(event="job.started", again=True)) == 1, "taken over once"
        health = _worker_health(server)
        assert health["status"] == "ok"
        assert health["detail"]["restarts"] == 1
        assert server.lines(event="worker.died", code=-9)


@pytest.mark.parametrize("processes", [(), ("--workers", "2")], ids=["one", "several"])
def test_worker_ends_with_a_server_that_is_killed(tmp_path: Path, processes: tuple[str, ...]) -> None:
    with _serving(tmp_path, *processes) as process:
        pid = wait_until(lambda: _events(tmp_path, "worker.started"), "no worker")[0]["pid"]
        process.kill()
        process.wait()
        wait_until(lambda: _is_gone(pid), "the worker lives on")
        # Nor do web processes keep the port.
        wait_until(lambda: _is_group_gone(process.pid), "another process of the server lives on")


def _is_group_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def test_interrupt_from_the_terminal_ends_server_and_worker_without_noise(tmp_path: Path) -> None:
    with _serving(tmp_path) as process:
        wait_until(lambda: _events(tmp_path, "worker.started"), "no worker")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert len(_events(tmp_path, "worker.ended")) == 1
    assert not _events(tmp_path, "worker.died")
    assert "Traceback" not in (tmp_path / "log.jsonl").read_text()


def _turn_ns(pid: int) -> int:
    """The length of the process's turns at the processor (sched_getattr(2)); 0 where the system tells none."""
    attributes = ctypes.create_string_buffer(48)
    number = {"x86_64": 315, "aarch64": 275}.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        ctypes.CDLL(None).syscall(number, pid, attributes, len(attributes), 0)
    return int(struct.unpack("=IIQiIQQQ", attributes.raw)[5])


def test_worker_alone_runs_what_a_server_without_one_takes_in(tmp_path: Path) -> None:
    toml = TOML.format(latency=0).replace("nice = 0", "embedded = false\nnice = 3")
    with RunningServer(tmp_path / "server", toml=toml, worker=True) as server:
        job = _send(server, 20)
        assert "no worker process is running" in job["note"]
        assert "tilores worker" in job["note"]
        assert _job(server, job)["note"] == job["note"]
        assert _worker_health(server)["status"] == "off"
        worker = subprocess.Popen(
            [str(TILORES), "worker"],
            cwd=server.folder,
            env=clean_environment(TILORES_DATA_DIR=str(server.folder / "data")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(lambda: _job(server, job)["state"] == "done", "not done", PATIENCE)
            assert _job(server, job)["note"] is None
            assert _worker_health(server)["detail"]["running"] == 1
            assert os.getpriority(os.PRIO_PROCESS, worker.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 3)
            if usual := _turn_ns(os.getpid()):  # what a request wakes may interrupt the worker
                assert server.process is not None
                assert _turn_ns(server.process.pid) == usual < _turn_ns(worker.pid)
            worker.terminate()
            said, _ = worker.communicate(timeout=PATIENCE)
        finally:
            worker.kill()
        assert worker.returncode == 0, said
        assert "Traceback" not in said
        assert len(_results(server, job)) == 20


def test_files_of_a_batch_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "server", toml=TOML.format(latency=0), worker=True) as server:
        job = _send(server, 3)
        wait_until(lambda: _job(server, job)["state"] == "done", "not done", PATIENCE)
        folder = server.folder / "data" / "batch"
        wait_until((folder / job["id"] / "ended").exists, "its end is not noted")
        paths = [folder, *folder.rglob("*")]
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
        assert {modes.pop("batch"), modes.pop(job["id"])} == {0o700}
        assert set(modes) >= {"in.jsonl", "out.jsonl"}
        assert set(modes.values()) == {0o600}


@pytest.mark.skipif(not redis_binaries(), reason="no redis-server")
def test_lists_are_warmed_by_the_worker_and_answered_from_the_memory_of_the_server(tmp_path: Path) -> None:
    plan = {"lists": [{"name": "vip", "customers": [{"customer_id": EDWINA}], "questions": ["Who is it?"]}]}
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(plan))
    toml = '[use]\ncache = ["memory", "redis"]\n[prewarm]\nfile = "plan.json"\n'

    def statistics() -> Any:
        return httpx.get(f"{server.url}/admin/prewarm", headers=server.admin, timeout=30).raise_for_status().json()

    def ask(question: str) -> Any:
        body = {"input": question, "config": {"configurable": {"customer_id": EDWINA}}}
        return httpx.post(f"{server.chat}/invoke", json=body, timeout=30).headers["x-tilores-cache"]

    with RunningServer(folder, toml=toml, worker=True) as server:
        told = wait_until(lambda: (now := statistics())["lists"]["vip"]["latest"] and now, "the list is not warmed")
        assert told["leading"]
        assert (told["totals"]["warmed"], told["worth"]["warmed_answers"]) == (2, 1)
        assert ask("Who is it?") == "l1"
        assert statistics()["worth"]["used_share"] == 1.0

        sent = {"lists": [{"name": "now", "customers": [{"customer_id": EDWINA}], "questions": ["Which city?"]}]}
        begun = httpx.post(f"{server.url}/admin/prewarm", json={"plan": sent}, headers=server.admin, timeout=30)
        assert begun.status_code == 202, begun.text
        run = begun.json()["run"]
        assert wait_until(lambda: statistics()["runs"][run], "the plan is not warmed")["warmed"] == 2
        assert ask("Which city?") == "l1"
        stored = folder / "data" / "batch" / run / "plan.json"
        assert stat.S_IMODE(stored.stat().st_mode) == 0o600


def test_what_serve_was_told_reaches_its_other_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TILORES_PLUGINS_DISABLE", "first")
    environment = load_environment(None, data_dir=tmp_path, log_level="warning")
    told = _variables(environment, Options(no_plugins=True, disable=("second", "third")), "/metrics")
    assert told["TILORES_PLUGINS_DISABLE"] == "first,second,third"
    assert told["TILORES_LOG_LEVEL"] == "warning"
    assert NO_PLUGINS in told
    assert NO_PLUGINS not in _variables(environment, Options(), "/metrics")


def _age(folder: Path, seconds: float) -> None:
    for path in (folder / "workers").glob("*.json"):
        changed = path.stat().st_mtime - seconds
        os.utime(path, (changed, changed))


def test_presence_tells_running_workers_from_those_that_ended_and_were_killed(tmp_path: Path) -> None:
    assert (workers(tmp_path).running, workers(tmp_path).last_seen) == (0, None)
    assert workers(tmp_path).missing
    starts = announce_start(tmp_path)
    assert starts is not None
    assert workers(tmp_path) == WorkersSeen(starting=True)
    with present(tmp_path, restarts=3):
        seen = workers(tmp_path)
        assert (seen.running, seen.restarts, seen.starting) == (1, 3, False)
        assert seen.last_seen is not None
    _age(tmp_path, 120)
    assert (workers(tmp_path).missing, workers(tmp_path).last_seen is None) == (True, False)
    assert announce_start(tmp_path, failed=True) == starts
    assert (workers(tmp_path).starting, workers(tmp_path).last_seen is None) == (False, False)
    starts.unlink()

    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match="cannot be written: Not a directory"),
        present(tmp_path / "file", restarts=0),
    ):
        pass
    assert announce_start(tmp_path / "file") is None

    def killed(told: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """A file that was left behind."""
        with present(tmp_path, restarts=0):
            (path,) = (tmp_path / "workers").glob(f"{os.getpid()}-*.json")
            text = path.read_text()
        path.with_name("left.json").write_text(json.dumps(told(json.loads(text))))

    killed(lambda told: {**told, "pid": 2**22 + 1})  # of no process that can be
    assert workers(tmp_path).running == 0
    assert workers(tmp_path).last_seen is not None
    killed(lambda told: {**told, "host": "another"})
    assert workers(tmp_path).running == 1
    _age(tmp_path, -3600)  # the clock was put back
    assert workers(tmp_path).running == 0
    _age(tmp_path, 3600)
    _age(tmp_path, 60)
    assert workers(tmp_path).running == 0
