"""Whatever happens to Redis: no request fails, every answer is right, and Redis is used again when it is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cache.redis.proxies import Proxy
from tests.e2e.cache_load import TOML, Fact, Load, facts_of
from tests.e2e.running_server import RunningServer, StartServer
from tests.redis_server import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT_ONCE = ("--repl-diskless-sync-delay", "0")
ENTRIES, TAGS = b"tilores:entry:*", b"tilores:tag:*"


@dataclass
class World:
    """One server, and between it and its Redis a proxy."""

    redis: RedisServer
    proxy: Proxy
    server: RunningServer
    facts: list[Fact]

    async def run(self, *command: Any) -> Any:
        """In a thread: the proxy and the callers go on meanwhile."""
        return await asyncio.to_thread(self.redis.run, *command)

    async def keys(self, pattern: bytes) -> list[bytes]:
        return list(await self.run("KEYS", pattern))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, redis_binary: str) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    with RedisServer(folder / "redis", *AT_ONCE, binary=redis_binary) as redis:
        async with Proxy(redis.port) as proxy:
            server = RunningServer(folder / "server", toml=TOML, variables={"REDIS_URL": proxy.url})
            await asyncio.to_thread(server.__enter__)
            yield World(redis, proxy, server, await facts_of(12))
            await asyncio.to_thread(server.__exit__, None, None, None)


@pytest_asyncio.fixture(loop_scope="module")
async def load(world: World) -> AsyncIterator[Load]:
    async with Load(world.server, world.facts).begun() as load:
        await load.reads_go_on()
        yield load


# --- gone, or silent --------------------------------------------------------------------------------------------


async def test_killed_and_started_again_with_nothing(world: World, load: Load) -> None:
    world.redis.kill()
    await load.until(lambda l2: l2["breaker"] != "closed", "the breaker does not open")
    await load.goes_on()
    await asyncio.to_thread(world.redis.restart)
    assert await world.run("DBSIZE") < 1000
    await load.recovers()


async def test_a_hang(world: World, load: Load) -> None:
    world.redis.pause()
    try:
        await load.until(lambda l2: l2["breaker"] != "closed", "the breaker does not open")
        await load.grows("skipped")
        await load.goes_on()
    finally:
        world.redis.resume()
    await load.recovers()


async def test_replies_that_come_too_late(world: World, load: Load) -> None:
    world.proxy.delay = 0.6
    try:
        await load.until(lambda l2: l2["breaker"] != "closed", "the breaker does not open")
        await load.goes_on()
    finally:
        world.proxy.delay = 0.0
    await load.recovers()


async def test_replies_now_and_then_too_late(world: World, load: Load) -> None:
    before = await load.tier()
    for _ in range(4):
        world.proxy.delay = 0.4
        await asyncio.sleep(0.2)  # some replies come too late
        world.proxy.delay = 0.0
        await asyncio.sleep(0.1)  # and some in time
    await load.recovers()
    assert (await load.tier())["errors"] > before["errors"]


async def test_connections_cut_again_and_again(world: World, load: Load) -> None:
    before = world.proxy.accepted
    for _ in range(3):
        world.proxy.cut()
        await load.goes_on()
    await load.recovers()
    assert world.proxy.accepted > before + 3


async def test_half_closed_connections(world: World, load: Load) -> None:
    before = world.proxy.accepted
    for _ in range(3):
        world.proxy.half_close()
        await load.goes_on()
    await load.recovers()
    assert world.proxy.accepted > before


async def test_connections_that_fell_silent(world: World, load: Load) -> None:
    world.proxy.mute()
    await load.grows("errors")
    await load.goes_on()
    await load.recovers()


async def test_an_empty_store(world: World, load: Load) -> None:
    await world.run("FLUSHALL")
    await load.goes_on()
    await load.recovers()


# --- there, but unwilling ---------------------------------------------------------------------------------------


async def test_no_memory_left(world: World, load: Load) -> None:
    await world.run("SET", "filler", bytes(3 * 1024 * 1024))
    await world.run("CONFIG", "SET", "maxmemory-policy", "noeviction")  # one pair each: Redis 6.2 takes no more
    await world.run("CONFIG", "SET", "maxmemory", "2mb")
    try:
        await load.until(lambda l2: l2["write_breaker"] != "closed", "writes do not fail")
        await load.reads_go_on()
        assert (await load.tier())["breaker"] == "closed"
    finally:
        await world.run("CONFIG", "SET", "maxmemory", "0")
    await load.recovers()
    await world.run("DEL", "filler")


async def test_a_primary_becomes_a_read_only_replica_and_a_primary_again(
    world: World, load: Load, tmp_path: Path, redis_binary: str
) -> None:
    with RedisServer(tmp_path / "other", *AT_ONCE, binary=redis_binary) as other:
        await asyncio.to_thread(follow, other, world.redis)
        await asyncio.to_thread(other.run, "REPLICAOF", "NO", "ONE")
        await asyncio.to_thread(follow, world.redis, other)
        try:
            await load.until(lambda l2: l2["write_breaker"] != "closed", "writes do not fail")
            await load.reads_go_on()
        finally:
            await world.run("REPLICAOF", "NO", "ONE")
        await load.recovers()


def follow(replica: RedisServer, primary: RedisServer) -> None:
    """Until the replica has all that the primary has."""
    replica.run("REPLICAOF", "127.0.0.1", primary.port)
    while replica.run("INFO", "replication")["master_link_status"] != "up":
        pass


# --- lying ------------------------------------------------------------------------------------------------------


async def test_keys_of_another_type(world: World, load: Load) -> None:
    replace_all = """
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
      redis.call('DEL', key)
      if ARGV[2] == 'list' then redis.call('RPUSH', key, 'x') else redis.call('SET', key, 'x') end
    end
    """
    entries = await world.keys(ENTRIES)
    await world.run("EVAL", replace_all, 0, ENTRIES, "list")
    await world.run("EVAL", replace_all, 0, TAGS, "string")
    await load.recovers()
    mended = {key for key in entries if await world.run("TYPE", key) in (b"string", "string")}
    assert mended, "nothing was stored over the lists"
    tags = [await world.run("TYPE", key) for key in await world.keys(TAGS)]
    assert any(kind in (b"zset", "zset") for kind in tags), "no index was made anew"
    await world.run("FLUSHALL")  # what nobody asked about again is a list still


async def test_damaged_bytes(world: World, load: Load) -> None:
    damage = """
    local keys = redis.call('KEYS', ARGV[1])
    local first = nil
    for number, key in ipairs(keys) do
      local value = redis.call('GET', key)
      local kind = number % 5
      local middle = math.floor(#value / 2)
      if kind == 0 then value = string.sub(value, 1, middle)
      elseif kind == 1 then value = string.sub(value, 1, middle) .. 'x' .. string.sub(value, middle + 2)
      elseif kind == 2 then value = ''
      elseif kind == 3 then value = string.rep('{', #value)
      else first = first or value; value = first end
      redis.call('SET', key, value, 'KEEPTTL')
    end
    return #keys
    """
    before = await load.tier()
    assert await world.run("EVAL", damage, 0, ENTRIES) > 20
    await load.until(lambda l2: l2["extra"]["damaged"] > before["extra"]["damaged"] + 5, "no damage was seen")
    await load.recovers()


async def test_one_customers_entries_under_anothers_keys(world: World, load: Load) -> None:
    """Whole and well-formed, but not what was stored there."""
    rotate = """
    local keys = redis.call('KEYS', ARGV[1])
    local before = redis.call('GET', keys[#keys])
    for _, key in ipairs(keys) do
      local own = redis.call('GET', key)
      redis.call('SET', key, before, 'KEEPTTL')
      before = own
    end
    return #keys
    """
    before = await load.tier()
    for namespace in (b"answers", b"fingerprints", b"mentions", b"customers"):
        assert await world.run("EVAL", rotate, 0, b"tilores:entry:" + namespace + b":*") > 1
    await load.until(lambda l2: l2["extra"]["damaged"] > before["extra"]["damaged"] + 5, "no damage was seen")
    await load.recovers()


# --- not well from the beginning --------------------------------------------------------------------------------


async def test_a_wrong_password_until_it_is_right(
    start_server: StartServer, world: World, tmp_path: Path, redis_binary: str
) -> None:
    with RedisServer(tmp_path / "locked", binary=redis_binary, password="right-password") as redis:
        url = redis.url.replace("right-password", "wrong-password")
        server = await asyncio.to_thread(lambda: start_server(toml=TOML, variables={"REDIS_URL": url}))
        async with Load(server, world.facts).begun() as load:
            await load.until(lambda l2: l2["breaker"] != "closed", "the breaker does not open")
            await load.goes_on()
            await asyncio.to_thread(redis.run, "CONFIG", "SET", "requirepass", "wrong-password")
            await load.recovers()
        assert "-password" not in server.log_text


async def test_no_redis_until_there_is_one(start_server: StartServer, world: World, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "late")
    server = await asyncio.to_thread(lambda: start_server(toml=TOML, variables={"REDIS_URL": redis.url}))
    async with Load(server, world.facts).begun() as load:
        await load.until(lambda l2: l2["breaker"] != "closed", "the breaker does not open")
        await load.goes_on()
        with redis:
            await load.recovers()
            assert redis.run("DBSIZE") > 0
        await load.goes_on()
