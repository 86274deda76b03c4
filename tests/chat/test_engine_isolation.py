"""Nobody gets another's answer: random interleavings of customers, namesakes, scopes, permissions and replicas.

The model says back everything that it was sent, and every record holds its customer's id and version. So whatever
reaches a caller shows whose data it was made from, however it came: from the model, a shared call or a cache.
"""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from tests.chat.engine_world import PRICED, Crm, World, collect, customer, question, table
from tilores_core.chat.turn_context import KeyMemo
from tilores_core.contracts import Answer, CachePolicy, Caller, Customer, Turn
from tilores_core.errors import PermissionDeniedError, TiloresError
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import Clock, settle

NAMES = {
    "C-1": ("John Smith", "1980-03-04"),
    "C-2": ("John Smith", "1975-11-20"),
    "C-3": ("Joan Smith", "1980-03-04"),
    "C-4": ("Edwina Hawthorne", "1962-04-12"),
}
SCOPES = ["desk", "back office"]
POLICIES = [
    CachePolicy(),
    CachePolicy(),
    CachePolicy(max_age=20),
    CachePolicy(no_cache=True),
    CachePolicy(no_store=True),
]
CALL = re.compile(r"call (\d+):")


def person(customer_id: str, version: int) -> Customer:
    name, born = NAMES[customer_id]
    made = customer(customer_id, name, f"({customer_id} version {version})", born=born)
    return replace(made, traits={"born": born})


def marks(text: str) -> set[tuple[str, int]]:
    return {(found[1], int(found[2])) for found in re.finditer(r"\((C-\d) version (\d+)\)", text)}


def asked_for(ask: dict[str, Any]) -> tuple[Turn, set[str]]:
    """The turn, and whose data may be in its answer."""
    who, how = ask["who"], ask["how"]
    name, born = NAMES[who]
    given: dict[str, Any] = {
        "caller": Caller(name="key", scope=ask["scope"], search=ask["search"]),
        "cache": POLICIES[ask["policy"]],
    }
    if how == "id":
        return question("What is the credit score?", customer_id=who, **given), {who}
    if how == "id and another's name":  # which is asked back
        asked_about = {who} if name == "Edwina Hawthorne" else set()
        return question("What is Edwina Hawthorne's credit score?", customer_id=who, **given), asked_about
    if how == "name":
        alone = name != "John Smith"
        return question(f"What is {name}'s credit score?", **given), {who} if alone else set()
    if how == "name and date":
        return question(f"What is the credit score of {name}, born {born}?", **given), {who}
    if how == "follow-up":
        said = (f"Where does {name}, born {born}, live?", "and the credit score?")
        return question(*said, **given), {who}
    return question("What is a good credit score in general?", **given), set()


asks = st.fixed_dictionaries(
    {
        "replica": st.integers(0, 1),
        "who": st.sampled_from(sorted(NAMES)),
        "how": st.sampled_from(["id", "id", "id and another's name", "name", "name and date", "follow-up", "nobody"]),
        "scope": st.sampled_from(SCOPES),
        "search": st.sampled_from([True, True, True, False]),
        "policy": st.integers(0, len(POLICIES) - 1),
        "way": st.sampled_from(["answer", "stream", "peek", "peek", "recall"]),
        "leaves": st.sampled_from([None, None, None, 1, 5, 12]),
    }
)
steps = st.lists(
    st.one_of(
        st.lists(asks, min_size=1, max_size=8),
        st.tuples(st.just("change"), st.sampled_from(sorted(NAMES))),
        st.tuples(st.just("wait"), st.sampled_from([1, 15, 60, 200])),
        st.tuples(st.just("forget"), st.sampled_from(["answers", "fingerprints", "customers", "mentions"])),
    ),
    min_size=3,
    max_size=10,
)


class Replicas:
    """Two engines over one store, one source and one model."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.version = dict.fromkeys(NAMES, 0)
        self.settled = dict.fromkeys(NAMES, 0)
        self.calls = 0
        self.recalls: dict[object, KeyMemo] = {}
        self.seen: dict[str, set[str]] = {scope: set() for scope in SCOPES}
        self.clock = Clock()
        store = SharedStore(self.clock)
        crm = Crm([person(customer_id, 0) for customer_id in NAMES])
        self.crm = crm
        shared = self.random.random() < 0.5
        self.worlds = [
            World(
                provider=FakeProvider(infos=(PRICED,), otherwise=self.reply),
                crm=crm,
                clock=self.clock,
                store=store,
                entries=self.random.choice([3, 12, 1000]),
                customers=table(30),
                answers=table(100, stale=50),
                single_flight_replicas=shared,
                lease_seconds=60.0,
            )
            for _ in range(2)
        ]

    def reply(self, call: FakeCall) -> FakeReply:
        self.calls += 1
        pauses = self.random.randrange(4)

        async def pause() -> None:
            for _ in range(pauses):
                await asyncio.sleep(0)

        return FakeReply(text=f"call {self.calls}: {call.text}", between=pause)

    async def change(self, customer_id: str) -> None:
        self.version[customer_id] += 1
        self.crm.people[customer_id] = person(customer_id, self.version[customer_id])
        await self.worlds[0].cache.invalidate(tags=[f"customer:{customer_id}"])
        await settle()
        self.settled[customer_id] = self.version[customer_id]

    async def ask(self, ask: dict[str, Any]) -> None:
        world = self.worlds[ask["replica"]]
        turn, allowed = asked_for(ask)
        at_least = dict(self.settled)
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        text, answer = await self.get(world, turn, ask["way"])
        may_ask = turn.caller.search or turn.customer_id is not None
        assert may_ask == (answer is not PermissionDeniedError)
        found = marks(text)
        assert {customer_id for customer_id, _ in found} == (allowed if may_ask else set()), (ask, answer)
        for customer_id, version in found:
            assert version >= at_least[customer_id], "records from before an invalidation"
        if isinstance(answer, Answer):
            assert {answer.customer.customer_id} - {None} == allowed
            self.seen[ask["scope"]] |= set(CALL.findall(answer.text))

    async def get(self, world: World, turn: Turn, way: str) -> tuple[str, Answer | type[Exception] | None]:
        """Everything that reaches the caller."""
        try:
            if way == "peek":
                key = world.key(turn, self.recall_of(world, turn))
                hit = world.peek(turn, key) if key is not None else None
                if hit is not None:
                    return hit.value.decode(), None
            if way == "recall":
                found = await world.find_stored(turn, self.recall_of(world, turn))
                if found is not None:
                    return found[1].value.decode(), None
            if way == "stream":
                pieces, answer = await collect(world.engine, turn)
                assert "".join(piece.text for piece in pieces) == answer.text
            else:
                answer = await world.engine.answer(turn)
        except TiloresError as error:
            return str(error), type(error)
        return answer.text, answer

    def recall_of(self, world: World, turn: Turn) -> KeyMemo:
        """One for all who send the same, whoever they are, as a server that remembers decoded requests has it."""
        sent = (id(world), str(turn.messages), turn.customer_id)
        return self.recalls.setdefault(sent, KeyMemo())

    async def step(self, batch: Any) -> None:
        if isinstance(batch, list):
            asking = [(ask, asyncio.create_task(self.ask(ask))) for ask in batch]
            leaving = [asyncio.create_task(self.leave(task, ask["leaves"])) for ask, task in asking if ask["leaves"]]
            await asyncio.wait({*leaving, *(task for _, task in asking)})
            for _, task in asking:
                if not task.cancelled():
                    task.result()
            return
        what, which = batch
        if what == "change":
            await self.change(which)
        elif what == "wait":
            self.clock.advance(which)
        else:
            await self.worlds[1].cache.invalidate(namespace=which)

    async def leave(self, task: asyncio.Task[None], after: int) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, seed=st.integers(0, 2**16))
def test_nobody_gets_anothers_answer(steps: list[Any], seed: int) -> None:
    asyncio.run(_live(steps, seed))


async def _live(steps: list[Any], seed: int) -> None:
    replicas = Replicas(seed)
    async with replicas.worlds[0], replicas.worlds[1]:
        for step in steps:
            await replicas.step(step)
        for customer_id in sorted(NAMES):  # and once more in order, from whatever the caches hold now
            for replica in (0, 1):
                await replicas.ask(
                    {
                        "replica": replica,
                        "who": customer_id,
                        "how": "name and date",
                        "scope": SCOPES[0],
                        "search": True,
                        "policy": 0,
                        "way": "answer",
                    }
                )
    assert not replicas.seen[SCOPES[0]] & replicas.seen[SCOPES[1]], "two scopes saw one call"
