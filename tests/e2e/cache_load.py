"""Callers who go on asking a real server, whatever happens to its Redis, and note every reply that is not right."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import httpx

from tests.e2e.running_server import RunningServer
from tilores_core.testing.waiting import eventually
from tilores_plugins.sources.demo.people import build_people
from tilores_plugins.sources.demo.source import DemoSource

PATIENCE = 60.0
CALLERS = 4
PAUSE = 0.03

# The first tier holds less than the callers ask for again and again, so that the second one has to work. The
# time-outs are longer than by default: a busy machine is no fault of Redis.
TOML = """
schema = 1
[use]
cache = ["memory", "redis"]
source = "demo"
model = "demo:simulated-1"
[plugins.memory]
max_entries = 24
[plugins.redis]
url = { env = "REDIS_URL", default = "" }
connect_timeout_ms = 250
command_timeout_ms = 250
"""


@dataclass(frozen=True)
class Fact:
    """Something that only one customer's records say."""

    customer_id: str
    name: str
    score: str


async def facts_of(number: int) -> list[Fact]:
    """Credit scores of customers whose names nobody else has, all different, as the records have them."""
    people = build_people()
    names = Counter(person.name for person in people)
    source = DemoSource()
    found: dict[str, Fact] = {}
    for person in people:
        customer = await source.get(person.id)
        assert customer is not None
        scores = {
            str(record.fields["credit_score"]) for record in customer.records if "credit_score" in record.fields
        }
        if names[person.name] == 1 and len(scores) == 1 and not scores & found.keys():
            score = scores.pop()
            found[score] = Fact(person.id, person.name, score)
        if len(found) == number:
            return list(found.values())
    raise AssertionError("the demo has too few customers with a credit score")


@dataclass(frozen=True)
class Said:
    """A reply: its text, the tier it came from and whom it is about."""

    text: str
    tier: str
    customer_id: str | None


async def ask_langserve(client: httpx.AsyncClient, question: str, customer_id: str | None = None) -> Said:
    config = {"configurable": {"customer_id": customer_id}} if customer_id else {}
    reply = await client.post("/chat/invoke", json={"input": question, "config": config})
    assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    output = reply.json()["output"]
    told = output["response_metadata"]
    assert told["cache"] == reply.headers["x-tilores-cache"], told
    return Said(output["content"], told["cache"], told["customer_id"])


async def ask_openai(client: httpx.AsyncClient, question: str, customer_id: str | None = None) -> Said:
    body: dict[str, Any] = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": question}]}
    if customer_id:
        body["metadata"] = {"customer_id": customer_id}
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, f"{reply.status_code} {reply.text}"
    told = reply.json()["tilores"]
    text = reply.json()["choices"][0]["message"]["content"]
    return Said(text, reply.headers["x-tilores-cache"], told["customer_id"])


class Load:
    """`async with Load(server, facts).begun() as load`: ends by asserting that every reply was right.

    Three of four questions are asked again and again, the fourth is a new one; by name or by id, over both protocols.
    """

    def __init__(self, server: RunningServer, facts: list[Fact]) -> None:
        self._server = server
        self._facts = facts
        self._client = httpx.AsyncClient(base_url=server.url, timeout=30, headers=server.admin)
        self._numbers = count()
        self._dice = Random(1)
        self._going = True
        self.wrong: list[str] = []
        self.tiers: Counter[str] = Counter()

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Load]:
        """From now on; Redis need not work yet."""
        callers = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        try:
            yield self
        finally:
            self._going = False
            await asyncio.gather(*callers)
            await self._client.aclose()
        assert not self.wrong, "\n".join([*self.wrong[:10], self._server.log_text[-3000:]])

    # --- what a test waits for ---------------------------------------------------------------------------

    async def recovers(self) -> None:
        """Redis is used again without anybody's help: it answers, and takes what is stored."""
        await self.until(lambda l2: l2["breaker"] == "closed" == l2["write_breaker"], "a breaker stays open")
        await self.reads_go_on()
        question = self._new_question(self._facts[0])
        assert (await ask_langserve(self._client, question)).tier == "miss"

        async def from_redis() -> bool:  # once it has had to leave the first tier
            return (await ask_openai(self._client, question)).tier == "l2"

        await eventually(from_redis, "an answer from Redis", PATIENCE, every=0.1)

    async def reads_go_on(self) -> None:
        """Callers get answers from Redis, and /admin/cache says so."""
        before = (await self.tier())["hits"]
        goal = self.tiers["l2"] + CALLERS
        await self._until(lambda: self.tiers["l2"] >= goal, "no answers from Redis")
        assert (await self.tier())["hits"] > before

    async def goes_on(self) -> None:
        """Callers get answers, from wherever, among them such as were made just now."""
        goal, made = self.tiers.total() + 5 * CALLERS, self.tiers["miss"] + CALLERS
        await self._until(lambda: self.tiers.total() >= goal and self.tiers["miss"] >= made, "too few answers")

    async def until(self, true: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """Until the second tier's figures in /admin/cache are so."""
        l2: dict[str, Any] = {}

        async def looked() -> bool:
            l2.update(await self.tier())
            return true(l2)

        await eventually(looked, lambda: f"{what}: {l2}; wrong: {self.wrong[:3]}", PATIENCE, every=0.05)
        return l2

    async def grows(self, *names: str) -> None:
        """Until one of these figures of the second tier is higher than now."""
        before = await self.tier()
        await self.until(lambda l2: any(l2[name] > before[name] for name in names), f"{names} do not grow")

    async def tier(self, label: str = "l2") -> dict[str, Any]:
        return dict((await self._client.get("/admin/cache")).json()["tiers"][label])

    # --- inside ------------------------------------------------------------------------------------------

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        await eventually(true, lambda: f"{what}: {self.tiers}; wrong: {self.wrong[:3]}", PATIENCE)

    def _new_question(self, fact: Fact) -> str:
        return f"What is {fact.name}'s credit score? Question {next(self._numbers)}-{time.time_ns()}."

    async def _call(self) -> None:
        while self._going:
            fact = self._dice.choice(self._facts)
            ask = self._dice.choice((ask_langserve, ask_openai))
            kind = self._dice.randrange(4)
            try:
                if kind == 0:
                    said = await ask(self._client, self._new_question(fact))
                elif kind == 1:
                    said = await ask(self._client, "What is the credit score?", fact.customer_id)
                else:
                    said = await ask(self._client, f"What is {fact.name}'s credit score?")
            except (httpx.HTTPError, AssertionError) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
            else:
                self.tiers[said.tier] += 1
                if said.customer_id != fact.customer_id or fact.score not in said.text:
                    self.wrong.append(f"{fact} was answered with {said}")
            await asyncio.sleep(PAUSE)  # a steady load
