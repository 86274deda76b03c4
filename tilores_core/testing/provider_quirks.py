"""What providers really send, and the histories that clients really send back: a part of `LLMProviderWireSuite`.

The cases are asked over the wire, through the provider and the normalizer, as the engine does it. What a protocol
has no place for is skipped, with the reason (`tilores_core.testing.fake_upstream.quirks.CANNOT`).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from tilores_core.chat.messages import for_model
from tilores_core.chat.routing.model_call import check_answer
from tilores_core.chat.routing.verdict import judge
from tilores_core.contracts import LLMProvider, Message
from tilores_core.errors import InvalidRequestError, ProviderError
from tilores_core.llm.normalizer import Completion
from tilores_core.testing.fake_upstream import FakeUpstream, Quirk, Reply, ToolCall, history
from tilores_core.testing.fake_upstream.quirks import CANNOT
from tilores_core.testing.providers import FIND, HISTORIES, TOOL, LLMProviderSuite, both_ways
from tilores_core.web.openai.decode import decode_messages

SAID = "Her balance is 40 dollars. 👍"
EMAILS = ("ann@example.com", "bob@example.com")
CALLS = tuple(ToolCall("find_customer", {"email": email}) for email in EMAILS)
WRITTEN = '{ "email":"ann@example.com",\t"n": 123456789012345678901234, "x": 1.0 }'
SIZES: dict[str, Any] = {"type": "object", "properties": {"size": {"type": "integer", "enum": [10, 11]}}}
HUGE: dict[str, Any] = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 2**70}}}
NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {"who": {"$ref": "#/$defs/who"}},
    "$defs": {"who": {"type": "object", "properties": {"name": {"type": "string"}}}},
}


def _tool(parameters: dict[str, Any] | None) -> dict[str, Any]:
    function = {"name": "set_size", "description": "Set it."}
    return {
        "type": "function",
        "function": function if parameters is None else {**function, "parameters": parameters},
    }


class ProviderQuirks(LLMProviderSuite):
    """Cases for a subclass with the fixture `upstream`, see `LLMProviderWireSuite`."""

    dialect: ClassVar[str]
    no_state: ClassVar[str] = ""
    """Why nothing that belongs to a tool call comes from the provider and goes back to it, when that is so."""
    no_half_characters: ClassVar[str] = ""
    """Why the provider cannot send half a character, when that is so."""

    # --- what is sent: text and events

    @both_ways
    async def test_a_character_in_two_halves_is_whole(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        if self.no_half_characters:
            pytest.skip(self.no_half_characters)
        upstream.enqueue(Reply(pieces=("Good \ud83d", "\udc4d day")), Reply(pieces=("Good \ud83d", " day")))
        assert (await self.ask(provider, model, "Hello", streamed=streamed)).text == "Good 👍 day"
        assert (await self.ask(provider, model, "Hello", streamed=streamed)).text == "Good � day"

    @both_ways
    @pytest.mark.parametrize("quirk", ["comments", "lines", "idle", "usage"])
    async def test_events_beside_the_answer_change_nothing(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, quirk: Quirk, streamed: bool
    ) -> None:
        self._can(upstream, quirk)
        reply = Reply(SAID, quirks=(quirk,), input_tokens=9, output_tokens=6)
        upstream.enqueue(reply, Reply(tool_calls=CALLS[:1], quirks=(quirk,), input_tokens=9, output_tokens=6))
        said = await self.ask(provider, model, "Hello", streamed=streamed)
        assert (said.text, said.finish_reason, said.ended) == (SAID, "stop", True)
        assert (said.usage.input_tokens, said.usage.output_tokens) == (9, 6)
        if self.supports_tools:
            assert _called(await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL])) == [EMAILS[0]]

    @both_ways
    async def test_thoughts_in_the_text_are_not_said(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        text = f"<think>She asks for <40>.\nHm.</think>\n\n{SAID}"
        for size in (1, 3, len(text)):
            upstream.enqueue(Reply(pieces=tuple(text[at : at + size] for at in range(0, len(text), size))))
            said = await self.ask(provider, model, "Hello", streamed=streamed)
            assert said.text == SAID, f"in pieces of {size}"

    # --- what is sent: tool calls

    @both_ways
    @pytest.mark.parametrize(
        "quirks",
        [("no-index",), ("same-index",), ("no-id",), ("no-index", "no-id"), ("object-arguments",)],
        ids="+".join,
    )
    async def test_tool_calls_are_told_apart(
        self,
        provider: LLMProvider,
        model: str,
        upstream: FakeUpstream,
        quirks: tuple[Quirk, ...],
        streamed: bool,
    ) -> None:
        self._needs("supports_tools")
        self._can(upstream, *quirks)
        upstream.enqueue(Reply(tool_calls=CALLS, quirks=quirks))
        said = await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL])
        assert _called(said) == list(EMAILS)
        assert len({call["id"] for call in said.tool_calls} - {None, ""}) == len(CALLS)
        assert (said.finish_reason, said.ended) == ("tool_calls", True)

    @both_ways
    async def test_a_tool_call_without_arguments_has_empty_ones(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        self._needs("supports_tools")
        upstream.enqueue(Reply(tool_calls=(ToolCall("find_customer"),), quirks=("no-arguments",)))
        (call,) = (await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL])).tool_calls
        assert json.loads(call["function"]["arguments"]) == {}

    # --- how it ends

    @both_ways
    async def test_an_answer_that_ends_for_a_bad_reason_is_broken(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        for reason in ("insufficient_system_resource", "abort", "MALFORMED_FUNCTION_CALL", "error"):
            upstream.enqueue(Reply(SAID, reason=reason))
            await self._fails(provider, model, streamed, reason)

    @both_ways
    @pytest.mark.filterwarnings("ignore:brand_new_reason")  # Google's SDK warns
    async def test_an_answer_that_ends_for_an_unknown_reason_counts_when_it_says_something(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        upstream.enqueue(Reply(SAID, reason="brand_new_reason"), Reply(pieces=(), reason="brand_new_reason"))
        said = await self.ask(provider, model, "Hello", streamed=streamed)
        assert (said.text, said.ended) == (SAID, True)
        await self._fails(provider, model, streamed, "no text")

    @both_ways
    async def test_an_answer_without_anything_is_a_failure(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        for pieces in ((), ("",), (" ", "\n"), ("<think>Hm.</think>",)):
            upstream.enqueue(Reply(pieces=pieces))
            await self._fails(provider, model, streamed, repr(pieces))

    # --- requests that cannot be built

    async def test_a_tool_is_sent_or_named(self, provider: LLMProvider, model: str, upstream: FakeUpstream) -> None:
        self._needs("supports_tools")
        for schema in (SIZES, HUGE, NESTED, None):
            await self._sent_or_refused(provider, model, upstream, "tools", "Hello", tools=[TOOL, _tool(schema)])

    async def test_a_message_is_sent_or_named(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream
    ) -> None:
        for content in (
            "half \ud83d a character",
            [{"type": "image_url", "image_url": {"url": "/etc/hostname"}}],
            [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
        ):
            asked: list[Message] = [{"role": "user", "content": content}]
            await self._sent_or_refused(provider, model, upstream, "messages", asked)

    # --- what goes back

    @both_ways
    async def test_what_belongs_to_a_tool_call_goes_back_with_it(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        self._needs("supports_tools")
        if self.no_state:
            pytest.skip(self.no_state)
        upstream.enqueue(Reply(tool_calls=CALLS[:1], reasoning="She means the first one."), SAID)
        asked: list[Message] = [{"role": "user", "content": FIND}]
        said = await self.ask(provider, model, asked, streamed=streamed, tools=[TOOL])
        (call,) = said.tool_calls
        called = {"role": "assistant", "content": said.text or None, "tool_calls": [dict(call)], **said.state}
        # As a client sends it: through JSON, without what only this process has.
        result = {"role": "tool", "tool_call_id": call["id"], "content": "In Oslo."}
        sent = decode_messages(json.loads(json.dumps([*asked, called, result])))
        await self.ask(provider, model, for_model("", sent), streamed=streamed, tools=[TOOL])
        assert history.keeps_state(upstream.dialect.protocol, upstream.requests[-1].body, "She means the first one.")

    async def test_arguments_go_back_as_they_were_written(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream
    ) -> None:
        self._needs("supports_tools")
        await self.ask(provider, model, for_model("", _answered(WRITTEN, WRITTEN)), tools=[TOOL])
        for arguments in history.arguments(upstream.dialect.protocol, upstream.requests[-1].body):
            if isinstance(arguments, str):
                assert arguments == WRITTEN
            else:
                assert json.dumps(arguments) == json.dumps(json.loads(WRITTEN))

    async def test_results_are_paired_by_id(self, provider: LLMProvider, model: str, upstream: FakeUpstream) -> None:
        self._needs("supports_tools")
        asked = _answered('{"email":"ann@example.com"}', '{"email":"bob@example.com"}')
        asked[2:] = reversed(asked[2:])
        await self.ask(provider, model, for_model("", asked), tools=[TOOL])
        body = upstream.requests[-1].body
        called, answered = history.pairs(upstream.dialect.protocol, body)
        assert called == answered  # by id where the protocol has one, else by place
        sent = json.dumps(body)
        assert sent.index("In Oslo.") < sent.index("In Rome.")

    @both_ways
    async def test_a_history_is_adapted_without_loss(
        self, provider: LLMProvider, model: str, upstream: FakeUpstream, streamed: bool
    ) -> None:
        for messages in HISTORIES:
            upstream.enqueue(SAID)
            prompt = for_model("Be brief.", decode_messages(messages))
            said = await self.ask(provider, model, prompt, streamed=streamed)
            assert said.text == SAID
            sent = json.dumps(upstream.requests[-1].body)
            assert all(text in sent for text in ("One.", "Two.")), f"lost of {messages}: {sent}"

    # --- asking

    def _can(self, upstream: FakeUpstream, *quirks: Quirk) -> None:
        for quirk in quirks:
            if reason := CANNOT[upstream.dialect.protocol].get(quirk):
                pytest.skip(f"{self.dialect}: {reason}")

    async def _fails(self, provider: LLMProvider, model: str, streamed: bool, case: str) -> None:
        """The engine asks the fallback."""
        try:
            check_answer(await self.ask(provider, model, "Hello", streamed=streamed), {}, provider="suite")
        except Exception as error:
            mapped = provider.map_error(error)
        else:
            raise AssertionError(f"it counts as an answer: {case}")
        assert isinstance(mapped, ProviderError), f"not the provider's failure: {mapped!r}, {case}"
        assert judge(mapped, timed_out=False, is_fallback=False).elsewhere

    async def _sent_or_refused(
        self,
        provider: LLMProvider,
        model: str,
        upstream: FakeUpstream,
        param: str,
        asked: str | list[Message],
        **parameters: Any,
    ) -> None:
        try:
            assert (await self.ask(provider, model, asked, **parameters)).text
        except Exception as error:
            mapped = provider.map_error(error)
            assert isinstance(mapped, InvalidRequestError), f"not the caller's error: {mapped!r}"
            assert (mapped.param or "").startswith(param), f"it names {mapped.param!r}"
            assert not judge(mapped, timed_out=False, is_fallback=False).counts
            assert not upstream.requests
        upstream.clear()


def _called(said: Completion) -> list[str]:
    return [json.loads(call["function"]["arguments"])["email"] for call in said.tool_calls]


def _answered(*arguments: str) -> list[Message]:
    ids = [f"call_{n}" for n in range(len(arguments))]
    calls = [
        {"id": one, "type": "function", "function": {"name": "find_customer", "arguments": written}}
        for one, written in zip(ids, arguments, strict=True)
    ]
    return [
        {"role": "user", "content": FIND},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_0", "content": "In Oslo."},
        {"role": "tool", "tool_call_id": "call_1", "content": "In Rome."},
    ]
