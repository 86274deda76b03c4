"""Two servers on one Redis: what one answered serves the other, and what one forgets the other does not serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.cache.redis.proxies import Proxy
from tests.e2e.running_server import RunningServer, StartServer
from tests.redis_server import RedisServer
from tilores_core.testing.waiting import eventually

QUESTION = "What is the credit score?"
ANA, BEN = "C-1", "C-2"
HEARD_SECONDS = 2.0
CUT_OFF_SECONDS = 5.0
# Redis may be slow on a busy machine; a source that is looked at often, so that a change is soon seen.
TOML = """
schema = 1
[use]
cache = ["memory", "redis"]
source = "file"
model = "demo:simulated-1"
[plugins.redis]
url = { env = "REDIS_URL" }
connect_timeout_ms = 250
command_timeout_ms = 250
[plugins.file]
path = "../customers.csv"
reload_seconds = 0.1
"""


class Said(NamedTuple):
    text: str
    tier: str


class Replica:
    """A server and a client of it."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self._client = httpx.Client(base_url=server.url, timeout=30, headers=server.admin)

    def close(self) -> None:
        self._client.close()

    def ask(self, customer_id: str = ANA, question: str = QUESTION, *, fresh: bool = False) -> Said:
        """`fresh`: from the source and the model, and not kept."""
        reply = self._client.post(
            "/v1/chat/completions",
            json={
                "model": "demo:simulated-1",
                "messages": [{"role": "user", "content": question}],
                "metadata": {"customer_id": customer_id},
            },
            headers={"Cache-Control": "no-store"} if fresh else {},
        )
        assert reply.status_code == 200, reply.text
        return Said(reply.json()["choices"][0]["message"]["content"], reply.headers["x-tilores-cache"])

    def invalidate(self, **what: str) -> int:
        reply = self._client.post("/admin/cache/invalidate", json=what)
        assert reply.status_code == 200, reply.text
        return int(reply.json()["removed"])

    def count(self, name: str) -> int:
        """Of /admin/cache: how many messages were heard, lost, …"""
        return int(self._client.get("/admin/cache").json()["invalidations"][name])

    def owed(self) -> int:
        return int(self._client.get("/admin/cache").json()["tiers"]["l2"]["pending_invalidations"])


class Desk:
    """The customers' file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.write(ana=611, ben=702)

    def write(self, *, ana: int, ben: int) -> None:
        rows = [
            "customer_id,name,email,credit_score",
            f"{ANA},Ana Example,ana@example.com,{ana}",
            f"{BEN},Ben Example,ben@example.com,{ben}",
        ]
        new = self._path.with_suffix(".new")
        new.write_text("\n".join(rows) + "\n")
        new.replace(self._path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "customers.csv")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "no") as running:
        yield running


@asynccontextmanager
async def two(start_server: StartServer, first: str, second: str) -> AsyncIterator[tuple[Replica, Replica]]:
    """A server on each address. Started in threads, since a proxy may run here."""

    def start(url: str) -> Replica:
        return Replica(start_server(toml=TOML, variables={"REDIS_URL": url, "TILORES_ALLOW_ANONYMOUS": "true"}))

    replicas = [await asyncio.to_thread(start, first), await asyncio.to_thread(start, second)]
    try:
        for replica in replicas:
            assert await until(lambda: replica.count("lost") > 0, 10), "it does not listen"  # noqa: B023
        yield replicas[0], replicas[1]
    finally:
        for replica in replicas:
            replica.close()


async def until(true: object, seconds: float) -> bool:
    """Whether `true()` became true in time. In a thread, since a proxy may run here."""
    assert callable(true)
    try:
        await eventually(lambda: asyncio.to_thread(true), seconds=seconds)
    except AssertionError:
        return False
    return True


async def change(desk: Desk, *replicas: Replica) -> None:
    """Ana's score becomes 633, and both sources know it; the caches do not."""
    desk.write(ana=633, ben=702)
    for replica in replicas:
        assert await until(lambda: "633" in replica.ask(fresh=True).text, 10)  # noqa: B023
        assert "611" in (await asyncio.to_thread(replica.ask)).text


async def test_an_answer_of_one_serves_the_other_until_it_is_removed(
    start_server: StartServer, desk: Desk, redis: RedisServer
) -> None:
    async with two(start_server, redis.url, redis.url) as (a, b):
        assert a.ask() == ("Ana Example's credit score is 611.", "miss")
        assert [b.ask().tier, b.ask().tier, a.ask().tier] == ["l2", "l1", "l1"]
        assert "611" in b.ask().text
        assert b.ask(BEN) == ("Ben Example's credit score is 702.", "miss")
        assert a.ask(BEN) == ("Ben Example's credit score is 702.", "l2")

        a.invalidate(namespace="answers")
        assert await until(lambda: b.ask().tier != "l1", HEARD_SECONDS)
        # At once, but for a machine that stalls: who misses a beat of Redis keeps nothing until it listens again.
        assert await until(lambda: b.ask().tier == "l1", HEARD_SECONDS)
        assert await until(lambda: redis.run("KEYS", "tilores:entry:answers:*"), HEARD_SECONDS)  # written behind
        (name,) = redis.run("KEYS", "tilores:entry:answers:*")
        a.invalidate(key=name.decode().removeprefix("tilores:entry:"))
        assert await until(lambda: b.ask().tier != "l1", HEARD_SECONDS)


async def test_what_one_forgets_the_other_forgets(start_server: StartServer, desk: Desk, redis: RedisServer) -> None:
    async with two(start_server, redis.url, redis.url) as (a, b):
        for replica in (a, b):
            replica.ask(), replica.ask(BEN)
        await change(desk, a, b)
        assert a.ask().tier == b.ask().tier == "l1"
        heard = b.count("heard")
        assert a.invalidate(customer_id=ANA) > 0
        assert await until(lambda: "633" in b.ask().text, HEARD_SECONDS), "b serves what a has forgotten"
        assert {b.ask().text for _ in range(20)} == {"Ana Example's credit score is 633."}
        assert a.ask() == ("Ana Example's credit score is 633.", "l2")
        assert b.count("heard") == heard + 1
        assert (a.ask(BEN).tier, b.ask(BEN).tier) == ("l1", "l1"), "the other customer was forgotten too"


async def test_a_cut_connection_empties_the_memory(start_server: StartServer, desk: Desk, redis: RedisServer) -> None:
    async with Proxy(redis.port) as proxy, two(start_server, redis.url, proxy.url) as (_, b):
        await asyncio.to_thread(lambda: (b.ask(), b.ask()))
        assert (await asyncio.to_thread(b.ask)).tier == "l1"
        lost = await asyncio.to_thread(b.count, "lost")
        proxy.cut()
        assert await until(lambda: b.count("lost") >= lost + 2, CUT_OFF_SECONDS), "it did not notice"
        said = await asyncio.to_thread(b.ask)
        assert said.tier != "l1"
        assert "611" in said.text
        assert await until(lambda: b.ask().tier == "l1", CUT_OFF_SECONDS)


async def test_who_could_not_hear_does_not_serve_the_old_for_long(
    start_server: StartServer, desk: Desk, redis: RedisServer
) -> None:
    async with Proxy(redis.port) as proxy, two(start_server, redis.url, proxy.url) as (a, b):
        await asyncio.to_thread(lambda: (b.ask(), a.ask()))
        await change(desk, a, b)
        proxy.mute()
        assert await asyncio.to_thread(lambda: a.invalidate(customer_id=ANA)) > 0
        assert await until(lambda: "633" in b.ask().text, CUT_OFF_SECONDS), "b never noticed that it hears nothing"
        for _ in range(20):
            assert "633" in (await asyncio.to_thread(b.ask)).text


async def test_what_redis_could_not_be_told_while_it_was_down(
    start_server: StartServer, desk: Desk, redis: RedisServer
) -> None:
    """It comes back with what it had, the outdated answer among it."""
    async with two(start_server, redis.url, redis.url) as (a, b):
        a.ask(), b.ask()
        await change(desk, a, b)
        redis.kill()
        a.invalidate(customer_id=ANA)
        assert a.owed() == 1
        assert "633" in a.ask().text
        await asyncio.to_thread(redis.restart)
        assert redis.run("KEYS", "tilores:entry:answers:*"), "it lost what it had"
        assert await until(lambda: a.owed() == 0 and "633" in b.ask().text, 2 * CUT_OFF_SECONDS)
        for _ in range(20):
            assert "633" in a.ask().text
            assert "633" in b.ask().text
