"""The command, and servers that follow a schedule: real processes."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running_server import PATIENCE, TILORES, RunningServer, clean_environment
from tests.processes.forked import run
from tilores_core.testing.waiting import wait_until

EDWINA = "EDW_HAWTHORNE_001"
PLAN = {
    "lists": [
        {"name": "vip", "customers": [{"customer_id": EDWINA}], "questions": ["Who is it?"], "refresh": "2s"},
    ]
}
MEMORY = '[use]\ncache = ["memory"]\n'


def _write(folder: Path, plan: Any = PLAN) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def _command(folder: Path, *words: str) -> list[str]:
    return [str(TILORES), "prewarm", *words]


def _run(folder: Path, *words: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`data`: the data folder, by default one of its own."""
    environment = clean_environment(TILORES_DATA_DIR=str(data or folder / "data"))
    return run(_command(folder, *words), cwd=folder, env=environment, timeout=PATIENCE)


def _stats(server: RunningServer) -> Any:
    return httpx.get(f"{server.url}/admin/prewarm", headers=server.admin, timeout=60).raise_for_status().json()


def test_one_of_two_servers_of_a_machine_warms_and_the_other_goes_on(tmp_path: Path) -> None:
    data = {"TILORES_DATA_DIR": str(tmp_path / "data")}
    toml = MEMORY + '[prewarm]\nfile = "plan.json"\n'
    servers = [RunningServer(_write(tmp_path / name), toml=toml, variables=data) for name in ("one", "two")]
    with servers[0] as first:
        wait_until(lambda: _stats(first)["lists"]["vip"]["latest"], "the list is warm from the start")
        body = {"input": "Who is it?", "config": {"configurable": {"customer_id": EDWINA}}}
        reply = httpx.post(f"{first.chat}/invoke", json=body, timeout=60)
        assert reply.headers["X-Tilores-Cache"] == "l1"
        began = _stats(first)["totals"]["customers"]
        wait_until(lambda: _stats(first)["totals"]["customers"] > began, "it is warmed again")
        assert _stats(first)["leading"]
        with servers[1] as second:
            assert not _stats(second)["leading"]
            assert _stats(second)["totals"]["customers"] == 0
            assert _stats(first)["leading"]


def test_the_command_tells_what_came_of_it_and_ends_with_a_code(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "plugins.toml").write_text(MEMORY)
    done = _run(tmp_path, "plan.json", "--json")
    assert done.returncode == 0, done.stderr
    assert "no server will find what is warmed here" in done.stderr
    told = json.loads(done.stdout)
    assert (told["warmed"], told["failed"], told["success_rate"]) == (2, 0, 1.0)

    (tmp_path / "plugins.toml").write_text(MEMORY + "[plugins.demo-model]\nfailure_rate = 1\n")
    done = _run(tmp_path, "plan.json")
    assert done.returncode == 1
    assert "1 failed" in done.stdout
    assert "Traceback" not in done.stderr

    _write(tmp_path, {"lists": [{"name": "vip", "customers": [{"fone": "1"}]}]})
    done = _run(tmp_path, "plan.json")
    assert done.returncode == 1
    assert "plan.json: lists[0].customers[0].fone: unknown key; did you mean 'phone'?" in done.stderr
    _write(tmp_path, {})
    assert "has no lists" in _run(tmp_path, "plan.json").stderr
    assert _run(tmp_path, "plan.json", "--every", "soon").returncode == 2


def test_the_command_goes_on_until_it_is_ended(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "plugins.toml").write_text(MEMORY)
    process = subprocess.Popen(
        _command(tmp_path, "plan.json", "--every", "1s", "--json"),
        cwd=tmp_path,
        env=clean_environment(TILORES_DATA_DIR=str(tmp_path / "data")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, problems = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert [one["list"] for one in told] == ["vip"] * 3
    assert [one["warmed"] + one["skipped"] for one in told] == [2, 2, 2]
    assert "Traceback" not in problems
    assert process.returncode in (0, 130)


def test_a_server_does_it_with_its_own_memory(tmp_path: Path) -> None:
    _write(tmp_path)
    with RunningServer(tmp_path / "server", toml=MEMORY) as server:
        done = _run(tmp_path, "plan.json", "--url", server.url, data=server.folder / "data")
        assert done.returncode == 0, done.stderr
        assert "2 entries warmed, 0 failed" in done.stdout
        body = {"input": "Who is it?", "config": {"configurable": {"customer_id": EDWINA}}}
        assert httpx.post(f"{server.chat}/invoke", json=body, timeout=60).headers["X-Tilores-Cache"] == "l1"
        _write(tmp_path, {"lists": [{"name": "vip", "customers": [{"phone": "12"}]}]})
        done = _run(tmp_path, "plan.json", "--url", server.url, data=server.folder / "data")
        assert done.returncode == 1
        assert "lists[0].customers[0].phone: this is not a phone number" in done.stderr
