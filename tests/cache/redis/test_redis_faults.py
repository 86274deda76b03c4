"""A Redis that is gone, hangs, lies or refuses: an error at once, then right answers, nobody else's value ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.cache.redis.proxies import Proxy
from tests.redis_server import RedisServer
from tilores_core import CacheEntry, CacheError, PluginContext
from tilores_core.testing.waiting import eventually
from tilores_plugins.cache.redis.build import build
from tilores_plugins.cache.redis.settings import RedisSettings
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]

SHORT = {"connect_timeout_ms": 100, "command_timeout_ms": 100}
PATIENCE = 60.0
AT_ONCE = ("--repl-diskless-sync-delay", "0")


def entry(value: bytes = b"value", *tags: str, seconds: float = 60.0) -> CacheEntry:
    return CacheEntry(value, time.time() + seconds, tags)


async def value_of(tier: RedisTier, key: str) -> bytes | None:
    found = (await tier.get_many([key])).get(key)
    return found.value if found else None


async def value_at_last(tier: RedisTier, key: str) -> bytes | None:
    """A slow machine may need more than one of the short time limits."""
    while True:
        with suppress(CacheError):
            return await value_of(tier, key)


async def comes_back(work: Callable[[], Awaitable[object]]) -> None:
    """Until `work` raises no `CacheError` any more."""

    async def works() -> bool:
        with suppress(CacheError):
            await work()
            return True
        return False

    await eventually(works, "Redis", PATIENCE)


class Load:
    """Readers and writers that go on whatever happens and note wrong values and errors that are no `CacheError`."""

    def __init__(self, tier: RedisTier) -> None:
        self._tier = tier
        self.errors = 0
        self.right = 0
        self._wrong: list[object] = []
        self._going = True

    async def _reader(self, number: int) -> None:
        key = f"answers:{number}"
        while self._going:
            try:
                found = await value_of(self._tier, key)
                if found is None:
                    await self._tier.set_many({key: entry(key.encode())})
                elif found == key.encode():
                    self.right += 1
                else:
                    self._wrong.append((key, found))
            except CacheError:
                self.errors += 1
            except Exception as error:
                self._wrong.append(error)
            await asyncio.sleep(0.001)  # the other readers have their turn

    async def __aenter__(self) -> Load:
        self._readers = [asyncio.create_task(self._reader(number)) for number in range(16)]
        await self.goes_well()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._readers)
        assert self._wrong == []

    async def goes_well(self) -> None:
        """Until every reader has had several right answers more."""
        goal = self.right + 100
        await eventually(lambda: self.right >= goal)

    async def notices(self) -> None:
        seen = self.errors
        await eventually(lambda: self.errors != seen)


async def test_nothing_is_connected_before_the_first_use(make_tier: MakeTier) -> None:
    tier = make_tier("redis://127.0.0.1:1", **SHORT)
    stats = await tier.stats()
    assert stats.extra["connected"] is False
    with pytest.raises(CacheError, match="cannot reach Redis"):
        await tier.get_many(["answers:a"])
    assert (await tier.stats()).errors == 1


async def test_killed_and_started_again(server: RedisServer, make_tier: MakeTier) -> None:
    async with Load(make_tier(server.url, **SHORT)) as load:
        server.kill()
        await load.notices()
        await asyncio.to_thread(server.restart)
        await load.goes_well()


async def test_stopped_and_continued(server: RedisServer, make_tier: MakeTier) -> None:
    async with Load(make_tier(server.url, **SHORT)) as load:
        server.pause()
        await load.notices()
        await load.notices()
        server.resume()
        await load.goes_well()


async def test_reply_within_the_time_outs_of_the_settings_is_waited_for(
    server: RedisServer, make_tier: MakeTier
) -> None:
    patient = make_tier(server.url, connect_timeout_ms=30_000, command_timeout_ms=30_000)
    for _ in ("connecting", "connected"):
        server.pause()
        try:
            reading = asyncio.create_task(value_of(patient, "answers:a"))
            with pytest.raises(CacheError):
                await value_of(make_tier(server.url, **SHORT), "answers:a")
            assert not reading.done()
        finally:
            server.resume()
        assert await reading is None


async def test_cut_connections(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy, Load(make_tier(proxy.url, **SHORT)) as load:
        for _ in range(3):
            proxy.cut()
            await load.goes_well()


async def test_a_half_closed_connection_is_replaced(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        tier = make_tier(proxy.url, **SHORT)
        await comes_back(lambda: tier.set_many({"answers:a": entry()}))
        assert await value_at_last(tier, "answers:a") == b"value"
        proxy.half_close()
        assert await value_at_last(tier, "answers:a") == b"value"
        await comes_back(lambda: tier.set_many({"answers:b": entry()}))
        assert proxy.accepted >= 3


async def test_a_connection_that_fell_silent_costs_one_time_out(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        tier = make_tier(proxy.url, connect_timeout_ms=10_000, command_timeout_ms=1_000)
        await tier.set_many({"answers:a": entry()})
        assert await value_of(tier, "answers:a") == b"value"
        proxy.mute()
        with pytest.raises(CacheError, match="in time"):
            await tier.get_many(["answers:a"])
        assert await value_of(tier, "answers:a") == b"value"


async def test_a_late_reply_never_answers_another_question(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        tier = make_tier(proxy.url, **SHORT)
        keys = [f"answers:{number}" for number in range(50)]
        await comes_back(lambda: tier.set_many({key: entry(key.encode()) for key in keys}))
        late = 0
        for number, key in enumerate(keys):
            proxy.delay = 0.0 if number % 3 else 0.12
            try:
                assert await value_of(tier, key) == key.encode()
            except CacheError:
                late += 1
        assert late


async def test_a_cancelled_request_leaves_the_connection_in_order(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        tier = make_tier(proxy.url)
        await tier.set_many({f"answers:{number}": entry(b"%d" % number) for number in range(64)})
        await tier.get_many(["answers:0"])
        opened = proxy.accepted
        proxy.delay = 0.03
        for _ in range(5):
            requests = [asyncio.create_task(value_of(tier, f"answers:{number}")) for number in range(64)]
            await asyncio.sleep(0.005)  # so that some replies are on their way
            for request in requests[::2]:
                request.cancel()
            got = await asyncio.gather(*requests, return_exceptions=True)
            assert got[1::2] == [b"%d" % number for number in range(1, 64, 2)]
            assert all(isinstance(one, asyncio.CancelledError) for one in got[::2])
        assert proxy.accepted == opened


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_busy_event_loop_is_not_a_slow_redis(server: RedisServer, run: Callable[[Any], None]) -> None:
    settings = RedisSettings.model_validate(
        {"url": server.url, "connect_timeout_ms": 10_000, "command_timeout_ms": 200}
    )

    async def main() -> None:
        tier = build(PluginContext(plugin_id="redis", settings=settings, data_dir=server.folder))
        await tier.set_many({"answers:a": entry()})
        for _ in range(3):
            server.pause()
            reading = asyncio.create_task(value_of(tier, "answers:a"))
            await asyncio.sleep(0.02)  # the request is sent, and held up
            server.resume()  # it answers within its time, while we look elsewhere
            time.sleep(0.3)  # longer than the limit of a command
            assert await reading == b"value"
        await tier.aclose()

    run(main())


async def test_what_is_not_redis(make_tier: MakeTier) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    web = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with web:
        tier = make_tier(f"redis://127.0.0.1:{web.sockets[0].getsockname()[1]}")
        with pytest.raises(CacheError):
            await tier.get_many(["answers:a"])


async def test_a_wrong_password(short_folder: Path, redis_binary: str, make_tier: MakeTier) -> None:
    with RedisServer(short_folder, password="right", binary=redis_binary) as server:
        wrong = make_tier(server.url.replace("right", "wrong-secret"))
        for work in (wrong.get_many(["answers:a"]), wrong.set_many({"answers:a": entry()})):
            with pytest.raises(CacheError, match="log-in") as caught:
                await work
            assert caught.value.fix
            assert "wrong-secret" not in str(caught.value)
        none = make_tier(server.url.replace(":right@", ""))
        for work in (none.get_many(["answers:a"]), none.set_many({"answers:a": entry(bytes(100_000))})):
            with pytest.raises(CacheError, match="NOAUTH") as caught:
                await work
            assert "PASSWORD" in str(caught.value)


async def test_the_permissions_that_the_manual_names_are_enough(server: RedisServer, make_tier: MakeTier) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "cache-redis.md").read_text()
    rules = manual.split("A Redis user of its own needs `")[1].split("`")[0].split()
    server.run("ACL", "SETUSER", "desk", "on", ">pw", "-@all", "resetchannels", *rules)
    address = server.url.replace("redis://", "redis://desk:pw@")
    tier, other = make_tier(address), make_tier(address)
    messages = aiter(tier.messages())
    assert await anext(messages) is None
    await other.publish(b"hello")
    assert await anext(messages) == b"hello"
    await messages.aclose()  # type: ignore[attr-defined]  # it is a generator
    await tier.set_many({"answers:a": entry(b"v", "tag"), "answers:b": entry()})
    assert len(await tier.get_many(["answers:a", "answers:b"])) == 2
    assert await tier.acquire("work", "me", 1)
    await tier.release("work", "me")
    assert await tier.delete_tag("tag") == 1
    assert await tier.clear() == 1
    stats = await tier.stats()
    assert (stats.errors, stats.extra["connected"]) == (0, True)
    server.run("ACL", "SETUSER", "desk", "-zrange")
    with pytest.raises(CacheError, match="NOPERM"):
        await tier.tag_keys("tag")
    server.run("ACL", "SETUSER", "desk", "-@write")
    with pytest.raises(CacheError, match="NOPERM"):
        await tier.set_many({"answers:a": entry()})


async def test_memory_full(short_folder: Path, redis_binary: str, make_tier: MakeTier) -> None:
    with RedisServer(short_folder, "--maxmemory-policy", "noeviction", binary=redis_binary) as server:
        tier = make_tier(server.url)
        await tier.set_many({"answers:a": entry(b"kept", "tag")})
        server.run("CONFIG", "SET", "maxmemory", "1000000")
        large = {f"answers:{number}": entry(bytes(100_000), "tag") for number in range(40)}
        with pytest.raises(CacheError, match="OOM"):
            await tier.set_many(large)
        assert await value_of(tier, "answers:a") == b"kept"
        server.run("CONFIG", "SET", "maxmemory", "0")
        await tier.set_many({"answers:b": entry(b"again")})
        assert await value_of(tier, "answers:b") == b"again"


async def test_a_read_only_replica(short_folder: Path, redis_binary: str, make_tier: MakeTier) -> None:
    with RedisServer(short_folder / "primary", *AT_ONCE, binary=redis_binary) as primary:
        arguments = ("--replicaof", "127.0.0.1", str(primary.port))
        with RedisServer(short_folder / "replica", *arguments, binary=redis_binary) as replica:
            await make_tier(primary.url).set_many({"answers:a": entry(b"kept", "tag")})
            tier = make_tier(replica.url)
            await eventually(lambda: value_of(tier, "answers:a"), "the copy", PATIENCE)
            for work in (
                lambda: tier.set_many({"answers:a": entry(b"new")}),
                lambda: tier.set_many({"answers:a": entry(b"new", "tag")}),
                lambda: tier.delete(["answers:a"]),
                lambda: tier.delete_tag("tag"),
                lambda: tier.acquire("work", "me", 1),
            ):
                with pytest.raises(CacheError, match="READONLY") as caught:
                    await work()
                assert "primary" in str(caught.value)
            assert await value_of(tier, "answers:a") == b"kept"


async def test_after_a_failover_writes_connect_anew(
    short_folder: Path, redis_binary: str, make_tier: MakeTier
) -> None:
    with (
        RedisServer(short_folder / "a", binary=redis_binary) as primary,
        RedisServer(short_folder / "b", *AT_ONCE, binary=redis_binary) as successor,
    ):
        async with Proxy(primary.port) as address:
            tier = make_tier(address.url)
            await tier.set_many({"answers:a": entry()})
            assert primary.run("EXISTS", "tilores:entry:answers:a") == 1
            primary.run("REPLICAOF", "127.0.0.1", successor.port)
            address.target = successor.port
            with pytest.raises(CacheError, match="READONLY"):
                await tier.set_many({"answers:a": entry(b"new")})
            await tier.set_many({"answers:a": entry(b"new")})
            assert successor.run("EXISTS", "tilores:entry:answers:a") == 1


async def test_after_a_failover_no_connection_stays_with_the_server_before(
    short_folder: Path, redis_binary: str, make_tier: MakeTier
) -> None:
    """One that was demoted and hears of nothing more would give out what was removed since."""
    with (
        RedisServer(short_folder / "a", binary=redis_binary) as before,
        RedisServer(short_folder / "b", binary=redis_binary) as after,
    ):
        async with Proxy(before.port) as address:
            tier, reader = make_tier(address.url), make_tier(address.url)
            messages = aiter(tier.messages())
            assert await anext(messages) is None
            await tier.set_many({"answers:a": entry(b"old", "tag")})
            assert await value_of(tier, "answers:a") == await value_of(reader, "answers:a") == b"old"
            before.run("REPLICAOF", "127.0.0.1", "1")
            address.target = after.port
            with pytest.raises(CacheError, match="READONLY"):
                await tier.delete(["answers:a"])
            assert await value_of(tier, "answers:a") == b"old"  # a replica without its primary may answer
            await tier.set_many({"answers:b": entry(b"new", "tag")})
            assert [await value_of(tier, "answers:a"), await value_of(tier, "answers:b")] == [None, b"new"]
            async with asyncio.timeout(PATIENCE):
                assert [await anext(messages), await anext(messages)] == [None, None]  # lost, and back
            assert before.run("PUBSUB", "NUMSUB", "tilores:messages")[1] == 0
            await messages.aclose()  # type: ignore[attr-defined]  # it is a generator
            before.run("CONFIG", "SET", "replica-serve-stale-data", "no")
            with pytest.raises(CacheError, match="MASTERDOWN"):
                await value_of(reader, "answers:b")
            assert await value_of(reader, "answers:b") == b"new"


async def test_what_refuses_everyone_is_said_by_name(
    short_folder: Path, redis_binary: str, make_tier: MakeTier
) -> None:
    with RedisServer(short_folder / "full", binary=redis_binary) as full:
        one = make_tier(full.url)
        await one.set_many({"answers:a": entry()})
        full.run("CONFIG", "SET", "maxclients", "1")
        with pytest.raises(CacheError, match="MAXCLIENTS") as caught:
            await one.get_many(["answers:a"])  # reads have a connection of their own
        assert "maxclients" in str(caught.value)
    with pytest.raises(CacheError, match="host is not known"):
        await make_tier("redis://no-such-host.invalid:6379").get_many(["answers:a"])


async def test_started_again_empty(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({"answers:a": entry(b"old", "tag")})
    await asyncio.to_thread(server.restart)
    await comes_back(lambda: tier.get_many(["answers:a"]))
    assert await value_of(tier, "answers:a") is None
    await comes_back(lambda: tier.set_many({"answers:a": entry(b"new", "tag")}))
    assert await tier.delete_tag("tag") == 1


async def test_after_closing(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    await tier.set_many({"answers:a": entry()})
    await tier.aclose()
    with pytest.raises(CacheError, match="closed"):
        await tier.get_many(["answers:a"])
    with pytest.raises(CacheError, match="closed"):
        await tier.set_many({"answers:a": entry()})


async def test_closing_while_connecting(make_tier: MakeTier) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with silent:
        tier = make_tier(f"redis://:pw@127.0.0.1:{silent.sockets[0].getsockname()[1]}")
        waiting = [asyncio.create_task(tier.get_many(["answers:a"])) for _ in range(2)]
        await asyncio.sleep(0.1)  # both are connecting
        await tier.aclose()
        got = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(one) for one in got] == [CacheError] * 2


async def test_a_cluster_under_more_load_than_it_has_connections(
    cluster: list[RedisServer], cluster_url: str, make_tier: MakeTier
) -> None:
    def clients() -> int:
        return max(len(node.run("CLIENT", "LIST", "TYPE", "normal").splitlines()) for node in cluster)

    before = clients()
    tier = make_tier(cluster_url, cluster=True, max_connections=3)
    await tier.set_many({f"answers:{number}": entry(b"%d" % number) for number in range(100)})
    got = await asyncio.gather(*(value_of(tier, f"answers:{number}") for number in range(100)))
    assert got == [b"%d" % number for number in range(100)]
    assert clients() <= before + 3 + 5  # those that find out what nodes there are


async def test_a_cluster_that_hangs_and_goes_on(
    cluster: list[RedisServer], cluster_url: str, make_tier: MakeTier
) -> None:
    tier = make_tier(cluster_url, cluster=True, connect_timeout_ms=10_000, command_timeout_ms=1_000)
    keys = [f"answers:{number}" for number in range(50)]
    await tier.set_many({key: entry(key.encode()) for key in keys})
    cluster[1].pause()
    try:
        with pytest.raises(CacheError):
            await tier.get_many(keys)
    finally:
        cluster[1].resume()
    await comes_back(lambda: tier.get_many(keys))
    found = await tier.get_many(keys)
    assert {key: found[key].value for key in keys} == {key: key.encode() for key in keys}


async def test_one_server_taken_for_a_cluster_and_the_reverse(
    server: RedisServer, cluster_url: str, make_tier: MakeTier
) -> None:
    with pytest.raises(CacheError):
        await make_tier(server.url, cluster=True).get_many(["answers:a"])
    tier = make_tier(cluster_url)
    with pytest.raises(CacheError, match="cluster = true"):
        await tier.set_many({f"answers:{number}": entry() for number in range(20)})
