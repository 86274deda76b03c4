"""Messages between processes, and being told when some may be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.cache.redis.proxies import Proxy
from tests.redis_server import RedisServer
from tilores_core.testing import eventually
from tilores_plugins.cache.redis.tier import RedisTier

MakeTier = Callable[..., RedisTier]
Heard = asyncio.Queue[bytes | None]
PATIENCE = 60.0


@asynccontextmanager
async def listening(tier: RedisTier) -> AsyncIterator[Heard]:
    """What the tier hears, once it is there."""
    heard: Heard = asyncio.Queue()

    async def listen() -> None:
        async for message in tier.messages():
            heard.put_nowait(message)

    task = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(PATIENCE):
            assert await heard.get() is None
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_of(heard: Heard) -> bytes | None:
    async with asyncio.timeout(PATIENCE):
        return await heard.get()


async def test_redis_that_is_down_at_start_is_logged_once_without_its_password_and_again_when_it_is_back(
    short_folder: Path, redis_binary: str, make_tier: MakeTier
) -> None:
    with (
        RedisServer(short_folder, "--requirepass", "hunter2", binary=redis_binary, password="hunter2") as server,
        capture_logs() as lines,
    ):
        server.kill()
        tier = make_tier(server.url)
        heard: Heard = asyncio.Queue()

        async def listen() -> None:
            async for message in tier.messages():
                heard.put_nowait(message)

        task = asyncio.create_task(listen())
        await eventually(lambda: bool(lines), seconds=PATIENCE)
        server.start()
        await eventually(lambda: lines[-1]["event"] == "cache.redis_recovered", seconds=PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    away = [line["error"] for line in lines if line["event"] == "cache.redis_unreachable"]
    assert away[0] == "cannot reach Redis: ConnectionRefusedError"
    assert len(away) == len(set(away)) == len(lines) - 1
    assert all(line["address"] in server.url for line in lines)
    assert "hunter2" not in str(lines)


async def test_others_hear_and_we_do_not(server: RedisServer, make_tier: MakeTier) -> None:
    one, two = make_tier(server.url), make_tier(server.url)
    async with listening(one) as by_one, listening(two) as by_two:
        for message in (b"first", b"", b"\x00\r\n\xff"):
            await one.publish(message)
            await two.publish(message + b" back")
            assert await next_of(by_two) == message
            assert await next_of(by_one) == message + b" back"
        assert by_one.empty()
        assert by_two.empty()


async def test_prefixes_are_apart(server: RedisServer, make_tier: MakeTier) -> None:
    one, two, three = make_tier(server.url), make_tier(server.url), make_tier(server.url, key_prefix="other:")
    async with listening(two) as by_two:
        await three.publish(b"not for two")
        await one.publish(b"for two")
        assert await next_of(by_two) == b"for two"


async def test_a_lost_connection_is_said_and_mended(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        one, two = make_tier(server.url), make_tier(proxy.url)
        async with listening(two) as by_two:
            proxy.cut()
            assert await next_of(by_two) is None, "lost"
            assert await next_of(by_two) is None, "there again"
            await one.publish(b"after")
            assert await next_of(by_two) == b"after"


async def test_a_silent_connection_is_found_out(server: RedisServer, make_tier: MakeTier) -> None:
    async with Proxy(server.port) as proxy:
        one, two = make_tier(server.url), make_tier(proxy.url)
        async with listening(two) as by_two:
            proxy.mute()
            await one.publish(b"lost")
            assert await next_of(by_two) is None
            assert await next_of(by_two) is None
            await one.publish(b"after")
            assert await next_of(by_two) == b"after"


async def test_silence_alone_is_no_loss(server: RedisServer, make_tier: MakeTier) -> None:
    one, two = make_tier(server.url), make_tier(server.url)
    async with listening(two) as by_two:
        await asyncio.sleep(2.5)  # longer than a quiet connection is left unasked
        await one.publish(b"still there")
        assert await next_of(by_two) == b"still there"


async def test_a_server_that_comes_later(server: RedisServer, make_tier: MakeTier) -> None:
    server.kill()
    one, two = make_tier(server.url), make_tier(server.url)

    async def first() -> bytes | None:
        return await anext(aiter(two.messages()))

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0.3)  # for several tries to connect
    assert not waiting.done()
    await asyncio.to_thread(server.restart)
    async with asyncio.timeout(PATIENCE):
        assert await waiting is None
    async with listening(two) as by_two:
        await one.publish(b"hello")
        assert await next_of(by_two) == b"hello"


async def test_the_messages_end_with_the_tier(server: RedisServer, make_tier: MakeTier) -> None:
    tier = make_tier(server.url)
    messages = aiter(tier.messages())
    assert await anext(messages) is None
    await tier.aclose()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(StopAsyncIteration):
            await anext(messages)


async def test_in_a_cluster_all_nodes_pass_messages_on(cluster_url: str, make_tier: MakeTier) -> None:
    tiers = [make_tier(cluster_url, cluster=True) for _ in range(4)]
    async with listening(tiers[1]) as by_1, listening(tiers[2]) as by_2, listening(tiers[3]) as by_3:
        await tiers[0].publish(b"to all")
        assert [await next_of(heard) for heard in (by_1, by_2, by_3)] == [b"to all"] * 3
