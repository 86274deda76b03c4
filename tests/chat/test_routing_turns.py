"""Turns through the engine: which models are asked and how often, what is heard and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import structlog.testing

from tests.chat.engine_world import PRICED, World, collect, question
from tilores_core.chat.routing.fallback_chain import CONTINUE
from tilores_core.contracts import Answer, Attempt, CachePolicy, Delta, Message, ModelInfo, Usage
from tilores_core.errors import (
    ConfigError,
    ContextTooLongError,
    DeadlineExceededError,
    InvalidRequestError,
    OverloadedError,
    ProviderAuthError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    UnsupportedParameterError,
)
from tilores_core.settings import RoutingTable
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.waiting import eventually, settle

INFO = ModelInfo(id="m", input_price=1.0, output_price=1.0, context_window=1000)
LARGE = ModelInfo(id="large", context_window=50_000, vision=True)
SIX = Usage(input_tokens=2, output_tokens=4)

both_ways = pytest.mark.parametrize("streamed", [False, True])


class Two(World):
    """`one:m` is the default, `two:m` is its fallback."""

    def __init__(self, fallbacks: tuple[str, ...] = ("two:m",), **routing: Any) -> None:
        self.one, self.two = (FakeProvider(name, (INFO, LARGE)) for name in ("one", "two"))
        super().__init__(
            providers={"one": self.one, "two": self.two},
            model="one:m",
            fallbacks=fallbacks,
            routing=RoutingTable(
                **{"backoff_seconds": 0.0, "first_token_seconds": 0.2, "stall_seconds": 0.2, **routing}
            ),
        )

    @property
    def tried(self) -> tuple[int, int]:
        return len(self.one.asked), len(self.two.asked)

    async def get(self, streamed: bool, **turn: Any) -> Answer:
        return (await self.listen(**turn))[1] if streamed else await self.ask(**turn)

    async def attempts(self) -> tuple[Attempt, ...]:
        await eventually(lambda: self.outcomes)
        return self.outcomes[-1].attempts


@asynccontextmanager
async def two(**routing: Any) -> AsyncIterator[Two]:
    async with Two(**routing) as world:
        yield world


def down(name: str = "one") -> ProviderUnavailableError:
    return ProviderUnavailableError(f"{name} is down", provider=name)


def timed_out() -> ProviderUnavailableError:
    error = down()
    error.__cause__ = TimeoutError()
    return error


# --- the same model again --------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (down(), 2),
        (timed_out(), 1),
        (ProviderError("odd", provider="one"), 1),
        (ProviderAuthError("no key", provider="one"), 1),
        (ProviderRateLimitedError("slow", provider="one"), 2),
        (ProviderRateLimitedError("slow", provider="one", retry_after=0.01), 3),
        (ProviderRateLimitedError("slow", provider="one", retry_after=9.0), 1),
    ],
    ids=["5xx", "timed-out", "odd", "key", "429", "429-soon", "429-later"],
)
async def test_how_often_one_model_is_asked(error: Exception, calls: int, streamed: bool) -> None:
    async with two(breaker_failures=10) as world:
        world.one.otherwise = error
        world.two.enqueue("from two")
        assert (await world.get(streamed)).text == "from two"
        assert world.tried == (calls, 1)


@both_ways
async def test_one_provider_gets_three_calls_whatever_its_models(streamed: bool) -> None:
    async with two(fallbacks=("one:b", "one:c", "one:d", "two:m"), breaker_failures=10) as world:
        world.one.otherwise = down()
        world.two.enqueue("from two")
        assert (await world.get(streamed)).text == "from two"
        assert [call.model for call in world.one.asked] == ["m", "m", "b"]


@both_ways
async def test_the_addresses_of_one_provider_are_counted_apart(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upstream(_: FakeProvider, model: str) -> str:
        return model[0]

    monkeypatch.setattr(FakeProvider, "upstream", upstream, raising=False)
    async with two(fallbacks=("one:a2", "one:b1", "two:m"), breaker_failures=10, max_concurrent=1) as world:
        world.one.otherwise = lambda call: "from b" if call.model == "b1" else down()
        assert (await world.get(streamed, model="one:a1")).text == "from b"
        assert [call.model for call in world.one.asked] == ["a1", "a1", "a2", "b1"]


@pytest.mark.parametrize(("longest", "texts"), [(0.01, "from two"), (1.0, "from one")])
async def test_wait_that_a_provider_asks_for_is_kept_up_to_the_settings(longest: float, texts: str) -> None:
    async with two(retry_after_seconds=longest) as world:
        world.one.enqueue(ProviderRateLimitedError("slow", provider="one", retry_after=0.05), "from one")
        world.two.enqueue("from two")
        assert (await world.ask()).text == texts


async def test_pause_within_an_answer_ends_the_call_after_the_stall_seconds() -> None:
    async with two(stall_seconds=0.05) as world:
        gone_quiet = asyncio.Event()
        world.one.enqueue(FakeReply(pieces=("It is ", "40 "), between=gone_quiet.wait))
        world.two.enqueue("dollars.")
        async with asyncio.timeout(60):
            _, answer = await world.listen()
        assert answer.model == "two:m"


async def test_pause_before_a_failed_call_is_retried_is_that_of_the_settings() -> None:
    async with two(fallbacks=(), backoff_seconds=1e9) as world:
        world.one.enqueue(ProviderRateLimitedError("slow", provider="one", retry_after=0.01), "here")
        with pytest.raises(DeadlineExceededError):
            await world.ask(deadline=asyncio.get_running_loop().time() + 1.0)


async def test_without_another_model_a_wait_may_be_longer() -> None:
    async with two(fallbacks=(), retry_after_seconds=0.0) as world:
        world.one.enqueue(ProviderRateLimitedError("slow", provider="one", retry_after=0.05), "here")
        assert (await world.ask()).text == "here"


async def test_all_that_is_tried_is_told_and_only_the_answer_is_billed() -> None:
    async with two() as world:
        world.one.enqueue(down(), down())
        world.two.enqueue(FakeReply(text="from two", usage=SIX))
        _, answer = await world.listen()
        assert (answer.model, answer.usage, answer.cost) == ("two:m", SIX, pytest.approx(6e-6))  # type: ignore[comparison-overlap]
        first, second, third = await world.attempts()
        assert [attempt.model for attempt in (first, second, third)] == ["one:m", "one:m", "two:m"]
        assert [attempt.error for attempt in (first, second, third)] == ["provider_unavailable"] * 2 + [None]
        assert (first.cost, second.cost, third.cost) == (0.0, 0.0, pytest.approx(6e-6))  # type: ignore[comparison-overlap]
        assert (first.usage, third.usage) == (Usage(), SIX)
        assert 0 <= first.started <= second.started <= third.started
        assert first.first_token is None
        assert third.first_token is not None
        assert 0 <= third.first_token <= third.seconds
        assert world.outcomes[-1].started_at > 1e9


# --- time ------------------------------------------------------------------------------------------------


@both_ways
async def test_a_silent_model_is_left_for_another(streamed: bool) -> None:
    async with two() as world:
        world.one.enqueue(FakeReply(text="too late", until=asyncio.Event()))
        world.two.enqueue("from two")
        assert (await world.get(streamed)).text == "from two"
        assert (world.tried, world.one.running, world.one.cancelled) == ((1, 1), 0, 1)
        assert (await world.attempts())[0].error == "silent_model"


async def test_the_last_model_may_take_its_time() -> None:
    async with two(fallbacks=(), first_token_seconds=0.01) as world:
        world.one.enqueue(FakeReply(text="late but there", seconds=0.1))
        assert (await world.ask()).text == "late but there"
        world.one.enqueue(FakeReply(text="late too.", seconds=0.1))
        assert (await world.listen("Who?"))[1].text == "late too."


@both_ways
async def test_the_turns_end_is_the_end(streamed: bool, pass_time: Callable[[float], None]) -> None:
    async with two() as world:
        world.one.enqueue(FakeReply(until=asyncio.Event()))
        world.two.enqueue(FakeReply(until=asyncio.Event()))
        deadline = asyncio.get_running_loop().time() + 100
        asking = asyncio.ensure_future(world.get(streamed, deadline=deadline))
        await eventually(lambda: world.one.running)
        pass_time(60)  # half of what was left for the first, the rest for the second
        await eventually(lambda: world.two.running)
        assert not asking.done()
        pass_time(60)
        with pytest.raises(DeadlineExceededError):
            await asking
        assert world.tried == (1, 1)
        assert (world.one.running, world.two.running) == (0, 0)


async def test_thinking_is_no_silence(pass_time: Callable[[float], None]) -> None:
    async with two(stall_seconds=30.0) as world:

        async def slowly() -> None:
            pass_time(10.0)  # four of them are longer than the limit, each is far below it
            await settle()

        world.one.enqueue(FakeReply(pieces=("One ", "two ", "three ", "four."), between=slowly))
        assert (await world.ask()).model == "one:m"


# --- the breaker -----------------------------------------------------------------------------------------


async def test_a_model_that_is_down_is_passed_over() -> None:
    async with two(breaker_failures=3) as world:
        world.one.otherwise = down()
        world.two.otherwise = "from two"
        for number in range(10):
            assert (await world.ask(f"Question {number}?")).model == "two:m"
        assert len(world.one.asked) == 3
        assert world.engine.routes()["one:m"]["breaker"] == "open"
        assert world.engine.routes()["two:m"]["breaker"] == "closed"
        world.one.otherwise = "another of the provider's"
        assert (await world.ask("Else?", model="one:large")).model == "one:large"


async def test_a_refused_key_opens_it_at_once() -> None:
    async with two() as world:
        world.one.otherwise = ProviderAuthError("no key", provider="one")
        world.two.otherwise = "from two"
        for number in range(3):
            await world.ask(f"Question {number}?")
        assert len(world.one.asked) == 1


async def test_a_key_that_is_missing_here_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_key(*_: object) -> Any:
        raise ProviderAuthError("there is no key", provider="one", fix="set ONE_KEY")

    async with two() as world:
        monkeypatch.setattr(world.one, "chat_model", no_key)
        world.two.otherwise = "from two"
        for number in range(4):
            assert (await world.ask(f"Question {number}?")).model == "two:m"
        assert world.engine.routes()["one:m"]["breaker"] == "closed"


async def test_a_request_at_fault_does_not_count() -> None:
    async with two(breaker_failures=1) as world:
        world.one.otherwise = InvalidRequestError("wrong", param="messages")
        for number in range(3):
            with pytest.raises(InvalidRequestError):
                await world.ask(f"Question {number}?")
        assert world.engine.routes()["one:m"]["breaker"] == "closed"


async def test_when_all_are_down_each_is_tried_once() -> None:
    async with two(breaker_failures=1) as world:
        world.one.otherwise, world.two.otherwise = down("one"), down("two")
        with pytest.raises(ProviderUnavailableError):
            await world.ask("One?")
        before = world.tried
        with pytest.raises(ProviderUnavailableError, match="one is down"):
            await world.ask("Two?")
        assert world.tried == (before[0] + 1, before[1] + 1)
        world.one.otherwise = "back already"
        assert (await world.ask("Three?")).text == "back already"
        assert world.engine.routes()["one:m"]["breaker"] == "closed"


# --- places ----------------------------------------------------------------------------------------------


async def test_a_provider_that_is_full_is_waited_for_and_then_left() -> None:
    async with two(concurrent={"one": 1}, stall_seconds=10.0) as world:
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        world.one.enqueue(FakeReply(pieces=("Here. ", "It is."), between=wait), "second")
        world.two.enqueue("from two")
        first = asyncio.create_task(world.ask("One?"))
        await eventually(lambda: world.one.running)
        assert (await world.ask("Two?")).model == "two:m"
        assert len(world.one.asked) == 1
        assert world.engine.routes()["one:m"]["breaker"] == "closed"
        gate.set()
        assert (await first).model == "one:m"
        assert (await world.ask("Three?")).text == "second"


async def test_full_without_another_model() -> None:
    async with two(fallbacks=(), concurrent={"one": 1}, max_waiting=0) as world:
        world.one.enqueue(FakeReply(text="x", until=asyncio.Event()))
        first = asyncio.create_task(world.ask("One?"))
        await eventually(lambda: world.one.running)
        with pytest.raises(OverloadedError):
            await world.ask("Two?")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(
    "routing", [{"concurrent": {"onne": 3}}, {"context_windows": {"nobody": 3}}], ids=["provider", "model"]
)
def test_names_in_the_settings_are_checked(routing: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"\[routing\]"):
        Two(**routing)


# --- what does not fit -----------------------------------------------------------------------------------


@both_ways
async def test_too_long_skips_what_is_no_larger(streamed: bool) -> None:
    async with two(fallbacks=("two:m", "two:unknown", "two:large")) as world:
        world.one.enqueue(ContextTooLongError("too long"))
        world.two.enqueue("from the large one")
        answer = await world.get(streamed)
        assert (answer.model, world.tried) == ("two:large", (1, 1))


@both_ways
async def test_too_long_for_all(streamed: bool) -> None:
    async with two() as world:
        world.one.enqueue(ContextTooLongError("too long"))
        with pytest.raises(ContextTooLongError):
            await world.get(streamed)
        assert world.tried == (1, 0)


async def test_windows_from_the_settings() -> None:
    async with two(context_windows={"two:m": 5000}) as world:
        world.one.enqueue(ContextTooLongError("too long"))
        world.two.enqueue("from two")
        assert (await world.ask()).model == "two:m"


PICTURE: Message = {
    "role": "user",
    "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
}


@both_ways
async def test_a_picture_for_a_model_that_cannot_see(streamed: bool) -> None:
    async with two() as world:
        turn = question("Hello")
        with pytest.raises(UnsupportedParameterError) as caught:
            await world.get(streamed, messages=(*turn.messages, PICTURE))
        assert caught.value.param == "messages[1].content[1]"
        assert world.tried == (0, 0)


async def test_a_fallback_that_cannot_see_is_passed_over() -> None:
    async with two(fallbacks=("two:m", "two:large")) as world:
        world.one.otherwise = down()
        world.two.enqueue("It is a cat.")
        answer = await world.ask(messages=(PICTURE,), model="one:large")
        assert (answer.model, world.two.asked[0].model) == ("two:large", "large")


# --- what is heard ---------------------------------------------------------------------------------------

BREAKS = FakeReply(pieces=("It is 40 ", "dollars. ", "It is due ", "on"), error=down(), error_after=3)


def texts(pieces: list[Delta]) -> list[str]:
    return [piece.text for piece in pieces]


async def test_resumed_behind_the_last_word() -> None:
    async with two() as world:
        world.one.enqueue(BREAKS)
        world.two.enqueue(FakeReply(text="in May. Nothing else.", usage=SIX))
        pieces, answer = await world.listen()
        assert texts(pieces) == ["It is ", "40 dollars. ", "It is due ", "in May. ", "Nothing else."]
        assert answer.text == "It is 40 dollars. It is due in May. Nothing else."
        assert (answer.model, answer.usage, answer.cost) == ("two:m", SIX, pytest.approx(6e-6))  # type: ignore[comparison-overlap]
        assert [piece.model for piece in pieces] == ["one:m", None, None, None, None]
        asked = world.two.asked[0].messages
        assert [(message.type, message.text) for message in asked[-2:]] == [
            ("ai", "It is 40 dollars. It is due"),
            ("human", CONTINUE),
        ]
        # Two models' answer is nobody's: it is not kept.
        world.one.enqueue("again")
        assert (await world.ask()).text == "again"


async def test_all_who_listen_hear_the_same() -> None:
    async with two() as world:
        gate = asyncio.Event()
        world.one.enqueue(FakeReply(pieces=BREAKS.pieces, error=down(), error_after=3, until=gate))
        world.two.enqueue("in May.")
        listeners = [asyncio.create_task(collect(world.engine, question())) for _ in range(3)]
        await eventually(lambda: world.one.running)
        gone = world.engine.stream(question())
        leaving = asyncio.create_task(anext(gone))
        await settle()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        gate.set()
        heard = await asyncio.gather(*listeners)
        assert world.tried == (1, 1)
        assert all(result == heard[0] for result in heard)
        assert texts(heard[0][0]) == ["It is ", "40 dollars. ", "It is due ", "in May."]


async def test_the_last_to_leave_closes_the_upstream() -> None:
    async with two() as world:
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        world.one.enqueue(FakeReply(pieces=("One. ", "Two. ", "Three."), between=wait))
        async with aclosing(world.engine.stream(question())) as stream:
            waiting = asyncio.create_task(anext(stream))
            await eventually(lambda: world.one.running)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await eventually(lambda: not world.one.running)
        assert (world.one.cancelled, world.tried) == (1, (1, 0))
        assert world.engine.routes()["one:m"]["breaker"] == "closed"


async def test_all_who_could_go_on_fail() -> None:
    async with two(fallbacks=("two:m", "two:large")) as world:
        world.one.enqueue(BREAKS)
        world.two.otherwise = down("two")
        stream = world.engine.stream(question())
        assert [(await anext(stream)).text for _ in range(3)] == ["It is ", "40 dollars. ", "It is due "]
        with pytest.raises(ProviderUnavailableError, match="one is down"):
            await anext(stream)
        assert len(world.two.asked) == 3


async def test_model_that_cannot_continue_an_answer_is_asked_again() -> None:
    async with two() as pair:
        simulated = FakeProvider(
            "three", (ModelInfo(id="sim", continues=False),), otherwise="It is 40 dollars. It is paid."
        )
    world = World(
        providers={"one": pair.one, "three": simulated},
        model="one:m",
        fallbacks=["three:sim"],
        routing=RoutingTable(),
    )
    async with world:
        world.models.provider("one").enqueue(BREAKS)  # type: ignore[attr-defined]
        pieces, answer = await world.listen()
        assert "".join(texts(pieces)) == answer.text == "It is 40 dollars. It is due – It is paid."
        assert CONTINUE not in simulated.asked[0].text


async def test_buffered_until_it_is_whole() -> None:
    async with two(on_stream_failure="buffer") as world:
        world.one.enqueue(BREAKS)
        world.two.enqueue("All of it is from two. Nothing else.")
        pieces, answer = await world.listen()
        assert "".join(texts(pieces)) == answer.text == "All of it is from two. Nothing else."
        assert answer.model == "two:m"
        assert CONTINUE not in world.two.asked[0].text


@pytest.mark.parametrize("routing", [{"on_stream_failure": "error"}, {"fallbacks": ()}], ids=["policy", "alone"])
async def test_pieces_as_they_come_then_the_error(routing: dict[str, Any]) -> None:
    async with two(**routing) as world:
        world.one.enqueue(BREAKS)
        stream = world.engine.stream(question())
        assert [(await anext(stream)).text for _ in range(3)] == ["It is 40 ", "dollars. ", "It is due "]
        with pytest.raises(ProviderUnavailableError, match="one is down"):
            await anext(stream)
        assert world.tried == (1, 0)


@pytest.mark.parametrize("spoken", [True, False])
async def test_tool_calls_go_out_whole(spoken: bool) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"who":"her"}'}}
    text = "I will look. Now" if spoken else ""
    async with two() as world:
        world.one.enqueue(FakeReply(text=text, tool_calls=(call,), finish_reason=None))
        world.two.enqueue(FakeReply(text="", tool_calls=(call,), finish_reason="tool_calls"))
        pieces, answer = await world.listen()
        assert answer.tool_calls == (call,)
        assert answer.text == ("I will look. " if spoken else "")
        names = [piece["function"].get("name") for delta in pieces for piece in delta.tool_calls]
        assert names.count("find") == 1, "of the broken answer no call went out"


@both_ways
@pytest.mark.parametrize("fallbacks", [(), ("two:m",)], ids=["alone", "two"])
async def test_an_answer_without_a_reason_for_its_end_is_never_whole(
    streamed: bool, fallbacks: tuple[str, ...]
) -> None:
    async with two(fallbacks=fallbacks) as world:
        world.one.otherwise = FakeReply(text="It is 40", finish_reason=None)
        world.two.enqueue("It is 40 dollars.")
        if fallbacks:
            assert (await world.get(streamed)).text == "It is 40 dollars."
        else:
            with pytest.raises(ProviderUnavailableError, match="broke off"):
                await world.get(streamed)


@both_ways
async def test_an_unknown_finish_reason_with_text_is_an_answer(streamed: bool) -> None:
    async with two() as world:
        world.one.enqueue(FakeReply(text="It is 40 dollars.", finish_reason="brand_new_reason"))
        assert (await world.get(streamed)).text == "It is 40 dollars."


@both_ways
@pytest.mark.parametrize(
    "reply",
    [
        FakeReply(text="It is", finish_reason="insufficient_system_resource"),
        FakeReply(text="", finish_reason="malformed_function_call"),
        FakeReply(text="", finish_reason="stop"),
        FakeReply(text=" \n", finish_reason="stop"),
        FakeReply(text="", finish_reason="brand_new_reason"),
        FakeReply(text="<think>Let me see.</think>", finish_reason="stop"),
    ],
    ids=["broken-reason", "broken-call", "empty", "blank", "unknown-and-empty", "thoughts-alone"],
)
async def test_an_answer_that_is_none_makes_the_fallback_answer(reply: FakeReply, streamed: bool) -> None:
    async with two() as world:
        world.one.otherwise = reply
        world.two.enqueue("From two")
        assert (await world.get(streamed)).text in ("From two", "It – From two")


@both_ways
async def test_an_empty_answer_cut_by_the_callers_limit_is_an_answer(streamed: bool) -> None:
    async with two() as world:
        world.one.enqueue(FakeReply(text="", finish_reason="length"))
        answer = await world.get(streamed, parameters={"max_tokens": 1})
        assert (answer.text, answer.finish_reason, answer.model) == ("", "length", "one:m")


@both_ways
async def test_a_connection_held_open_behind_the_end_is_not_waited_for(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilores_core.chat.routing.model_call._LAST_WORDS_SECONDS", 0.02)
    async with two(stall_seconds=30.0) as world:
        said = 0

        async def hold() -> None:
            nonlocal said
            said += 1
            if said == 3:  # two pieces, and why it ended
                await asyncio.Event().wait()

        world.one.enqueue(FakeReply(pieces=("It is 40 ", "dollars."), between=hold))
        answer = await world.get(streamed)
        assert (answer.text, answer.model, answer.finish_reason) == ("It is 40 dollars.", "one:m", "stop")
        assert (world.tried, world.one.running) == ((1, 0), 0)


# --- the second call -------------------------------------------------------------------------------------


@both_ways
async def test_a_late_first_token_brings_a_second_call(streamed: bool) -> None:
    async with two(hedge=True, first_token_seconds=5.0) as world:
        world.one.otherwise = lambda call: f"about {call.messages[-1].text}"
        for number in range(20):
            await world.ask(f"Question {number}?")
        assert len(world.one.asked) == 20
        world.one.enqueue(FakeReply(until=asyncio.Event()), FakeReply(text="from the second", usage=SIX))
        answer = await world.get(streamed)
        assert (answer.text, answer.model, answer.usage) == ("from the second", "one:m", SIX)
        assert (len(world.one.asked), world.one.cancelled, world.one.running) == (22, 1, 0)
        await eventually(lambda: len(world.outcomes) == 21)
        lost, won = sorted(world.outcomes[-1].attempts, key=lambda attempt: attempt.hedge)
        assert (lost.error, lost.cost, won.error) == ("cancelled", 0.0, None)
        assert world.engine.routes()["one:m"]["breaker"] == "closed"


async def test_also_with_a_single_model() -> None:
    async with two(fallbacks=(), hedge=True) as world:
        world.one.otherwise = "yes."
        for number in range(20):
            await world.ask(f"Question {number}?")
        world.one.enqueue(FakeReply(until=asyncio.Event()), "from the second")
        assert (await world.ask()).text == "from the second"


async def test_switched_off_there_is_no_second_call() -> None:
    async with two() as world:
        world.one.otherwise = "yes."
        for number in range(20):
            await world.ask(f"Question {number}?")
        world.one.enqueue(FakeReply(text="slow.", seconds=0.1))
        assert (await world.ask()).text == "slow."
        assert len(world.one.asked) == 21


# --- the filler ------------------------------------------------------------------------------------------


def late(text: str = "It is 40 dollars.") -> Callable[[FakeCall], FakeReply]:
    return lambda call: FakeReply(text=text, seconds=0.1)


async def test_a_filler_is_said_and_not_kept() -> None:
    async with two(filler="One moment.", filler_seconds=0.02, first_token_seconds=5.0) as world:
        world.one.otherwise = late()
        pieces, answer = await world.listen()
        assert (pieces[0].text, pieces[0].filler) == ("One moment. ", True)
        assert "".join(piece.text for piece in pieces if not piece.filler) == answer.text == "It is 40 dollars."
        pieces, answer = await world.listen()
        assert (answer.cache_tier, answer.text) == ("l1", "It is 40 dollars.")
        assert not any(piece.filler for piece in pieces)


@pytest.mark.parametrize("turn", [{"purpose": "prewarm"}, {}], ids=["behind", "in-time"])
async def test_no_filler_where_nobody_waits(turn: dict[str, Any]) -> None:
    seconds = 0.02 if turn else 5.0
    async with two(filler="One moment.", filler_seconds=seconds, first_token_seconds=5.0) as world:
        world.one.otherwise = late()
        pieces, _ = await world.listen(**turn)
        assert not any(piece.filler for piece in pieces)


async def test_a_listener_who_leaves_during_the_filler_ends_the_call() -> None:
    async with two(filler="One moment.", filler_seconds=0.01, first_token_seconds=5.0) as world:
        world.one.enqueue(FakeReply(until=asyncio.Event()))
        async with aclosing(world.engine.stream(question())) as stream:
            assert (await anext(stream)).filler  # type: ignore[union-attr]
            await eventually(lambda: world.one.running)
        await eventually(lambda: not world.one.running)


async def test_what_fails_before_the_filler_fails_as_ever() -> None:
    async with two(filler="One moment.", filler_seconds=5.0, fallbacks=()) as world:
        world.one.otherwise = InvalidRequestError("wrong", param="messages")
        with pytest.raises(InvalidRequestError):
            await world.listen()


# --- warming up ------------------------------------------------------------------------------------------


async def test_the_models_of_the_chain_are_made_ready_in_order() -> None:
    async with two(fallbacks=("two:m", "two:large")) as world:
        await world.engine.warm_up()
        assert [name for name, _ in world.one.built + world.two.built] == ["m", "m", "large"]


@pytest.mark.parametrize("missing", ["one", "two"])
async def test_a_missing_key_is_said_of_the_default_alone(missing: str) -> None:
    infos = {
        name: (ModelInfo(id="m", unavailable=f"set {name.upper()}_API_KEY" if name == missing else None),)
        for name in ("one", "two")
    }
    world = World(
        providers={name: FakeProvider(name, info) for name, info in infos.items()},
        model="one:m",
        fallbacks=["two:m"],
    )
    async with world:
        with structlog.testing.capture_logs() as logs:
            await world.engine.warm_up()
    said = [line for line in logs if "ready" in line["event"]]
    assert [line["fix"] for line in said] == (["set ONE_API_KEY"] if missing == "one" else [])


async def test_a_fault_while_warming_up_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two() as world:

        def broken(*given: object) -> Any:
            raise RuntimeError("cannot import")

        monkeypatch.setattr(world.one, "chat_model", broken)
        await world.engine.warm_up()
        assert [name for name, _ in world.two.built] == ["m"]


async def test_stored_answers_name_their_model_in_the_stream() -> None:
    async with World(provider=FakeProvider(infos=(PRICED,), otherwise="It is 40.")) as world:
        await world.ask()
        pieces, answer = await world.listen()
        assert (answer.cache_tier, pieces[0].model) == ("l1", "fake:fake-1")
        fresh, _ = await world.listen(cache=CachePolicy(no_cache=True))
        assert fresh[0].model == "fake:fake-1"
