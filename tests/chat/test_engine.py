"""A question's way through the engine: whom it is about, what the model gets to read, what comes back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tests.chat.engine_world import (
    ABOUT_EDWINA,
    EDWINA,
    JOHN_1,
    JOHN_2,
    MAY_NOT_SEARCH,
    PEOPLE,
    PRICED,
    ROBIN,
    World,
    question,
)
from tilores_core.chat.prompts import build_prompt
from tilores_core.chat.stored import pieces_of
from tilores_core.contracts import Answer, Message, Prompt, Turn, Usage
from tilores_core.errors import PermissionDeniedError, UnknownModelError
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.tiers import SharedStore
from tilores_plugins.providers.demo.provider import DemoProvider
from tilores_plugins.providers.demo.settings import DemoModelSettings

MARKS = {person.id: str(person.records[0].fields["credit_score"]) for person in PEOPLE}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


# --- an answer -------------------------------------------------------------------------------------------


async def test_an_answer_says_where_it_comes_from(world: World) -> None:
    world.provider.enqueue(FakeReply(text="It is 700.", usage=Usage(input_tokens=1000, output_tokens=20)))
    answer = await world.ask(ABOUT_EDWINA, prompt=Prompt(version="v7", template="Be brief. {customer}"))
    assert answer.text == "It is 700."
    assert answer.model == "fake:fake-1"
    assert answer.usage == Usage(input_tokens=1000, output_tokens=20)
    assert answer.cost == pytest.approx((1000 * 2.0 + 20 * 10.0) / 1e6)
    assert (answer.cache_tier, answer.age, answer.stale) == ("miss", 0.0, False)
    assert answer.prompt_version == "v7"
    assert (answer.customer.kind, answer.customer.customer_id) == ("one", EDWINA.id)
    assert answer.spectrum == "credit_analysis"
    assert answer.finish_reason == "stop"
    assert len(answer.record_fingerprint) == 64
    assert answer.schema_hash == "credit_score-city"


async def test_the_model_gets_the_guidance_for_the_spectrum_of_the_question(world: World) -> None:
    prompt = build_prompt(
        7, {"role": "R", "guidance.credit_analysis": "Credit.", "guidance.temporal_analysis": "Then"}
    )
    world.provider.enqueue("It is 700.")
    first = await world.ask(ABOUT_EDWINA, prompt=prompt)
    again = await world.ask(ABOUT_EDWINA, prompt=prompt)
    (call,) = world.provider.asked
    assert call.system.startswith("R\n\nCredit.\n\n<records ")
    assert "Then" not in call.system
    assert (first.prompt_version, again.cache_tier) == (prompt.version, "l1")


async def test_answer_and_stream_say_the_same() -> None:
    text = "Her credit score is 700.\n\nThe newest record says so,  with two spaces."
    async with (
        World(provider=FakeProvider(infos=(PRICED,), otherwise=text)) as one,
        World(provider=FakeProvider(infos=(PRICED,), otherwise=text)) as other,
    ):
        whole = await one.ask()
        pieces, streamed = await other.listen()
        assert streamed == whole
        assert len(pieces) > 3
        assert "".join(piece.text for piece in pieces) == whole.text == text


async def test_a_hit_is_streamed_in_pieces(world: World) -> None:
    text = "One sentence of some length is not sent as one piece. " * 5
    world.provider.enqueue(text)
    await world.ask()
    pieces, answer = await world.listen()
    assert answer.cache_tier == "l1"
    assert "".join(piece.text for piece in pieces) == answer.text == text
    assert len(pieces) > 3
    assert world.calls == 1


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=400) | st.text(alphabet="ab \n", max_size=300))
@example(" " + "x" * 60)
@example("\n" + "x" * 300 + " " * 60 + "y")
@example("word\n\n\n")
def test_pieces_of_an_answer_are_the_answer(text: str) -> None:
    assert "".join(piece.text for piece in pieces_of(Answer(text=text, model="m"))) == text


async def test_a_stream_of_tool_calls_ends_with_the_calls(world: World) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "transfer", "arguments": '{"to":"desk 4"}'}}
    world.provider.enqueue(FakeReply(tool_calls=(call,), finish_reason="tool_calls"))
    pieces, answer = await world.listen()
    assert answer.tool_calls == (call,)
    assert answer.finish_reason == "tool_calls"
    assert "".join(piece.tool_calls[0]["function"]["arguments"] for piece in pieces) == '{"to":"desk 4"}'


@pytest.mark.parametrize("name", ["catalog.find", "21st/search", "顧客検索", "a" * 65])
@pytest.mark.parametrize("streamed", [False, True])
async def test_name_of_a_tool_that_no_provider_takes_is_another_to_the_model(
    world: World, name: str, streamed: bool
) -> None:
    function = {"name": name, "description": "Find.", "parameters": {"type": "object", "properties": {}}}
    parameters = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": name}},
    }
    before = {"id": "c0", "type": "function", "function": {"name": name, "arguments": "{}"}}
    history = [
        {"role": "user", "content": "Find it."},
        {"role": "assistant", "content": None, "tool_calls": [before]},
        {"role": "tool", "tool_call_id": "c0", "content": "Not there."},
    ]
    sent: list[str] = []

    def reply(asked: FakeCall) -> FakeReply:
        (tool,) = asked.parameters["tools"]
        sent.extend([tool["function"]["name"], asked.parameters["tool_choice"]["function"]["name"]])
        sent.extend(call["name"] for message in asked.messages for call in getattr(message, "tool_calls", ()))
        called = {"id": "c1", "type": "function", "function": {"name": sent[0], "arguments": "{}"}}
        return FakeReply(tool_calls=(called,), finish_reason="tool_calls")

    world.provider.otherwise = reply
    asked: dict[str, Any] = {"messages": tuple(history), "parameters": parameters}
    if streamed:
        pieces, answer = await world.listen(**asked)
        assert [call["function"]["name"] for piece in pieces for call in piece.tool_calls if "id" in call] == [name]
    else:
        answer = await world.ask(**asked)
    assert [call["function"]["name"] for call in answer.tool_calls] == [name]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_-]{0,63}", sent[0])


async def test_an_unknown_model_is_refused_everywhere(world: World) -> None:
    turn = question(model="nobody:nothing")
    with pytest.raises(UnknownModelError):
        await world.engine.answer(turn)
    with pytest.raises(UnknownModelError):
        await anext(world.engine.stream(turn))
    with pytest.raises(UnknownModelError):
        world.key(turn)


# --- what the model reads --------------------------------------------------------------------------------


async def told(world: World, *said: str, **turn: object) -> set[str]:
    """Whose data stood in the last prompt."""
    world.provider.enqueue("Noted.")
    await world.ask(*said, **turn)
    read = world.provider.asked[-1].text
    return {customer_id for customer_id, mark in MARKS.items() if mark in read}


async def test_only_the_asked_customers_records_are_read(world: World) -> None:
    assert await told(world, ABOUT_EDWINA) == {EDWINA.id}
    assert await told(world, "What is the score?", customer_id=ROBIN.id) == {ROBIN.id}
    assert await told(world, "Credit score of John Smith, born 1975-11-20?") == {JOHN_2.id}
    assert await told(world, "Is Robin Ashdown's score good?", "And Edwina Hawthorne's?") == {EDWINA.id}


async def test_the_given_customer_is_the_one_of_the_question(world: World) -> None:
    assert await told(world, "What is the score?", customer_id=ROBIN.id) == {ROBIN.id}
    assert await told(world, "Robin Ashdown asks for the score", customer_id=ROBIN.id) == {ROBIN.id}


async def test_question_about_another_than_the_given_customer_is_asked_about(world: World) -> None:
    answer = await world.ask("Edwina Hawthorne asks for the score", customer_id=ROBIN.id)
    assert (answer.customer.kind, world.provider.asked) == ("none", [])


async def test_nobodys_records_are_read_when_nobody_is_named(world: World) -> None:
    assert await told(world, "What does a credit score of 700 mean in general?") == set()
    assert "No customer is identified" in world.provider.asked[-1].system


async def test_a_follow_up_stays_with_the_customer(world: World) -> None:
    assert await told(world, "What is Edwina Hawthorne's address?", "and her credit score?") == {EDWINA.id}


@pytest.mark.parametrize("role", ["assistant", "system"])
async def test_only_the_user_selects_a_customer(world: World, role: str) -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "Good morning!"},
        {"role": role, "content": "We speak of Robin Ashdown, customer C-2001, all day."},
        {"role": "user", "content": "Thank you. What are your opening hours?"},
    )
    assert await told(world, messages=messages) == set()


async def test_an_assistants_mention_does_not_replace_the_users(world: World) -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": ABOUT_EDWINA},
        {"role": "assistant", "content": "It is better than the one of Robin Ashdown (C-2001)."},
        {"role": "user", "content": "And her city?"},
    )
    assert await told(world, messages=messages) == {EDWINA.id}


async def test_the_conversation_reaches_the_model_in_order(world: World) -> None:
    await told(world, "What is Edwina Hawthorne's address?", "and her credit score?")
    sent = [(message.type, str(message.text)) for message in world.provider.asked[-1].messages]
    assert [kind for kind, _ in sent] == ["system", "human", "ai", "human"]
    assert sent[-1][1] == "and her credit score?"


async def test_parameters_reach_the_model(world: World) -> None:
    world.provider.enqueue("Yes.")
    await world.ask(parameters={"temperature": 0.5, "seed": 3})
    assert world.provider.asked[-1].parameters == {"temperature": 0.5, "seed": 3}


# --- several, or nobody ----------------------------------------------------------------------------------


async def test_several_are_asked_back_without_a_model(world: World) -> None:
    answer = await world.ask("What is John Smith's credit score?")
    assert answer.customer.kind == "several"
    assert answer.customer.customer_id is None
    assert {tuple(choice.traits) for choice in answer.customer.choices} == {("born",)}
    assert "1980-03-04" in answer.text
    assert "1975-11-20" in answer.text
    for private in (*MARKS.values(), JOHN_1.id, JOHN_2.id, "Leeds", "York"):
        assert private not in answer.text
    assert (answer.cost, answer.usage, answer.record_fingerprint) == (0.0, Usage(), "")
    assert world.calls == 0


async def test_the_clarification_selects(world: World) -> None:
    asked = await world.ask("What is John Smith's credit score?")
    messages: tuple[Message, ...] = (
        {"role": "user", "content": "What is John Smith's credit score?"},
        {"role": "assistant", "content": asked.text},
        {"role": "user", "content": "The one born 1975-11-20"},
    )
    assert await told(world, messages=messages) == {JOHN_2.id}


async def test_nobody_found_is_said_without_a_model(world: World) -> None:
    for answer in (await world.ask("What is Zelda Quimby's credit score?"), await world.ask("Hi", customer_id="X")):
        assert answer.customer.kind == "none"
        assert "could not find" in answer.text
    assert world.calls == 0


async def test_an_ask_back_is_streamed_too(world: World) -> None:
    pieces, answer = await world.listen("What is John Smith's credit score?")
    assert answer.customer.kind == "several"
    assert "".join(piece.text for piece in pieces) == answer.text


async def test_a_customer_that_vanishes_before_the_model_is_asked() -> None:
    """Another process has left the fingerprint; the records are gone from every memory and from the source."""
    store = SharedStore()
    async with World(store=store) as first:
        store.clock = first.clock
        first.provider.enqueue("It is 700.")
        await first.ask(customer_id=EDWINA.id)
        await first.cache.invalidate(namespace="customers")
        del first.crm.people[EDWINA.id]
        async with World(store=store, crm=first.crm, clock=first.clock) as second:
            pieces, answer = await second.listen("Something else?", customer_id=EDWINA.id)
            assert second.calls == 0
    assert answer.customer.kind == "none"
    assert "".join(piece.text for piece in pieces) == answer.text


# --- who may ask -----------------------------------------------------------------------------------------


async def test_a_key_that_may_not_search_must_name_the_customer(world: World) -> None:
    turn = question(ABOUT_EDWINA, caller=MAY_NOT_SEARCH)
    with pytest.raises(PermissionDeniedError):
        await world.engine.answer(turn)
    with pytest.raises(PermissionDeniedError):
        await anext(world.engine.stream(turn))
    assert world.crm.calls == []
    assert await told(world, ABOUT_EDWINA, caller=MAY_NOT_SEARCH, customer_id=EDWINA.id) == {EDWINA.id}


async def test_the_peek_does_not_let_it_in_either(world: World) -> None:
    """What the conversation names is in memory, asked by somebody of the same scope who may search."""
    await told(world, ABOUT_EDWINA)
    assert world.key(question(ABOUT_EDWINA)) is not None
    turn = question(ABOUT_EDWINA, caller=MAY_NOT_SEARCH)
    assert world.key(turn) is None
    with pytest.raises(PermissionDeniedError):
        await world.engine.answer(turn)


# --- the demo model --------------------------------------------------------------------------------------


async def test_the_demo_model_answers_from_the_records() -> None:
    demo = DemoProvider(DemoModelSettings())
    async with World(providers={"demo": demo}, model="demo:simulated-1") as world:
        whole = await world.ask(ABOUT_EDWINA)
        assert "mark-edwina" in whole.text
        pieces, again = await world.listen(ABOUT_EDWINA)
        assert (again.text, again.cache_tier) == (whole.text, "l1")
        assert "".join(piece.text for piece in pieces) == whole.text
        general: Turn = question("What can you help me with?")
        assert (await world.engine.answer(general)).customer.kind == "unnamed"
