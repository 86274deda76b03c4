"""A model that fails in the middle of its answer, at every place, in every way: a fallback finishes the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tests.chat.engine_world import World, question
from tilores_core.chat.routing.fallback_chain import CONTINUE
from tilores_core.contracts import CompletionPiece, CompletionRequest
from tilores_core.errors import ProviderUnavailableError
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.settings import RoutingTable
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.fake_upstream import (
    Cut,
    ErrorEvent,
    FakeUpstream,
    Hang,
    HttpError,
    MalformedEvent,
    MalformedReply,
    NoFinish,
    Reply,
    Reset,
    Stall,
)
from tilores_plugins.providers.openai.provider import OpenAIProvider

ANSWER = (
    "Her balance is forty dollars. It has been due since the first of May, which she knows, because we wrote to her "
    "in April, and she may pay by phone or by card. Nothing else is open."
)
WORDS = len(ANSWER.split())
Way = Callable[[str], str]


def exactly(said: str) -> str:
    return ANSWER[len(said) :]


def with_its_last_words(said: str) -> str:
    return f"{' '.join(said.split()[-2:])} {ANSWER[len(said) :].lstrip()}".lstrip()


def from_the_beginning(said: str) -> str:
    return ANSWER


PATIENT: dict[str, Any] = {"first_token_seconds": 60.0, "stall_seconds": 60.0}
WAYS: tuple[Way, ...] = (exactly, with_its_last_words, from_the_beginning)
FAULTS: dict[str, Callable[[int], Any]] = {
    "cut": lambda after: Cut(after=after),
    "reset": lambda after: Cut(after=after, reset=True),
    "stalled": lambda after: Stall(after=after),
    "malformed": lambda after: MalformedEvent(after=after),
    "error-event": lambda after: ErrorEvent(after=after),
}


def finishing(way: Way) -> Callable[[FakeCall], str]:
    """A fallback that is told what was said, and goes on in its way."""

    def reply(call: FakeCall) -> str:
        said = str(call.messages[-2].text) if str(call.messages[-1].text) == CONTINUE else ""
        assert ANSWER.startswith(said)
        return way(said)

    return reply


class Failing(World):
    """`openai:…`, whose upstream a test spoils, and two fallbacks."""

    def __init__(self, upstream: FakeUpstream, **routing: Any) -> None:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
        self.first = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
        self.second, self.third = FakeProvider("second"), FakeProvider("third")
        super().__init__(
            providers={"openai": self.first, "second": self.second, "third": self.third},
            model="openai:m",
            fallbacks=("second:m", "third:m"),
            routing=RoutingTable(
                backoff_seconds=0.0,
                attempts=1,
                breaker_failures=10_000,
                **{"first_token_seconds": 1.5, "stall_seconds": 0.5, "sentence_characters": 40, **routing},
            ),
        )

    async def __aexit__(self, *exc: Any) -> None:
        await super().__aexit__(*exc)
        await self.first.aclose()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream("openai") as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_stream_that_fails_behind_any_word_is_finished(upstream: FakeUpstream, fault: str, way: Way) -> None:
    async with Failing(upstream) as world:
        world.second.otherwise = finishing(way)

        async def fail(after: int) -> None:
            upstream.always[f"m{after}"] = Reply(ANSWER, fault=FAULTS[fault](after))
            pieces, answer = await world.listen(f"Question {after}?", model=f"openai:m{after}")
            assert "".join(piece.text for piece in pieces) == answer.text == ANSWER, f"after {after} words"

        await asyncio.gather(*(fail(after) for after in range(WORDS)))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "fault",
    [
        HttpError(status=429),
        HttpError(status=500),
        HttpError(status=503),
        Reset(),
        Hang(),
        Hang(headers=True),
        MalformedReply(),
        NoFinish(),
        NoFinish(mark=True),
        *(made(7) for made in FAULTS.values()),
    ],
    ids=repr,
)
async def test_every_fault_is_answered_whole(upstream: FakeUpstream, fault: Any, streamed: bool) -> None:
    async with Failing(upstream) as world:
        world.second.otherwise = finishing(exactly)
        upstream.always["m"] = Reply(ANSWER, fault=fault)
        answer = (await world.listen())[1] if streamed else await world.ask()
        assert answer.text == ANSWER


@pytest.mark.parametrize(("characters", "pieces"), [(20, 5), (2000, 1)])
async def test_continued_sentence_is_held_back_up_to_the_characters_of_the_settings(
    upstream: FakeUpstream, characters: int, pieces: int
) -> None:
    async with Failing(upstream, **PATIENT, sentence_characters=characters) as world:
        upstream.always["m"] = Reply(ANSWER, fault=Cut(after=1))
        world.second.otherwise = "Her " + " ".join(f"word{number}" for number in range(40))
        heard, _ = await world.listen()
        assert (len(heard) >= pieces) if pieces > 1 else len(heard) <= 2


async def test_first_word_goes_out_before_the_second_is_there(upstream: FakeUpstream) -> None:
    async with Failing(upstream, **PATIENT) as world:
        upstream.always["m"] = Reply(ANSWER, fault=Stall(after=1))
        stream = world.engine.stream(question())
        assert (await anext(stream)).text == "Her"
        await stream.aclose()


async def test_fallback_that_cannot_go_on_is_followed_by_the_next(upstream: FakeUpstream) -> None:
    async with Failing(upstream) as world:
        told_over = "Her balance is forty dollars and nothing else. Goodbye."
        world.second.otherwise = told_over
        world.third.otherwise = finishing(exactly)
        upstream.always["m"] = Reply(ANSWER, fault=Cut(after=20))
        pieces, answer = await world.listen()
        assert "".join(piece.text for piece in pieces) == answer.text == ANSWER
        assert (len(world.second.asked), answer.model) == (1, "third:m")


async def test_fallback_that_fails_midway_is_followed_by_the_next(upstream: FakeUpstream) -> None:
    async with Failing(upstream) as world:
        world.second.otherwise = lambda call: _broken(finishing(exactly)(call))
        world.third.otherwise = finishing(exactly)
        upstream.always["m"] = Reply(ANSWER, fault=Cut(after=9))
        pieces, answer = await world.listen()
        assert "".join(piece.text for piece in pieces) == answer.text == ANSWER
        assert answer.model == "third:m"


def _broken(text: str) -> FakeReply:
    return FakeReply(text=text, error=ProviderUnavailableError("down", provider="second"), error_after=12)


@pytest.mark.parametrize("name", ["r1-distill", "plain"])
async def test_thought_that_begins_in_the_prompt_is_not_heard_once_that_is_known(
    upstream: FakeUpstream, name: str
) -> None:
    async with Failing(upstream) as world:
        upstream.always[name] = Reply(f"She may owe much. </think> {ANSWER}")
        for turn in range(3):
            pieces, answer = await world.listen(f"Question {turn}?", model=f"openai:{name}")
            heard = "".join(piece.text for piece in pieces)
            assert answer.text == ANSWER
            assert heard == ANSWER or (name == "plain" and turn == 0)
        upstream.always[name] = Reply(ANSWER)
        for turn in range(10):
            pieces, _ = await world.listen(f"Question 1{turn}?", model=f"openai:{name}")
            assert "".join(piece.text for piece in pieces) == ANSWER
        assert len(pieces) > 2, "held for ever"


class EndsEachPiece(FakeProvider):
    """Its model says with every piece that it is the last, and its connection may break."""

    breaks = False

    async def warm_up(self) -> None:
        """There is nothing to open."""

    async def complete(self, request: CompletionRequest) -> AsyncIterator[CompletionPiece]:
        for text in ("It ", "is ", "40."):
            yield CompletionPiece(text, finish_reason="stop")
        if self.breaks:
            raise ProviderUnavailableError("down", provider="first")


@pytest.mark.parametrize(("breaks", "text"), [(False, "It is 40."), (True, "It is 40 dollars.")])
async def test_piece_behind_an_end_shows_that_the_end_was_none(breaks: bool, text: str) -> None:
    first, second = EndsEachPiece("first"), FakeProvider("second", otherwise="40 dollars.")
    first.breaks = breaks
    routing = RoutingTable(attempts=1)
    async with World(
        providers={"first": first, "second": second}, model="first:m", fallbacks=("second:m",), routing=routing
    ) as world:
        assert (await world.listen())[1].text == text
