"""Questions whose customer is not found: the fixed text, or the model that is told so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chat.engine_world import EDWINA, PEOPLE, World, question
from tilores_core.chat.prompts import NONE_FITS
from tilores_core.contracts import Answer, ModelInfo
from tilores_core.settings import ChatTable
from tilores_core.testing import FakeProvider

TOOLS = {"tools": [{"type": "function", "function": {"name": "book_call", "parameters": {"type": "object"}}}]}
UNKNOWN = "What is Quentin Abernathy's credit score?"
SEVERAL = "What is John Smith's credit score?"
REPLY = "That is all I can say."
MARKS = tuple(str(person.records[0].fields["credit_score"]) for person in PEOPLE)


def told(world: World, call: int = 0) -> str:
    """The system message of a call."""
    return world.provider.asked[call].system


def provider(*replies: Any) -> FakeProvider:
    made = FakeProvider(infos=(ModelInfo(id="fake-1", tools=True),), otherwise=REPLY)
    made.enqueue(*replies)
    return made


async def ask(world: World, text: str, *, streamed: bool = False, **turn: Any) -> Answer:
    return (await world.listen(text, **turn))[1] if streamed else await world.ask(text, **turn)


@pytest.mark.parametrize(
    ("setting", "plain", "agent"), [("refuse", 0, 0), ("agents", 0, 1), ("model", 1, 1), (None, 0, 1)]
)
async def test_setting_decides_what_answers_without_a_customer(setting: Any, plain: int, agent: int) -> None:
    chat = ChatTable() if setting is None else ChatTable(without_customer=setting)
    async with World(provider=provider(), chat=chat) as world:
        for text in (UNKNOWN, SEVERAL):
            for parameters, calls in (({}, plain), (TOOLS, agent)):
                before = world.calls
                answer = await ask(world, text, parameters=parameters)
                assert answer.customer.kind == ("none" if text is UNKNOWN else "several")
                assert world.calls - before == calls


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("mode", ["direct", "tools"])
async def test_agent_s_model_is_told_the_outcome_and_no_records(mode: Any, streamed: bool) -> None:
    fake = provider("I found nobody of that name.", "Is it the one born in 1980 or in 1975?")
    async with World(provider=fake, chat=ChatTable(mode=mode)) as world:
        none = await ask(world, UNKNOWN, streamed=streamed, parameters=TOOLS)
        several = await ask(world, SEVERAL, streamed=streamed, parameters=TOOLS)
        assert (none.text, none.customer.kind) == ("I found nobody of that name.", "none")
        assert (several.text, several.customer.kind) == ("Is it the one born in 1980 or in 1975?", "several")
        assert NONE_FITS in told(world)
        assert "Several customers fit" in told(world, 1)
        assert "born 1980-03-04; or born 1975-11-20?" in told(world, 1)
        assert not any(mark in told(world, call) for call in (0, 1) for mark in MARKS)
        names = [[tool["function"]["name"] for tool in call.parameters["tools"]] for call in fake.asked]
        assert names == [["book_call"], ["book_call"]]


async def test_model_s_answer_without_a_customer_is_not_cached_nor_shared() -> None:
    async with World(provider=provider()) as world:
        for _ in range(2):
            answer = await ask(world, UNKNOWN, parameters=TOOLS)
            assert answer.cache_tier == "miss"
        assert world.calls == 2
        world.crm.people["new"] = type(EDWINA)(id="new", name="Quentin Abernathy", records=EDWINA.records)
        world.clock.advance(3600)
        assert (await ask(world, UNKNOWN, parameters=TOOLS)).customer.customer_id == "new"


async def test_customer_that_is_gone_before_the_records_are_read_is_told_to_the_agent_s_model() -> None:
    async with World(provider=provider()) as world:
        turn = question("And the city?", customer_id=EDWINA.id, parameters=TOOLS)
        match = replace(await world.engine.find_customer(turn), records=None)
        del world.crm.people[EDWINA.id]
        world.lookup._records.clear()
        await world.cache.clear()
        context = world.context(turn)
        context.match = match
        answer, reusable = await world.engine._generator.generate(context, None)
        assert (answer.text, answer.customer.kind, reusable) == (REPLY, "none", False)
        assert NONE_FITS in told(world)
