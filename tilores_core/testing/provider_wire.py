"""The conformance suite for model providers that ask over HTTP: what they send, and what they make of faults.

    from tilores_core.testing.provider_wire import LLMProviderWireSuite

    class TestAcme(LLMProviderWireSuite):
        dialect = "openai-compatible"

        def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
            return AcmeProvider(Settings(base_url=upstream.base_url, api_key=key))

        @pytest.fixture
        def model(self) -> str:
            return "acme-small"

It holds all of `LLMProviderSuite`, against a fake upstream (`tilores_core.testing.fake_upstream`) that runs in a
thread, so that blocking calls are tried as well; and what providers really send, in `provider_quirks`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from tilores_core.chat.messages import for_model
from tilores_core.chat.models import Models
from tilores_core.contracts import CompletionPiece, LLMProvider, Message
from tilores_core.errors import (
    ContentRefusedError,
    ContextTooLongError,
    ProviderAuthError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    TiloresError,
)
from tilores_core.llm.normalizer import Completion
from tilores_core.testing.fake_upstream import (
    ContentRefused,
    ContextTooLong,
    Cut,
    ErrorEvent,
    FakeUpstream,
    Fault,
    Hang,
    HttpError,
    InvalidKey,
    MalformedEvent,
    MalformedReply,
    NoEndMark,
    NoFinish,
    Reply,
    Reset,
    Stall,
)
from tilores_core.testing.provider_quirks import ProviderQuirks
from tilores_core.testing.providers import TOOL, UNICODE, both_ways

PRIVATE = "The caller's account is 40-17-22 and must not be read by others."
DIGITS = "123456789012345678901234"
TEXT = "Grüße aus Łódź, 東京 und 🏔️. Her balance is 40 dollars."
WRONG_KEY = "sk-wrong-fedcba9876543210"
PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class LLMProviderWireSuite(ProviderQuirks):
    """Subclass it, set `dialect`, write `make`, override `model`, and set to False what the provider does not do."""

    deterministic = True
    dialect: ClassVar[str]
    """Which protocol the provider speaks: one of `tilores_core.testing.fake_upstream.DIALECTS`."""
    needs_key: ClassVar[bool] = True
    """Without a key the models are listed as unavailable."""
    refuses_content: ClassVar[bool] = True
    """The protocol has a way to say that the content is refused."""

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        """The provider with this key (None: none at all), its address that of `upstream`."""
        raise NotImplementedError("write the method 'make'")

    @pytest.fixture
    def upstream(self) -> Iterator[FakeUpstream]:
        with FakeUpstream(self.dialect) as upstream:
            yield upstream

    @pytest.fixture
    def provider(self, upstream: FakeUpstream) -> LLMProvider:
        return self.make(upstream, upstream.key)

    # --- answers

    @both_ways
    async def test_the_text_arrives_as_it_was_sent(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(TEXT)
        said = await self.ask(provider, model, UNICODE, streamed=streamed)
        assert (said.text, said.finish_reason) == (TEXT, "stop")
        (asked,) = upstream.requests
        assert asked.streamed is streamed or self.dialect == "ollama"  # its package streams either way
        assert UNICODE in _texts(asked.body)
        assert asked.model == model

    @both_ways
    async def test_usage_is_the_providers(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Reply("one two three", input_tokens=11, output_tokens=7))
        said = await self.ask(provider, model, "Hello", streamed=streamed)
        assert (said.usage.input_tokens, said.usage.output_tokens) == (11, 7)

    @both_ways
    async def test_a_picture(self, provider: LLMProvider, model: str, streamed: bool) -> None:
        self._needs("supports_vision")
        parts: list[dict[str, Any]] = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ]
        asked: list[Message] = [{"role": "user", "content": parts}]
        assert "1 picture(s)" in (await self.ask(provider, model, asked, streamed=streamed)).text

    @both_ways
    async def test_results_of_tools_go_with_their_calls_and_numbers_keep_their_digits(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        self._needs("supports_tools")
        names = ("call_of_ann", "call_of_bob")
        calls = [
            {"id": name, "type": "function", "function": {"name": "find_customer", "arguments": f'{{"n":{DIGITS}}}'}}
            for name in names
        ]
        history: list[Message] = [
            {"role": "user", "content": "Find both."},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": names[1], "content": "Bob is in Rome."},
            {"role": "tool", "tool_call_id": names[0], "content": "Ann is in Oslo."},
        ]
        upstream.enqueue(TEXT)
        said = await self.ask(provider, model, for_model("", history), streamed=streamed, tools=[TOOL])
        assert said.text == TEXT
        sent = _texts(upstream.requests[-1].body)
        assert sent.index("Ann is in Oslo.") < sent.index("Bob is in Rome.")
        assert sent.count(DIGITS) == 2

    @both_ways
    async def test_what_was_said_so_far_is_taken(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        """As a fallback gets it that goes on in the middle of an answer."""
        history: list[Message] = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Her balance is"},
            {"role": "user", "content": "Go on."},
        ]
        upstream.enqueue("40 dollars.")
        said = await self.ask(provider, model, for_model("Be brief.", history), streamed=streamed)
        assert said.text == "40 dollars."
        assert "Her balance is" in _texts(upstream.requests[-1].body)

    @both_ways
    async def test_slow_first_token(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Reply(TEXT, seconds=0.1, first_token=0.2))
        assert (await self.ask(provider, model, "Hello", streamed=streamed)).text == TEXT

    @both_ways
    async def test_a_finished_answer_without_the_end_mark_is_finished(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Reply(TEXT, fault=NoEndMark()))
        said = await self.ask(provider, model, "Hello", streamed=streamed)
        assert (said.text, said.finish_reason) == (TEXT, "stop")

    # --- leaving

    async def test_cancelling_a_stream_closes_the_connection(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream
    ) -> None:
        upstream.enqueue(Stall(after=3))
        begun = asyncio.Event()

        async def consume() -> None:
            async with aclosing(await self._pieces(provider, model)) as pieces:
                async for piece in pieces:
                    if piece.text:
                        begun.set()

        await _cancel(asyncio.create_task(consume()), begun)
        assert await upstream.until(lambda: upstream.disconnects == 1)

    async def test_leaving_a_stream_closes_the_connection(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream
    ) -> None:
        upstream.enqueue(Stall(after=3))
        async with aclosing(await self._pieces(provider, model)) as pieces:
            async for piece in pieces:
                if piece.text:
                    break
        assert await upstream.until(lambda: upstream.disconnects == 1)

    @both_ways
    async def test_cancelling_before_the_first_token_closes_the_connection(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Hang())
        task = asyncio.create_task(self.ask(provider, model, "Hello", streamed=streamed))
        assert await upstream.until(lambda: upstream.running == 1)
        await _cancel(task)
        assert await upstream.until(lambda: upstream.disconnects == 1)

    # --- refusals

    @both_ways
    async def test_a_wrong_key(self, upstream: FakeUpstream, model: str, streamed: bool) -> None:
        self._needs("needs_key")
        provider = self.make(upstream, WRONG_KEY)
        failed = await self._failure(provider, model, streamed=streamed)
        await provider.aclose()
        assert isinstance(failed, ProviderAuthError)
        assert WRONG_KEY not in f"{failed} {failed!r}"

    @both_ways
    async def test_a_key_that_is_refused(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(InvalidKey())
        assert isinstance(await self._failure(provider, model, streamed=streamed), ProviderAuthError)

    async def test_no_key(self, upstream: FakeUpstream, model: str) -> None:
        self._needs("needs_key")
        provider = self.make(upstream, None)
        listed = provider.models()
        assert listed
        assert all(info.unavailable for info in listed)
        with pytest.raises(ProviderAuthError):
            provider.chat_model(model, {})
        await provider.aclose()
        assert not upstream.requests

    @both_ways
    async def test_rate_limit(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(HttpError(status=429, retry_after=7), HttpError(status=429))
        limited = await self._failure(provider, model, streamed=streamed)
        assert isinstance(limited, ProviderRateLimitedError)
        assert limited.retry_after == pytest.approx(7)
        unsaid = await self._failure(provider, model, streamed=streamed)
        assert isinstance(unsaid, ProviderRateLimitedError)
        assert unsaid.retry_after is None

    @both_ways
    async def test_overload(self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool) -> None:
        for status in (500, 502, 503, 529):
            upstream.enqueue(HttpError(status=status))
            failed = await self._failure(provider, model, streamed=streamed)
            assert isinstance(failed, ProviderUnavailableError), f"status {status}"

    @both_ways
    async def test_context_too_long(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(ContextTooLong())
        assert isinstance(await self._failure(provider, model, streamed=streamed), ContextTooLongError)

    @both_ways
    @pytest.mark.parametrize(
        "refused", [ContentRefused(), Reply("I", finish="content_filter")], ids=["asked", "said"]
    )
    async def test_content_refused(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, refused: Any, streamed: bool
    ) -> None:
        self._needs("refuses_content")
        upstream.enqueue(refused)
        outcome = await self._outcome(provider, model, streamed=streamed)
        if isinstance(outcome, Exception):
            assert isinstance(outcome, ContentRefusedError)
        else:
            assert outcome.finish_reason == "content_filter"

    # --- broken answers

    @both_ways
    async def test_connection_reset(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Reset())
        assert isinstance(await self._failure(provider, model, streamed=streamed), ProviderUnavailableError)

    @both_ways
    @pytest.mark.parametrize("fault", [Cut(after=3), Cut(after=3, reset=True)], ids=["closed", "reset"])
    async def test_connection_cut(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, fault: Fault, streamed: bool
    ) -> None:
        upstream.enqueue(fault)
        assert isinstance(await self._failure(provider, model, streamed=streamed), ProviderError)

    @both_ways
    async def test_malformed_reply(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(MalformedReply())
        assert isinstance(await self._failure(provider, model, streamed=streamed), ProviderError)

    @both_ways
    async def test_malformed_event(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(MalformedEvent(after=3))
        assert isinstance(await self._failure(provider, model, streamed=streamed), ProviderError)

    @both_ways
    @pytest.mark.parametrize(
        "fault",
        [NoFinish(), NoFinish(mark=True), ErrorEvent(after=3)],
        ids=["no-finish", "no-finish-but-mark", "error-event"],
    )
    async def test_an_unfinished_answer_never_looks_finished(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, fault: Fault, streamed: bool
    ) -> None:
        upstream.enqueue(fault)
        outcome = await self._outcome(provider, model, streamed=streamed)
        if isinstance(outcome, Exception):
            assert isinstance(outcome, ProviderError)
        else:
            assert not outcome.ended

    @both_ways
    async def test_one_request_a_call(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        """Whatever comes, the SDK asks once: retries belong to the engine, which alone knows the deadline."""
        for fault in (HttpError(status=429, retry_after=0), HttpError(status=500), HttpError(status=503), Reset()):
            upstream.clear()
            upstream.otherwise = fault
            await self._failure(provider, model, streamed=streamed)
            assert len(upstream.requests) == 1, f"{fault}"

    async def test_usable_after_each_fault(self, provider: LLMProvider, model: str, upstream: FakeUpstream) -> None:
        for fault in (Reset(), Cut(after=1), MalformedEvent(after=1), HttpError(status=500)):
            upstream.enqueue(fault, TEXT)
            await self._failure(provider, model, streamed=True)
            assert (await self.ask(provider, model, "Hello")).text == TEXT

    # --- asking

    async def _pieces(self, provider: LLMProvider, model: str) -> AsyncGenerator[CompletionPiece]:
        models = Models({"suite": provider}, default=f"suite:{model}")
        pieces, _ = await models.begin(models.default, [{"role": "user", "content": "Hello"}], {}, stream=True)
        return pieces

    async def _failure(self, provider: LLMProvider, model: str, *, streamed: bool) -> TiloresError:
        outcome = await self._outcome(provider, model, streamed=streamed)
        assert isinstance(outcome, TiloresError), f"it answered: {outcome}"
        return outcome

    async def _outcome(self, provider: LLMProvider, model: str, *, streamed: bool) -> Completion | TiloresError:
        """The answer, or the mapped error, which holds neither the key nor the prompt."""
        try:
            return await self.ask(provider, model, PRIVATE, streamed=streamed)
        except Exception as error:
            mapped = provider.map_error(error)
        assert isinstance(mapped, TiloresError), f"not mapped: {type(mapped).__name__}"
        shown = f"{mapped} {mapped!r} {mapped.args}"
        assert PRIVATE[:24] not in shown
        assert "sk-fake-upstream" not in shown
        return mapped


async def _cancel(task: asyncio.Task[Any], begun: asyncio.Event | None = None) -> None:
    if begun is not None:
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _texts(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)
