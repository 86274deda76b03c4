"""The conformance suite finds what is wrong: providers that are broken on purpose, each at one case."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tilores_core import CompletionPiece, CompletionRequest, LLMProvider, Message, ProviderUnavailableError
from tilores_core.testing.fake_upstream import FakeUpstream
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.openai_compatible.provider import CompatibleProvider
from tilores_plugins.providers.openai_compatible.settings import Instance, Settings

MODEL = "desk/m"


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("openai-compatible", key="") as server:
        yield server


class Broken(CompatibleProvider):
    """A provider that works but for `piece` and `messages`."""

    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece

    def messages(self, messages: Sequence[Message]) -> Sequence[Message]:
        return messages

    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionPiece]:
        return self._spoilt(super().complete(request._replace(messages=self.messages(request.messages))))

    async def _spoilt(self, pieces: AsyncGenerator[CompletionPiece]) -> AsyncGenerator[CompletionPiece]:
        async for piece in pieces:
            yield self.piece(piece)


class CutsCharacters(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(text=piece.text.encode("utf-8", "replace").decode())


class FailsOnIdleEvents(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece if piece.text else piece._replace(usage=None, finish_reason=None)


class SaysThoughts(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(text=piece.text.replace("<", "("))


class MixesCalls(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(tool_calls=[{**call, "id": "a", "index": 0} for call in piece.tool_calls])


class WritesLists(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        calls = [{**call, "function": {**call["function"], "arguments": "[1]"}} for call in piece.tool_calls]
        return piece._replace(tool_calls=calls)


class AlwaysStops(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(finish_reason=piece.finish_reason and "stop")


class FillsIn(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(text=piece.text.strip() or "Sorry.")


class BlamesTheServer(Broken):
    def complete(self, request: CompletionRequest) -> AsyncGenerator[CompletionPiece]:
        if request.parameters or not isinstance(request.messages[-1].get("content"), str):
            raise ProviderUnavailableError("it cannot be built", provider="broken")
        return super().complete(request)


class ForgetsState(Broken):
    def piece(self, piece: CompletionPiece) -> CompletionPiece:
        return piece._replace(state={})


class RewritesArguments(Broken):
    def messages(self, messages: Sequence[Message]) -> Sequence[Message]:
        return json.loads(json.dumps(messages).replace("1.0", "1"))  # type: ignore[no-any-return]


class PairsByPlace(Broken):
    def messages(self, messages: Sequence[Message]) -> Sequence[Message]:
        ids = iter([call["id"] for message in messages for call in message.get("tool_calls", ())][::-1])
        return [
            {**message, "tool_call_id": next(ids)} if message["role"] == "tool" else message for message in messages
        ]


class DropsGreetings(Broken):
    def messages(self, messages: Sequence[Message]) -> Sequence[Message]:
        return [one for at, one in enumerate(messages) if at != 1 or one["role"] != "assistant"]


STREAMED = {"streamed": True}
CASES: dict[str, tuple[Callable[[Settings], Broken], str, Mapping[str, Any]]] = {
    "halves": (CutsCharacters, "test_a_character_in_two_halves_is_whole", STREAMED),
    "events": (FailsOnIdleEvents, "test_events_beside_the_answer_change_nothing", {**STREAMED, "quirk": "idle"}),
    "thoughts": (SaysThoughts, "test_thoughts_in_the_text_are_not_said", STREAMED),
    "calls": (MixesCalls, "test_tool_calls_are_told_apart", {**STREAMED, "quirks": ("no-id",)}),
    "no arguments": (WritesLists, "test_a_tool_call_without_arguments_has_empty_ones", STREAMED),
    "bad reason": (AlwaysStops, "test_an_answer_that_ends_for_a_bad_reason_is_broken", STREAMED),
    "empty": (FillsIn, "test_an_answer_without_anything_is_a_failure", STREAMED),
    "unknown reason": (
        FillsIn,
        "test_an_answer_that_ends_for_an_unknown_reason_counts_when_it_says_something",
        STREAMED,
    ),
    "tool": (BlamesTheServer, "test_a_tool_is_sent_or_named", {}),
    "message": (BlamesTheServer, "test_a_message_is_sent_or_named", {}),
    "state": (ForgetsState, "test_what_belongs_to_a_tool_call_goes_back_with_it", STREAMED),
    "arguments": (RewritesArguments, "test_arguments_go_back_as_they_were_written", {}),
    "pairs": (PairsByPlace, "test_results_are_paired_by_id", {}),
    "history": (DropsGreetings, "test_a_history_is_adapted_without_loss", STREAMED),
}


class Suite(LLMProviderWireSuite):
    __test__ = False
    dialect = "openai-compatible"
    needs_key = False


def settings_of(upstream: FakeUpstream) -> Settings:
    return Settings(instances={"desk": Instance(base_url=upstream.base_url)})


@pytest.fixture
async def whole(upstream: FakeUpstream) -> AsyncIterator[LLMProvider]:
    made = Broken(settings_of(upstream))
    yield made
    await made.aclose()


@pytest.mark.parametrize("case", CASES)
async def test_suite_fails_a_broken_provider_and_passes_a_whole_one(
    upstream: FakeUpstream, whole: LLMProvider, case: str
) -> None:
    kind, name, given = CASES[case]
    broken = kind(settings_of(upstream))
    test = getattr(Suite(), name)
    for provider in (whole, broken):
        upstream.clear()
        failed = False
        try:
            await test(provider=provider, model=MODEL, upstream=upstream, **given)
        except (AssertionError, ValueError):
            failed = True
        assert failed is (provider is broken)
    await broken.aclose()


def test_each_case_of_the_suite_has_a_broken_provider() -> None:
    from tilores_core.testing.provider_quirks import ProviderQuirks

    assert {name for name in vars(ProviderQuirks) if name.startswith("test_")} == {
        name for _, name, _ in CASES.values()
    }
