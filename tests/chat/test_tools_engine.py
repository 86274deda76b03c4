"""The engine when the model reads and searches by itself, with a scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import orjson
import pytest
from langchain_core.messages import AIMessage

from tests.chat.engine_world import EDWINA, JOHN_1, MAY_NOT_SEARCH, ROBIN, Crm, World, customer, question
from tilores_core.chat.context.quality import is_weak
from tilores_core.chat.records import render
from tilores_core.chat.tools import wording
from tilores_core.contracts import CachePolicy, MatchQuality, ModelInfo, Outcome, ToolUse, Usage
from tilores_core.errors import (
    InvalidRequestError,
    PermissionDeniedError,
    ProviderUnavailableError,
    SourceUnavailableError,
    UnsupportedParameterError,
)
from tilores_core.settings import ChatTable, RoutingTable
from tilores_core.spectrums import spectrum_of_field
from tilores_core.testing import FakeProvider
from tilores_core.testing.fake_provider import FakeCall, FakeReply
from tilores_core.testing.waiting import settle

TOOLED = ModelInfo(id="fake-1", tools=True, input_price=2.0, output_price=10.0)
PLAIN = ModelInfo(id="plain", tools=False)
NOBODY = "How many points are on her loyalty card?"  # names nobody
THEIRS = {"type": "function", "function": {"name": "transfer_call", "parameters": {"type": "object"}}}


def calls(*wanted: tuple[str, Mapping[str, Any] | str], text: str = "", usage: Usage | None = None) -> FakeReply:
    """The model asks for tools."""
    made = tuple(
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {
                "name": name,
                "arguments": given if isinstance(given, str) else orjson.dumps(given).decode(),
            },
        }
        for number, (name, given) in enumerate(wanted)
    )
    return FakeReply(text=text, tool_calls=made, finish_reason="tool_calls", usage=usage)


def world(
    *replies: Any, infos: tuple[ModelInfo, ...] = (TOOLED, PLAIN), chat: Mapping[str, Any] | None = None, **more: Any
) -> World:
    provider = FakeProvider(infos=infos)
    provider.enqueue(*replies)
    return World(provider=provider, chat=ChatTable(mode="tools", **(chat or {})), **more)


def results(call: FakeCall) -> list[str]:
    """What the tools told the model by this call."""
    return [str(message.content) for message in call.messages if message.type == "tool"]


def offered(call: FakeCall) -> list[str]:
    return [tool["function"]["name"] for tool in call.parameters.get("tools", ())]


async def outcome(here: World) -> Outcome:
    await asyncio.wait_for(here.reporter._queues[0]._queue.join(), 60)
    return here.outcomes[-1]


# --- one customer in play from the start -----------------------------------------------------------------


async def test_the_records_are_read_by_a_tool_and_not_in_the_prompt() -> None:
    async with world(calls(("customer_records", {})), "It is mark-edwina.") as here:
        answer = await here.ask()
        first, second = here.provider.asked
        assert offered(first) == ["customer_records"], "who is known need not be searched for"
        assert "mark-edwina" not in first.text
        assert 'customer="EDW_HAWTHORNE_001"' in first.system
        assert results(second) == [render(EDWINA)]
        assert answer.text == "It is mark-edwina."
        assert (answer.finish_reason, answer.tool_calls) == ("stop", ())
        assert (answer.customer.kind, answer.customer.customer_id) == ("one", EDWINA.id)


async def test_one_group_of_fields_is_enough() -> None:
    group = spectrum_of_field("city")
    async with world(calls(("customer_records", {"spectrum": group})), "Manchester.") as here:
        await here.ask(customer_id=EDWINA.id)
        first, second = here.provider.asked
        assert group in first.parameters["tools"][0]["function"]["parameters"]["properties"]["spectrum"]["enum"]
        assert "Manchester" in results(second)[0]
        assert "mark-edwina" not in results(second)[0]


async def test_usage_and_cost_are_of_all_calls() -> None:
    first = calls(("customer_records", {}), usage=Usage(input_tokens=100, output_tokens=10))
    last = FakeReply(text="Done.", usage=Usage(input_tokens=300, output_tokens=20))
    async with world(first, last) as here:
        answer = await here.ask()
        assert answer.usage == Usage(input_tokens=400, output_tokens=30)
        assert answer.cost == pytest.approx((400 * 2 + 30 * 10) / 1e6)
        told = await outcome(here)
        assert [attempt.usage.input_tokens for attempt in told.attempts] == [100, 300]
        assert [(use.name, use.error) for use in told.tools] == [("customer_records", None)]
        assert told.tools[0].seconds >= 0
        assert told.tools[0].started > 0
        assert told.customer == EDWINA
        assert "tools" in told.timings


async def test_what_was_read_of_the_customer_in_play_is_cached() -> None:
    async with world(calls(("customer_records", {})), "It is mark-edwina.") as here:
        await here.ask()
        again = await here.ask()
        assert (again.text, again.cache_tier, here.calls) == ("It is mark-edwina.", "l1", 2)
        here.crm.change(EDWINA.id, "mark-new")
        here.clock.advance(400)
        here.provider.enqueue(calls(("customer_records", {})), "It is mark-new.")
        assert (await here.ask(cache=CachePolicy(max_age=1))).text == "It is mark-new."
        assert "mark-new" in results(here.provider.asked[-1])[0]


async def test_both_modes_keep_their_answers_apart() -> None:
    async with world("By tools.") as here:
        assert (await here.ask()).text == "By tools."
        provider = FakeProvider(infos=(TOOLED,))
        provider.enqueue("Directly.")
        direct = World(provider=provider)
        direct.engine._cache = direct.engine._answers._cache = here.cache
        assert (await direct.ask()).text == "Directly."


async def test_another_customer_is_refused() -> None:
    """A tool may be called whatever the model was offered."""
    reply = calls(("find_customer", {"name": "Robin Ashdown"}), ("customer_records", {"customer_id": "C-2001"}))
    async with world(reply, "I look at one customer at a time.") as here:
        await here.ask()
        told = here.provider.asked[1].text
        assert "mark-robin" not in told
        assert "Dublin" not in told
        assert [use.error for use in (await outcome(here)).tools] == ["unknown_tool", "invalid_arguments"]


async def test_several_are_asked_about_without_a_model() -> None:
    async with world() as here:
        answer = await here.ask("What is the credit score of John Smith?")
        assert answer.customer.kind == "several"
        assert here.calls == 0


async def test_a_key_that_may_not_search_gets_no_search() -> None:
    async with world("Edwina.") as here:
        with pytest.raises(PermissionDeniedError):
            await here.ask(caller=MAY_NOT_SEARCH)
        await here.ask(caller=MAY_NOT_SEARCH, customer_id=EDWINA.id)
        assert offered(here.provider.asked[0]) == ["customer_records"]


# --- nobody in play --------------------------------------------------------------------------------------


async def test_the_first_one_found_is_in_play_and_nobody_else() -> None:
    async with world(
        calls(("find_customer", {"name": "Edwina Hawthorne"})),
        calls(("find_customer", {"name": "Robin Ashdown"}), ("find_customer", {"customer_id": EDWINA.id})),
        calls(("find_customer", {"name": "Nobody Nowhere"})),
        "Edwina has 4.",
    ) as here:
        answer = await here.ask(NOBODY)
        first, second, third, last = here.provider.asked
        assert set(offered(first)) == {"customer_records", "find_customer"}
        assert results(second) == [render(EDWINA)]
        assert results(third)[1:] == [wording.REFUSED, render(EDWINA)]
        assert results(last)[3:] == [wording.REFUSED], "nobody and somebody else are refused alike"
        assert "mark-robin" not in last.text
        assert (answer.customer.kind, answer.customer.customer_id) == ("one", EDWINA.id)
        told = await outcome(here)
        assert told.customer == EDWINA
        assert [use.error for use in told.tools] == [None, "refused", None, "refused"]


async def test_two_found_at_once_are_not_both_shown() -> None:
    async with world(
        calls(("find_customer", {"name": "Robin Ashdown"}), ("find_customer", {"name": "Edwina Hawthorne"})), "Robin."
    ) as here:
        answer = await here.ask(NOBODY)
        assert results(here.provider.asked[1]) == [render(ROBIN), wording.REFUSED]
        assert answer.customer.customer_id == ROBIN.id


async def test_of_several_only_what_tells_them_apart_is_told() -> None:
    async with world(calls(("find_customer", {"name": "John Smith"})), "Leeds or York?") as here:
        answer = await here.ask(NOBODY)
        told = here.provider.asked[1].text
        assert "1980" in told
        assert "1975" in told
        for hidden in ("mark-john", JOHN_1.id, "billing", "Leeds"):
            assert hidden not in told
        assert answer.customer.kind == "several"
        assert answer.customer.distinguished_by == ("born",)


async def test_what_the_model_searched_for_is_not_cached() -> None:
    async with world(
        calls(("find_customer", {"name": "Edwina Hawthorne"})), "One.", "Two.", "Good day.", "Hello."
    ) as here:
        assert (await here.ask(NOBODY)).text == "One."
        assert (await here.ask(NOBODY)).text == "Two."
        assert (await here.ask("Good morning!")).text == "Good day."
        assert (await here.ask("Good morning!")).text == "Hello."


async def test_a_poor_match_is_said_to_be_one() -> None:
    poor = customer("C-9", "Poor Match", "mark-poor")
    poor = type(poor)(id=poor.id, name=poor.name, records=poor.records, quality=MatchQuality(hit_score=0.1))
    assert is_weak(poor.quality)
    async with world(calls(("find_customer", {"name": "Poor Match"})), "Hm.", crm=Crm([poor])) as here:
        await here.ask(NOBODY)
        assert 'match="weak"' in results(here.provider.asked[1])[0]


# --- calls that go wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given", "error", "told"),
    [
        ("erase_everything", {}, "unknown_tool", "There is no such tool"),
        ("find_customer", "{not json", "invalid_arguments", "must be a JSON object"),
        ("find_customer", "[1]", "invalid_arguments", "must be a JSON object"),
        ("find_customer", {}, "invalid_arguments", "give at least one"),
        ("find_customer", {"email": "nonsense"}, "invalid_arguments", "email"),
        ("find_customer", {"phone": 5}, "invalid_arguments", "phone"),
        ("find_customer", {"date_of_birth": "soon"}, "invalid_arguments", "YYYY-MM-DD"),
        ("find_customer", {"shoe_size": "9"}, "invalid_arguments", "there is only"),
        ("customer_records", {"spectrum": "magic"}, "invalid_arguments", "not one of those"),
    ],
)
async def test_what_cannot_be_called_is_said_and_gone_on_from(
    name: str, given: Mapping[str, Any] | str, error: str, told: str
) -> None:
    reply = calls((name, given))
    async with world(reply, "So be it.") as here:
        # In pieces, as only so arguments come that are no JSON object.
        _, answer = await here.listen(NOBODY, customer_id=EDWINA.id if name == "customer_records" else None)
        assert answer.text == "So be it."
        assert told in results(here.provider.asked[1])[0]
        uses = (await outcome(here)).tools
        assert [use.error for use in uses] == [error]
        assert uses[0].name == ("unknown" if error == "unknown_tool" else name)


async def test_a_source_that_fails_is_told_without_its_words() -> None:
    class Failing(Crm):
        def __init__(self, error: Exception) -> None:
            super().__init__()
            self.error = error

        async def find(self, *_: Any, **__: Any) -> Any:
            raise self.error

    for error, told, code in (
        (SourceUnavailableError("secret host 10.0.0.1"), wording.AWAY, "source_unavailable"),
        (RuntimeError("password=hunter2"), wording.FAILED, "internal"),
    ):
        reply = calls(("find_customer", {"name": "Edwina Hawthorne"}))
        async with world(reply, "Sorry.", crm=Failing(error)) as here:
            assert (await here.ask("Good morning!")).text == "Sorry."
            assert results(here.provider.asked[1]) == [told]
            assert [use.error for use in (await outcome(here)).tools] == [code]


async def test_a_slow_tool_is_given_up() -> None:
    class Slow(Crm):
        async def find(self, *_: Any, **__: Any) -> Any:
            await asyncio.sleep(30)

    reply = calls(("find_customer", {"name": "Edwina Hawthorne"}))
    async with world(reply, "Sorry.", crm=Slow(), source_seconds=0.05) as here:
        await here.ask("Good morning!")
        assert results(here.provider.asked[1]) == [wording.LATE]


async def test_calls_are_made_side_by_side_and_only_so_many() -> None:
    crm = Crm()
    running = most = 0

    async def find(*_: Any, **__: Any) -> list[Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await settle()
        running -= 1
        return []

    crm.find = find  # type: ignore[method-assign]
    wanted = [("find_customer", {"name": f"Somebody Number{n}"}) for n in range(6)]
    async with world(calls(*wanted), "Nobody.", crm=crm, chat={"max_tool_calls": 3}) as here:
        await here.ask("Good morning!")
        assert most == 3
        assert results(here.provider.asked[1])[3:] == [wording.TOO_MANY] * 3
        assert [use.error for use in (await outcome(here)).tools] == [None] * 3 + ["too_many"] * 3


async def test_after_so_many_turns_it_must_answer() -> None:
    async with world(
        *[calls(("customer_records", {}))] * 2, "At last: mark-edwina.", chat={"max_tool_turns": 2}
    ) as here:
        answer = await here.ask()
        assert answer.text == "At last: mark-edwina."
        last = here.provider.asked[2]
        assert not offered(last)
        assert not results(last)
        assert "mark-edwina" in last.system


async def test_results_are_held_to_their_length() -> None:
    long = customer("C-7", "Long Story", "mark-long", **{f"field_{n}": "x" * 100 for n in range(200)})
    async with world(
        calls(("customer_records", {})), "Long.", crm=Crm([long]), chat={"tool_result_characters": 2000}
    ) as here:
        await here.ask("Tell the story.", customer_id="C-7")
        told = results(here.provider.asked[1])[0]
        assert len(told) <= 2000
        assert told.endswith("</records>")
        assert "left out for length" in told


async def test_all_results_together_fit_the_window() -> None:
    long = customer("C-7", "Long Story", "mark-long", **{f"field_{n}": "x" * 100 for n in range(200)})
    infos = (ModelInfo(id="fake-1", tools=True, context_window=4000),)
    wanted: list[tuple[str, dict[str, Any]]] = [("customer_records", {})] * 4
    async with world(calls(*wanted), "Long.", crm=Crm([long]), infos=infos) as here:
        await here.ask("Tell the story.", customer_id="C-7")
        told = results(here.provider.asked[1])
        assert sum(len(text) for text in told) < 4000 * 3 // 2
        assert told[-1] == wording.NO_ROOM


# --- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("routing", [RoutingTable(), RoutingTable(on_stream_failure="error")])
async def test_what_is_said_before_a_call_is_dropped_and_the_answer_streams(routing: RoutingTable) -> None:
    long = "The score is mark-edwina. " * 20
    async with world(calls(("customer_records", {}), text="Let me look."), long, routing=routing) as here:
        pieces, answer = await here.listen()
        assert "".join(piece.text for piece in pieces) == answer.text == long
        assert len(pieces) > 10
        assert not any(piece.tool_calls for piece in pieces)
        assert pieces[0].model == "fake:fake-1"


async def test_the_answer_goes_out_before_it_is_whole() -> None:
    heard = 0
    reached = asyncio.Event()

    async def between() -> None:
        if heard >= 1:
            reached.set()

    text = "word " * 400
    last = FakeReply(text=text, between=between)
    async with world(calls(("customer_records", {})), last) as here:
        async for _ in here.engine.stream(question()):
            heard += 1
        assert reached.is_set(), "the model was still speaking when the caller heard something"


async def test_a_long_text_before_a_call_stays_part_of_the_answer() -> None:
    before = "This will take a while, as there is much to say about it. " * 5
    for streamed in (False, True):
        async with world(calls(("customer_records", {}), text=before), "Done.") as here:
            if streamed:
                pieces, answer = await here.listen()
                assert "".join(piece.text for piece in pieces) == answer.text
            else:
                answer = await here.ask()
            assert answer.text == f"{before}\n\nDone."
        dropped = {"tool_preamble_characters": len(before)}
        async with world(calls(("customer_records", {}), text=before), "Done.", chat=dropped) as here:
            assert (await here.ask()).text == "Done."


async def test_a_filler_is_said_while_tools_are_called() -> None:
    reply = calls(("customer_records", {}))
    reply = FakeReply(tool_calls=reply.tool_calls, finish_reason="tool_calls", seconds=0.2)
    routing = RoutingTable(filler="One moment.", filler_seconds=0.05)
    async with world(reply, "Done.", routing=routing) as here:
        pieces, answer = await here.listen()
        assert pieces[0].filler
        assert "".join(piece.text for piece in pieces[1:]) == answer.text == "Done."


# --- the caller's own tools ------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_of_the_callers_tool_ends_the_answer(streamed: bool) -> None:
    async with world(
        calls(("customer_records", {})), calls(("transfer_call", {"to": "billing"}), text="Moment.")
    ) as here:
        turn: dict[str, Any] = {"parameters": {"tools": [THEIRS]}}
        if streamed:
            pieces, answer = await here.listen(**turn)
            told = [call for piece in pieces for call in piece.tool_calls]
            assert [call["function"]["name"] for call in told] == ["transfer_call"]
        else:
            answer = await here.ask(**turn)
        assert offered(here.provider.asked[0]) == ["customer_records", "transfer_call"]
        assert [call["function"]["name"] for call in answer.tool_calls] == ["transfer_call"]
        assert answer.finish_reason == "tool_calls"
        assert answer.text == "Moment."


async def test_of_a_mixed_message_ours_is_called_first() -> None:
    async with world(calls(("transfer_call", {}), ("customer_records", {})), calls(("transfer_call", {}))) as here:
        answer = await here.ask(parameters={"tools": [THEIRS]})
        assert results(here.provider.asked[1]) == [wording.LATER, render(EDWINA)]
        assert [call["function"]["name"] for call in answer.tool_calls] == ["transfer_call"]
        assert [use.name for use in (await outcome(here)).tools] == ["customer_records"]


async def test_a_name_of_ours_is_refused() -> None:
    theirs = {"type": "function", "function": {"name": "find_customer"}}
    async with world() as here:
        with pytest.raises(InvalidRequestError) as refused:
            await here.ask(parameters={"tools": [THEIRS, theirs]})
        assert refused.value.param == "tools[1].function.name"
        assert here.calls == 0


async def test_none_of_theirs_may_be_called() -> None:
    async with world("Fine.") as here:
        await here.ask(parameters={"tools": [THEIRS], "tool_choice": "none"})
        assert offered(here.provider.asked[0]) == ["customer_records"]
        assert here.provider.asked[0].parameters.get("tool_choice") != "none"


async def test_a_forced_call_of_theirs_is_passed_on() -> None:
    choice = {"type": "function", "function": {"name": "transfer_call"}}
    async with world(calls(("transfer_call", {}))) as here:
        await here.ask(parameters={"tools": [THEIRS], "tool_choice": choice})
        assert here.provider.asked[0].parameters["tool_choice"] == choice


# --- models that call no tools ---------------------------------------------------------------------------


async def test_a_model_without_tools_is_asked_directly() -> None:
    async with world("Directly.") as here:
        await here.ask(model="fake:plain")
        assert not offered(here.provider.asked[0])
        assert "mark-edwina" in here.provider.asked[0].system


def chain(*replies: Any, other: ModelInfo, fallbacks: tuple[Any, ...]) -> World:
    """`replies` of the model that is asked, and of its fallback at another provider."""
    first, second = FakeProvider(infos=(TOOLED,)), FakeProvider("other", infos=(other,))
    first.enqueue(*replies)
    second.enqueue(*fallbacks)
    return World(
        provider=first,
        providers={"fake": first, "other": second},
        fallbacks=[f"other:{other.id}"],
        chat=ChatTable(mode="tools"),
    )


def asked_of_the_other(here: World) -> list[FakeCall]:
    other = here.models.provider("other:any")
    assert isinstance(other, FakeProvider)
    return other.asked


DOWN = ProviderUnavailableError("down", provider="fake")
ELSEWHERE = ModelInfo(id="elsewhere", tools=True)


class Unlisted(FakeProvider):
    """It has a model that nobody lists, and that takes no tools."""

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> Any:
        if model == "old-1" and "tools" in parameters:
            raise UnsupportedParameterError("it takes no tools", param="tools")
        return super().chat_model(model, parameters)


async def test_an_unlisted_model_that_takes_no_tools_is_asked_directly() -> None:
    provider = Unlisted(infos=(TOOLED,), otherwise="Directly.")
    async with World(provider=provider, chat=ChatTable(mode="tools")) as here:
        assert (await here.ask(model="fake:old-1")).text == "Directly."
        assert "mark-edwina" in provider.asked[-1].system
        with pytest.raises(UnsupportedParameterError):  # the caller wants tools, and shall know
            await here.ask(model="fake:old-1", parameters={"tools": [THEIRS]})


async def test_a_call_when_none_is_offered_is_left_out() -> None:
    wanted = calls(("customer_records", {}), text="Well.")
    async with world(wanted, wanted, chat={"max_tool_turns": 1}) as here:
        answer = await here.ask()
        assert (answer.text, answer.tool_calls, answer.finish_reason) == ("Well.", (), "stop")


async def test_model_that_does_nothing_but_call_has_no_answer() -> None:
    async with world(*[calls(("customer_records", {}))] * 2, chat={"max_tool_turns": 1}) as here:
        with pytest.raises(ProviderUnavailableError, match="answers nothing"):
            await here.ask()


async def test_a_fallback_without_tools_answers_directly() -> None:
    async with chain(calls(("customer_records", {})), DOWN, other=PLAIN, fallbacks=("I stand in.",)) as here:
        answer = await here.ask()
        [last] = asked_of_the_other(here)
        assert (answer.text, answer.model) == ("I stand in.", "other:plain")
        assert not offered(last)
        assert not results(last)
        assert "mark-edwina" in last.system


async def test_a_fallback_with_tools_goes_on_from_the_results() -> None:
    find = calls(("find_customer", {"name": "Edwina Hawthorne"}))
    async with chain(find, DOWN, other=ELSEWHERE, fallbacks=("I go on.",)) as here:
        answer = await here.ask(NOBODY)
        [last] = asked_of_the_other(here)
        assert (answer.text, answer.model) == ("I go on.", "other:elsewhere")
        assert results(last) == [render(EDWINA)]
        assert set(offered(last)) == {"customer_records", "find_customer"}
        [message] = [message for message in last.messages if message.type == "ai"]
        assert not message.response_metadata, "another provider is not shown what this one keeps beside its calls"


async def test_its_own_provider_gets_a_call_back_as_it_was() -> None:
    for streamed in (False, True):
        async with world(calls(("customer_records", {}), text="Moment."), "Done.") as here:
            await (here.listen() if streamed else here.ask())
            [message] = [message for message in here.provider.asked[1].messages if message.type == "ai"]
            assert message.response_metadata["model_provider"] == "fake"
            assert message.text == "Moment."
            assert [(call["name"], call["id"]) for call in cast("AIMessage", message).tool_calls] == [
                ("customer_records", "call_0")
            ]


async def test_what_a_fallback_had_a_part_in_is_not_cached() -> None:
    async with chain(DOWN, "One.", "Two.", other=ELSEWHERE, fallbacks=(calls(("customer_records", {})),)) as here:
        assert (await here.ask()).text == "One."
        assert (await here.ask()).text == "Two."


# --- the guard -------------------------------------------------------------------------------------------


async def test_the_guard_knows_the_customer_that_was_found() -> None:
    async with world(
        calls(("find_customer", {"name": "Edwina Hawthorne"})),
        "She was born on 1962-04-12.",
        calls(("find_customer", {"name": "Edwina Hawthorne"})),
        "She was born on 1988-08-08.",
        chat={"grounding": "block"},
    ) as here:
        good = await here.ask(NOBODY)
        assert (good.text, good.ungrounded) == ("She was born on 1962-04-12.", 0)
        pieces, bad = await here.listen(NOBODY)
        assert bad.finish_reason == "content_filter"
        assert "1988" not in bad.text
        assert "1988" not in "".join(piece.text for piece in pieces)


async def test_the_guard_knows_what_was_said_of_several() -> None:
    async with world(
        calls(("find_customer", {"name": "John Smith"})),
        "Born 1980-03-04 or 1975-11-20?",
        chat={"grounding": "block"},
    ) as here:
        answer = await here.ask(NOBODY)
        assert (answer.finish_reason, answer.ungrounded) == ("stop", 0)


def test_what_is_noted_of_a_call_holds_no_arguments() -> None:
    assert set(ToolUse.__struct_fields__) == {"name", "seconds", "started", "error"}
