"""The conformance suite for language-model providers.

    from tilores_core.testing.providers import LLMProviderSuite

    class TestAcme(LLMProviderSuite):
        supports_seed = False

        @pytest.fixture
        def provider(self) -> LLMProvider:
            return AcmeProvider(Settings(base_url=stub_server))

        @pytest.fixture
        def model(self) -> str:
            return "acme-small"

A provider is asked as the engine asks it, directly where it has `complete` and by its chat model where not; the chat
model is tried as well. A capability that is declared missing skips its tests by name. Needs the extra
`tilores-core[testing]`, with `asyncio_mode = "auto"`. A provider that asks over HTTP passes
`LLMProviderWireSuite` as well, in `tilores_core.testing.provider_wire`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from tilores_core.chat.messages import for_model
from tilores_core.chat.models import Models
from tilores_core.contracts import LLMProvider, Message, ModelInfo
from tilores_core.errors import TiloresError, UnknownModelError, UnsupportedParameterError
from tilores_core.llm.normalizer import Completion
from tilores_core.web.openai.decode import decode_messages

QUESTION = "In two or three sentences, say what you can do."
FIND = "Find the customer with the e-mail address ann@example.com"
UNICODE = "Grüße aus Łódź, 東京 und 🏔️: say this back."
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "find_customer",
        "description": "Find a customer by e-mail address.",
        "parameters": {
            "type": "object",
            "properties": {"email": {"type": "string", "description": "E-mail address"}},
            "required": ["email"],
        },
    },
}


def _says(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


HISTORIES: tuple[list[dict[str, Any]], ...] = (
    [_says("assistant", "One."), _says("user", "Two.")],
    [_says("user", "One."), _says("user", "Two.")],
    [_says("system", "One."), _says("user", "Two.")],
    [_says("user", "One."), _says("assistant", " \n"), _says("user", "Two.")],
    [_says("user", "One."), _says("assistant", "Two."), _says("user", "")],
    [_says("user", "One."), {**_says("assistant", None), "refusal": "Two."}, _says("user", "Why?")],
    [_says("user", [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])],
)
"""A greeting first, two in a row, a system message more, something blank, a refusal, parts."""

both_ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


class LLMProviderSuite:
    """Subclass it, override `provider` and `model`, and set to False what the provider does not support."""

    deterministic: ClassVar[bool] = False
    """The same question always gets the same answer, so that streamed and whole answers can be compared."""
    supports_stop: ClassVar[bool] = True
    supports_max_tokens: ClassVar[bool] = True
    supports_tools: ClassVar[bool] = True
    supports_json: ClassVar[bool] = True
    supports_seed: ClassVar[bool] = True
    supports_vision: ClassVar[bool] = False
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = None
    """A parameter and value that every model of the provider refuses, or None when there is none."""

    @pytest.fixture
    def provider(self) -> LLMProvider:
        raise NotImplementedError("override the fixture 'provider'")

    @pytest.fixture
    def model(self) -> str:
        raise NotImplementedError("override the fixture 'model'")

    @pytest.fixture(autouse=True)
    async def _closed(self, provider: LLMProvider) -> AsyncIterator[None]:
        yield
        await provider.aclose()

    async def ask(
        self,
        provider: LLMProvider,
        model: str,
        asked: str | list[Message],
        *,
        streamed: bool = False,
        **parameters: Any,
    ) -> Completion:
        """One answer, asked for as the engine does it."""
        messages: list[Message] = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        models = Models({"suite": provider}, default=f"suite:{model}")
        return await models.ask(models.default, messages, parameters, stream=streamed)

    # --- what is listed

    def test_lists_the_model(self, provider: LLMProvider, model: str) -> None:
        models = provider.models()
        assert all(isinstance(info, ModelInfo) for info in models)
        ids = [info.id for info in models]
        assert model in ids
        assert len(set(ids)) == len(ids)

    def test_listed_abilities_are_the_declared_ones(self, provider: LLMProvider, model: str) -> None:
        info = next(info for info in provider.models() if info.id == model)
        assert (info.tools, info.json_output, info.vision) == (
            self.supports_tools,
            self.supports_json,
            self.supports_vision,
        )

    def test_listing_is_the_same_each_time(self, provider: LLMProvider) -> None:
        assert list(provider.models()) == list(provider.models())

    # --- answering

    @both_ways
    async def test_an_answer(self, provider: LLMProvider, model: str, streamed: bool) -> None:
        _check_whole(await self.ask(provider, model, QUESTION, streamed=streamed))

    @both_ways
    async def test_unicode(self, provider: LLMProvider, model: str, streamed: bool) -> None:
        assert (await self.ask(provider, model, UNICODE, streamed=streamed)).text.encode("utf-8")

    @both_ways
    async def test_a_system_message_and_a_history_are_taken(
        self, provider: LLMProvider, model: str, streamed: bool
    ) -> None:
        history: list[Message] = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello. How can I help?"},
            {"role": "user", "content": QUESTION},
        ]
        assert (await self.ask(provider, model, history, streamed=streamed)).text

    @both_ways
    async def test_histories_as_clients_send_them_are_taken(
        self, provider: LLMProvider, model: str, streamed: bool
    ) -> None:
        for messages in HISTORIES:
            history = for_model("Be brief.", decode_messages(messages))
            assert (await self.ask(provider, model, history, streamed=streamed)).text, f"no answer to {messages}"

    # --- streaming

    async def test_streams_in_pieces(self, provider: LLMProvider, model: str) -> None:
        models = Models({"suite": provider}, default=f"suite:{model}")
        asked: list[Message] = [{"role": "user", "content": QUESTION}]
        pieces, streamed = await models.begin(models.default, asked, {}, stream=True)
        assert streamed
        texts = [piece.text async for piece in pieces if piece.text]
        assert len(texts) > 1

    async def test_streamed_equals_whole(self, provider: LLMProvider, model: str) -> None:
        self._needs("deterministic")
        whole = await self.ask(provider, model, QUESTION)
        streamed = await self.ask(provider, model, QUESTION, streamed=True)
        assert (streamed.text, streamed.usage) == (whole.text, whole.usage)

    async def test_a_stream_left_early_leaves_the_provider_usable(self, provider: LLMProvider, model: str) -> None:
        models = Models({"suite": provider}, default=f"suite:{model}")
        asked: list[Message] = [{"role": "user", "content": QUESTION}]
        pieces, _ = await models.begin(models.default, asked, {}, stream=True)
        async with aclosing(pieces):
            async for piece in pieces:
                if piece.text:
                    break
        assert (await self.ask(provider, model, QUESTION)).text

    async def test_a_cancelled_call_leaves_the_provider_usable(self, provider: LLMProvider, model: str) -> None:
        models = Models({"suite": provider}, default=f"suite:{model}")
        begun = asyncio.Event()

        async def consume() -> None:
            asked: list[Message] = [{"role": "user", "content": QUESTION}]
            pieces, _ = await models.begin(models.default, asked, {}, stream=True)
            async with aclosing(pieces):
                async for piece in pieces:
                    if piece.text:
                        begun.set()
                        await asyncio.Event().wait()

        task = asyncio.create_task(consume())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await self.ask(provider, model, QUESTION)).text

    # --- parameters

    @both_ways
    async def test_max_tokens(self, provider: LLMProvider, model: str, streamed: bool) -> None:
        self._needs("supports_max_tokens")
        said = await self.ask(provider, model, QUESTION, streamed=streamed, max_tokens=3)
        assert said.finish_reason == "length"
        assert said.usage.output_tokens <= 3

    @both_ways
    async def test_stop(self, provider: LLMProvider, model: str, streamed: bool) -> None:
        self._needs("supports_stop")
        said = await self.ask(provider, model, QUESTION, streamed=streamed, stop=["."])
        assert "." not in said.text
        assert said.finish_reason == "stop"

    async def test_temperature_and_seed_are_taken(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_seed")
        assert (await self.ask(provider, model, QUESTION, temperature=0.2, seed=7)).text

    @both_ways
    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find_customer"}}])
    async def test_a_forced_tool_call(self, provider: LLMProvider, model: str, choice: Any, streamed: bool) -> None:
        self._needs("supports_tools")
        said = await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL], tool_choice=choice)
        (call,) = said.tool_calls
        assert call["function"]["name"] == "find_customer"
        assert json.loads(call["function"]["arguments"]) == {"email": "ann@example.com"}
        assert call["id"]
        assert said.finish_reason == "tool_calls"
        assert said.usage.output_tokens > 0

    @both_ways
    async def test_the_results_of_tools_are_taken_in_any_order(
        self, provider: LLMProvider, model: str, streamed: bool
    ) -> None:
        self._needs("supports_tools")
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": "find_customer", "arguments": arguments}}
            for n, arguments in enumerate(('{"email": "ann@example.com"}', '{"email": "bob@example.com"}'))
        ]
        history: list[Message] = [
            {"role": "user", "content": FIND},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "call_1", "content": "Bob is in Rome."},
            {"role": "tool", "tool_call_id": "call_0", "content": "Ann is in Oslo."},
        ]
        assert (await self.ask(provider, model, for_model("", history), streamed=streamed, tools=[TOOL])).text

    async def test_json_object(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_json")
        said = await self.ask(provider, model, f"{QUESTION} Answer as JSON.", response_format={"type": "json_object"})
        assert isinstance(json.loads(said.text), dict)

    # --- by LangChain

    def test_the_chat_model_answers(self, provider: LLMProvider, model: str) -> None:
        message = provider.chat_model(model, {}).invoke(QUESTION)
        assert message.text
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] > 0

    def test_the_chat_model_streams(self, provider: LLMProvider, model: str) -> None:
        assert "".join(chunk.text for chunk in provider.chat_model(model, {}).stream(QUESTION))

    async def test_the_chat_model_answers_asynchronously(self, provider: LLMProvider, model: str) -> None:
        chat = provider.chat_model(model, {})
        assert (await chat.ainvoke(QUESTION)).text
        assert "".join([chunk.text async for chunk in chat.astream(QUESTION)])

    async def test_the_chat_model_calls_tools(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_tools")
        message = await provider.chat_model(model, {"tools": [TOOL], "tool_choice": "required"}).ainvoke(FIND)
        assert [(call["name"], call["args"]) for call in message.tool_calls] == [
            ("find_customer", {"email": "ann@example.com"})
        ]

    # --- errors

    async def test_unknown_model(self, provider: LLMProvider) -> None:
        """Either at once, or (a provider that passes names on) by the mapped error of the first call."""
        with pytest.raises(UnknownModelError):
            await self._ask_unknown(provider)

    def test_unsupported_parameter_is_named(self, provider: LLMProvider, model: str) -> None:
        if self.unsupported_parameter is None:
            pytest.skip("unsupported_parameter: none declared")
        name, value = self.unsupported_parameter
        with pytest.raises(UnsupportedParameterError) as caught:
            provider.chat_model(model, {name: value})
        assert caught.value.param == name

    def test_errors_of_ours_stay_as_they_are(self, provider: LLMProvider) -> None:
        error = UnsupportedParameterError("no pictures", param="messages")
        assert provider.map_error(error) is error

    def test_any_error_is_mapped(self, provider: LLMProvider) -> None:
        mapped = provider.map_error(RuntimeError("customer Ann's secret"))
        assert isinstance(mapped, TiloresError)
        assert "secret" not in str(mapped)

    # --- concurrency

    async def test_many_at_once(self, provider: LLMProvider, model: str) -> None:
        asked = (self.ask(provider, model, f"{QUESTION} ({number})") for number in range(20))
        assert all(said.text for said in await asyncio.gather(*asked))

    async def _ask_unknown(self, provider: LLMProvider, model: str = "no-such-model-1") -> None:
        try:
            await self.ask(provider, model, QUESTION)
        except Exception as error:
            raise provider.map_error(error) from error

    def _needs(self, capability: str) -> None:
        if not getattr(self, capability):
            pytest.skip(f"{capability} = False")


def _check_whole(said: Completion) -> None:
    assert said.text
    assert said.usage.input_tokens > 0
    assert said.usage.output_tokens > 0
    assert (said.finish_reason, said.ended) == ("stop", True)
