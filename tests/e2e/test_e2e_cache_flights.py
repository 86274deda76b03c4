"""Replicas that miss the same thing at the same time: one of them asks the model, if they are told to share."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site
from tests.redis_server import RedisServer
from tilores_core.testing.waiting import eventually

CROWD = 1000
LEASE_SECONDS = 1.5
ANSWER = "nothing new"
TOML = """
schema = 1
[use]
cache = ["memory", "redis"]
source = "demo"
model = "counted:slow"
[chat]
max_concurrent = 2000
[plugins.redis]
url = { env = "REDIS_URL" }
connect_timeout_ms = 2000
command_timeout_ms = 2000
[cache]
tier_timeout_seconds = 10
lease_seconds = 1.5
"""
SHARE = "single_flight_replicas = true\n"

# A stranger's provider. Its model writes a line for each call and answers when it is let go.
CODE = """
import asyncio, os
from pathlib import Path
from tilores_core import LLMProviderSpec, ModelInfo, hookimpl

FOLDER = Path(os.environ["COUNTED_FOLDER"])


class Provider:
    def models(self):
        return (ModelInfo(id="slow"),)

    def chat_model(self, model, parameters):
        from langchain_core.language_models import BaseChatModel
        from langchain_core.messages import AIMessage
        from langchain_core.outputs import ChatGeneration, ChatResult

        class Counted(BaseChatModel):
            @property
            def _llm_type(self):
                return "counted"

            def _generate(self, *arguments, **named):
                raise NotImplementedError

            async def _agenerate(self, messages, stop=None, run_manager=None, **named):
                with (FOLDER / "calls").open("a") as calls:
                    calls.write("called\\n")
                while not (FOLDER / "go").exists():
                    await asyncio.sleep(0.01)
                message = AIMessage("nothing new", response_metadata={"finish_reason": "stop"})
                return ChatResult(generations=[ChatGeneration(message=message)])

        return Counted()

    def map_error(self, error):
        return error

    async def aclose(self):
        pass


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(name="counted", factory=lambda context: Provider())]
"""


class Model:
    """The test's end of the model."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        Site(folder).install("counted", CODE, target="counted_provider")

    @property
    def calls(self) -> int:
        noted = self.folder / "calls"
        return len(noted.read_text().split()) if noted.exists() else 0

    async def called(self, times: int) -> None:
        await eventually(lambda: self.calls >= times)

    def let_go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    model = Model(tmp_path / "model")
    yield model
    model.let_go()


def replica(folder: Path, redis: RedisServer, model: Model, settings: str = SHARE) -> RunningServer:
    variables = {"REDIS_URL": redis.url, "PYTHONPATH": str(model.folder), "COUNTED_FOLDER": str(model.folder)}
    return RunningServer(folder, toml=TOML + settings, variables=variables)


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


async def outlast_a_lease() -> bool:
    """The lease is kept up while the work lasts. Whether the machine went on meanwhile: a server that stands still
    for so long loses its lease, and rightly so."""
    steady, until = True, time.monotonic() + 2 * LEASE_SECONDS
    while (before := time.monotonic()) < until:
        await asyncio.sleep(0.05)  # Redis' clock decides
        steady = steady and time.monotonic() - before < LEASE_SECONDS / 3
    return steady


async def test_a_thousand_at_two_replicas_make_one_call(tmp_path: Path, redis: RedisServer, model: Model) -> None:
    with replica(tmp_path / "a", redis, model) as a, replica(tmp_path / "b", redis, model) as b:
        question = "What is new with Edwina Hawthorne?"
        crowd = [asyncio.create_task(ask(server, question)) for _ in range(CROWD // 2) for server in (a, b)]
        await model.called(1)
        steady = await outlast_a_lease()
        model.let_go()
        said = await asyncio.gather(*crowd)
        assert {text for _, text in said} == {ANSWER}
        tiers = Counter(tier for tier, _ in said)
        assert model.calls == 1 or not steady, tiers
        assert tiers["l2"] > 1 or not steady, f"no replica took it from the other: {tiers}"
        assert tiers["miss"] > 1, f"nobody shared the call: {tiers}"


async def test_a_thousand_who_come_bit_by_bit_make_one_call(tmp_path: Path, redis: RedisServer, model: Model) -> None:
    """Some before the call, some during it, some when it is just over."""
    with replica(tmp_path / "a", redis, model, settings="") as server:
        crowd = []
        for number in range(CROWD):
            crowd.append(asyncio.create_task(ask(server, "How are you?")))
            if number == CROWD // 2:
                await model.called(1)
                model.let_go()
            if number % 20 == 0:
                await asyncio.sleep(0.01)  # bit by bit
        said = await asyncio.gather(*crowd)
        assert {text for _, text in said} == {ANSWER}
        assert model.calls == 1, Counter(tier for tier, _ in said)


async def test_without_being_told_each_replica_makes_its_own(
    tmp_path: Path, redis: RedisServer, model: Model
) -> None:
    with replica(tmp_path / "a", redis, model, "") as a, replica(tmp_path / "b", redis, model, "") as b:
        crowd = [asyncio.create_task(ask(server, "How are you?")) for _ in range(20) for server in (a, b)]
        await model.called(2)
        model.let_go()
        assert {text for _, text in await asyncio.gather(*crowd)} == {ANSWER}
        assert model.calls == 2


async def test_the_death_of_who_asks_the_model_costs_the_others_the_lease(
    tmp_path: Path, redis: RedisServer, model: Model
) -> None:
    dying = replica(tmp_path / "dying", redis, model)
    with replica(tmp_path / "other", redis, model) as other:
        try:
            await asyncio.to_thread(dying.start)
            lost = asyncio.create_task(ask(dying, "How are you?"))
            await model.called(1)
            waiting = [asyncio.create_task(ask(other, "How are you?")) for _ in range(20)]
            assert not await outlast_a_lease() or model.calls == 1, "the other did not wait"
        finally:
            dying.kill()
        with pytest.raises((AssertionError, ConnectionError)):
            await lost
        await model.called(2)
        model.let_go()
        assert {text for _, text in await asyncio.gather(*waiting)} == {ANSWER}
        assert model.calls == 2
