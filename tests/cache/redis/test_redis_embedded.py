"""The redis-server of our own: one for all who share a data folder, there as long as somebody uses it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from tests.redis_server import needs_redis
from tilores_core import CacheEntry, CacheError, MissingDependencyError
from tilores_core.testing.waiting import eventually, wait_until
from tilores_plugins.cache.redis import embedded
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]
PATIENCE = 60.0

pytestmark = needs_redis

USER = """
import asyncio, sys, time
from pathlib import Path
from tilores_core import CacheEntry, PluginContext
from tilores_plugins.cache.redis.build import build
from tilores_plugins.cache.redis.settings import RedisSettings

async def main():
    settings = RedisSettings(connect_timeout_ms=20000, command_timeout_ms=10000)
    tier = build(PluginContext(plugin_id="redis", settings=settings, data_dir=Path(sys.argv[1])))
    await tier.set_many({"answers:" + sys.argv[2]: CacheEntry(b"v", time.time() + 60)})
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await tier.aclose()

asyncio.run(main())
"""


def entry(value: bytes = b"value") -> CacheEntry:
    return CacheEntry(value, time.time() + 60)


def pids(data_dir: Path) -> list[int]:
    """Of the guard and the server, which may answer before the guard has noted them."""
    lock = data_dir / "redis" / "server.lock"
    wait_until(lambda: len(lock.read_text().split()) == 2)
    return [int(word) for word in lock.read_text().split()]


def alive(pid: int) -> bool:
    """A zombie, which an init process that is none may leave, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def user(data_dir: Path, name: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with a tier on the same folder, once it has stored something."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(PATIENCE)


def ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


async def test_it_ends_with_its_last_user(make_tier: MakeTier, short_folder: Path) -> None:
    one, two = make_tier(data_dir=short_folder), make_tier(data_dir=short_folder)
    await asyncio.gather(one.set_many({"answers:a": entry()}), two.set_many({"answers:b": entry()}))
    guard, server = pids(short_folder)
    await one.aclose()
    await asyncio.sleep(1.0)  # longer than the guard takes to see that a user has gone
    assert len(await two.get_many(["answers:a", "answers:b"])) == 2
    assert pids(short_folder) == [guard, server]
    await two.aclose()
    wait_until(lambda: not alive(server) and not alive(guard))


async def test_many_processes_start_one_server(make_tier: MakeTier, short_folder: Path) -> None:
    with user(short_folder, "1") as first, user(short_folder, "2") as second, user(short_folder, "3") as third:
        for process in (first, second, third):
            await asyncio.to_thread(ready, process)
        found = await make_tier(data_dir=short_folder).get_many(["answers:1", "answers:2", "answers:3"])
        assert len(found) == 3


async def test_the_survivor_of_a_killed_process_goes_on(make_tier: MakeTier, short_folder: Path) -> None:
    with user(short_folder, "1") as starter:
        await asyncio.to_thread(ready, starter)
        tier = make_tier(data_dir=short_folder)
        await tier.get_many(["answers:1"])
        before = pids(short_folder)
        starter.kill()
        starter.wait()
        await asyncio.sleep(1.0)  # longer than the guard takes to see that a user has gone
        assert len(await tier.get_many(["answers:1"])) == 1
        assert pids(short_folder) == before


async def test_it_ends_when_all_its_users_were_killed(short_folder: Path) -> None:
    with user(short_folder, "1") as first, user(short_folder, "2") as second:
        for process in (first, second):
            await asyncio.to_thread(ready, process)
        _, server = pids(short_folder)
        assert alive(server)
        first.kill()
        second.kill()
        wait_until(lambda: not alive(server))


async def test_it_is_started_again_when_it_was_killed(make_tier: MakeTier, short_folder: Path) -> None:
    tier = make_tier(data_dir=short_folder)
    await tier.set_many({"answers:a": entry(b"kept")})
    _, server = pids(short_folder)
    os.kill(server, signal.SIGKILL)

    async def found_again() -> Mapping[str, CacheEntry]:
        with suppress(CacheError):
            return await tier.get_many(["answers:a"])
        return {}

    found = await eventually(found_again, "the value", PATIENCE)
    assert found["answers:a"].value == b"kept"
    assert pids(short_folder)[1] != server


async def test_one_that_hangs_is_replaced(
    make_tier: MakeTier, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "HUNG_SECONDS", 0.2)
    monkeypatch.setattr(embedded, "_PROBE_SECONDS", 0.2)
    await make_tier(data_dir=short_folder).set_many({"answers:a": entry(b"kept")})
    _, server = pids(short_folder)
    os.kill(server, signal.SIGSTOP)
    found = await make_tier(data_dir=short_folder).get_many(["answers:a"])
    assert found["answers:a"].value == b"kept"
    wait_until(lambda: not alive(server))


async def test_it_keeps_what_it_had(make_tier: MakeTier, short_folder: Path) -> None:
    first = make_tier(data_dir=short_folder)
    await first.set_many({"answers:a": entry(b"kept")})
    await first.aclose()
    found = await make_tier(data_dir=short_folder).get_many(["answers:a"])
    assert found["answers:a"].value == b"kept"


async def test_what_it_cannot_read_is_thrown_away(make_tier: MakeTier, short_folder: Path) -> None:
    folder = short_folder / "redis"
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir" / "appendonly.aof.manifest").write_text("rubbish\n")
    (folder / "appendonly.aof").write_text("rubbish\n")
    tier = make_tier(data_dir=short_folder)
    await tier.set_many({"answers:a": entry()})
    assert len(await tier.get_many(["answers:a"])) == 1


async def test_a_long_path_gets_a_short_socket(make_tier: MakeTier, short_folder: Path) -> None:
    data_dir = short_folder / ("a-very-long-name" * 8)
    tiers = [make_tier(data_dir=data_dir) for _ in range(2)]
    for tier in tiers:
        await tier.set_many({"answers:a": entry()})
    path = Path((data_dir / "redis" / "socket").read_text())
    assert len(str(path)) < 100
    assert path.parent.stat().st_mode & 0o077 == 0
    for tier in tiers:
        await tier.aclose()
    wait_until(lambda: not path.parent.exists())


async def test_its_files_are_their_owner_s_alone_whatever_the_umask(make_tier: MakeTier, short_folder: Path) -> None:
    before = os.umask(0o022)
    try:
        tier = make_tier(data_dir=short_folder)
        await tier.set_many({"answers:a": entry()})
        files = [path for path in (short_folder / "redis").rglob("*") if path.is_file()]
    finally:
        os.umask(before)
    assert any(b"answers:a" in path.read_bytes() for path in files), "the append-only file is among them"
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in files if path.stat().st_mode & 0o077} == {}
    assert (short_folder / "redis").stat().st_mode & 0o777 == 0o700


async def test_removed_entries_leave_its_files_at_the_next_start(make_tier: MakeTier, short_folder: Path) -> None:
    def kept() -> bytes:
        return b"".join(path.read_bytes() for path in (short_folder / "redis").rglob("*.aof"))

    tier = make_tier(data_dir=short_folder)
    await tier.set_many({"answers:a": entry(b"Edwina"), "answers:b": entry(b"Robin")})
    await tier.delete(["answers:a"])
    assert b"Edwina" in kept()
    server = pids(short_folder)
    await tier.aclose()
    wait_until(lambda: not any(alive(pid) for pid in server))
    again = make_tier(data_dir=short_folder)
    assert list(await again.get_many(["answers:a", "answers:b"])) == ["answers:b"]
    wait_until(lambda: b"Edwina" not in kept())


async def test_nobody_else_can_reach_it(make_tier: MakeTier, short_folder: Path) -> None:
    tier = make_tier(data_dir=short_folder)
    await tier.set_many({"answers:a": entry()})
    path = short_folder / "redis" / "redis.sock"
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0
    with redis.Redis(unix_socket_path=str(path), decode_responses=True) as client:
        settings = client.config_get("*")
    assert settings["port"] == "0"
    assert settings["maxmemory"] == str(256 * 1024 * 1024)
    assert settings["maxmemory-policy"] == "allkeys-lru"
    assert settings["appendonly"] == "yes"


async def test_no_waiting_for_a_server_that_is_starting(make_tier: MakeTier, short_folder: Path) -> None:
    tier = make_tier(data_dir=short_folder, connect_timeout_ms=1)
    with pytest.raises(CacheError, match="starting"):
        await tier.get_many(["answers:a"])

    async def answers() -> bool:
        with suppress(CacheError):
            return await tier.get_many(["answers:a"]) == {}
        return False

    await eventually(answers, "an answer", PATIENCE)


def test_without_a_server_to_start(make_tier: MakeTier, monkeypatch: pytest.MonkeyPatch, short_folder: Path) -> None:
    monkeypatch.setattr(embedded, "_candidates", lambda: iter(()))
    with pytest.raises(MissingDependencyError, match=r"tilores-core\[embedded\]") as caught:
        make_tier(data_dir=short_folder)
    assert "REDIS_URL" in str(caught.value)


def test_too_old_a_server_is_passed_over(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("old", "5.0.14"), ("new", "6.2.0")):
        (short_folder / name).write_text(f"#!/bin/sh\necho Redis server v={version} sha=0\n")
        (short_folder / name).chmod(0o700)
    paths = [str(short_folder / name) for name in ("none", "old", "new")]
    monkeypatch.setattr(embedded, "_candidates", lambda: iter(paths))
    assert embedded.find_binary() == paths[2]


async def test_who_is_cancelled_as_it_starts_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = embedded.EmbeddedServer(tmp_path, "redis-server", patience=PATIENCE)
    monkeypatch.setattr(server, "_start", lambda: "redis.sock")
    waiting = asyncio.create_task(server.ready())
    await asyncio.sleep(0)
    assert server._starting is not None
    server._starting.add_done_callback(lambda _: waiting.cancel())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await server.aclose()
