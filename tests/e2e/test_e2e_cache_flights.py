"""Replicas that miss the same thing at the same time: one of them asks the model, if they are told to share."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from gated_model import ANSWER, TOML, Gate
from redis_server import RedisServer
from running_server import RunningServer

CROWD = 1000
LEASE_SECONDS = 1.5
CACHE = TOML.replace('["memory"]', '["memory", "redis"]')
PATIENT = """
[plugins.redis]
url = { env = "REDIS_URL" }
connect_timeout_ms = 2000
command_timeout_ms = 2000
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def replica(folder: Path, redis: RedisServer, gate: Gate, *, share: bool) -> RunningServer:
    settings = f"[cache]\nsingle_flight_replicas = {str(share).lower()}\nlease_seconds = {LEASE_SECONDS}\n"
    settings += f"tier_timeout_seconds = 10\n[chat]\nmax_concurrent = {2 * CROWD}\n"
    variables = {**gate.variables, "REDIS_URL": redis.url}
    return RunningServer(folder, toml=CACHE + PATIENT + settings, variables=variables)


async def ask(server: RunningServer, question: str) -> tuple[str, str]:
    """On a connection of its own: the tier it came from, and the text."""
    body = json.dumps({"input": question}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /chat/invoke HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    head, _, content = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200"), head + content
    output = json.loads(content)["output"]
    return output["response_metadata"]["cache"], output["content"]


async def test_a_thousand_at_two_replicas_make_one_call(tmp_path: Path, redis: RedisServer, gate: Gate) -> None:
    with (
        replica(tmp_path / "a", redis, gate, share=True) as a,
        replica(tmp_path / "b", redis, gate, share=True) as b,
    ):
        question = "What is new with Edwina Hawthorne?"
        crowd = [asyncio.create_task(ask(server, question)) for _ in range(CROWD // 2) for server in (a, b)]
        await asyncio.to_thread(gate.wait_for, "start")
        await asyncio.sleep(2 * LEASE_SECONDS)  # the lease is kept up while the work lasts
        gate.open()
        said = await asyncio.gather(*crowd)
        assert {text for _, text in said} == {ANSWER}
        assert gate.events == ["start", "done"]
        tiers = Counter(tier for tier, _ in said)
        assert tiers["l2"] > 1, f"no replica took it from the other: {tiers}"


async def test_without_being_told_each_makes_its_own(tmp_path: Path, redis: RedisServer, gate: Gate) -> None:
    with (
        replica(tmp_path / "a", redis, gate, share=False) as a,
        replica(tmp_path / "b", redis, gate, share=False) as b,
    ):
        crowd = [asyncio.create_task(ask(server, "How are you?")) for _ in range(20) for server in (a, b)]
        await asyncio.to_thread(gate.wait_for, "start", 2)
        gate.open()
        assert {text for _, text in await asyncio.gather(*crowd)} == {ANSWER}
        assert gate.events.count("start") == 2


async def test_the_death_of_who_asks_the_model_costs_the_others_the_lease(
    tmp_path: Path, redis: RedisServer, gate: Gate
) -> None:
    dying = replica(tmp_path / "dying", redis, gate, share=True)
    with replica(tmp_path / "other", redis, gate, share=True) as other:
        try:
            await asyncio.to_thread(dying.start)
            lost = asyncio.create_task(ask(dying, "How are you?"))
            await asyncio.to_thread(gate.wait_for, "start")
            waiting = [asyncio.create_task(ask(other, "How are you?")) for _ in range(20)]
            await asyncio.sleep(2 * LEASE_SECONDS)
            assert gate.events == ["start"], "the other did not wait"
        finally:
            dying.kill()
        with pytest.raises((AssertionError, ConnectionError)):
            await lost
        await asyncio.to_thread(gate.wait_for, "start", 2)
        gate.open()
        assert {text for _, text in await asyncio.gather(*waiting)} == {ANSWER}
        assert gate.events == ["start", "start", "done"]
