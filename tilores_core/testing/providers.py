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

A capability that is declared missing skips its tests by name. Needs the extra `tilores-core[testing]`, with
`asyncio_mode = "auto"`. A provider that asks over HTTP passes `LLMProviderWireSuite` as well, in
`tilores_core.testing.provider_wire`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tilores_core.contracts import LLMProvider, ModelInfo
from tilores_core.errors import TiloresError, UnknownModelError, UnsupportedParameterError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk

QUESTION = "In two or three sentences, say what you can do."
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

    def chat(self, provider: LLMProvider, model: str, **parameters: Any) -> BaseChatModel:
        return provider.chat_model(model, parameters)

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

    def test_invoke(self, provider: LLMProvider, model: str) -> None:
        _check_whole(self.chat(provider, model).invoke(QUESTION))

    async def test_ainvoke(self, provider: LLMProvider, model: str) -> None:
        _check_whole(await self.chat(provider, model).ainvoke(QUESTION))

    async def test_names_the_model_that_answered(self, provider: LLMProvider, model: str) -> None:
        message = await self.chat(provider, model).ainvoke(QUESTION)
        assert message.response_metadata["model_name"]

    async def test_unicode(self, provider: LLMProvider, model: str) -> None:
        message = await self.chat(provider, model).ainvoke(UNICODE)
        assert message.text.encode("utf-8")

    async def test_a_system_message_and_a_history_are_taken(self, provider: LLMProvider, model: str) -> None:
        history = [
            ("system", "Be brief."),
            ("user", "Hello"),
            ("assistant", "Hello. How can I help?"),
            ("user", QUESTION),
        ]
        assert (await self.chat(provider, model).ainvoke(history)).text

    # --- streaming

    async def test_streams_in_pieces_with_usage_once(self, provider: LLMProvider, model: str) -> None:
        chunks = [chunk async for chunk in self.chat(provider, model).astream(QUESTION)]
        assert sum(1 for chunk in chunks if chunk.text) > 1
        assert "".join(chunk.text for chunk in chunks)
        whole = _merged(chunks)
        assert whole.usage_metadata is not None
        assert whole.usage_metadata["input_tokens"] > 0
        assert whole.usage_metadata["output_tokens"] > 0
        assert whole.response_metadata["finish_reason"] == "stop"

    async def test_streamed_equals_whole(self, provider: LLMProvider, model: str) -> None:
        self._needs("deterministic")
        chat = self.chat(provider, model)
        whole = await chat.ainvoke(QUESTION)
        streamed = _merged([chunk async for chunk in chat.astream(QUESTION)])
        assert streamed.text == whole.text
        assert streamed.usage_metadata == whole.usage_metadata

    def test_synchronous_stream(self, provider: LLMProvider, model: str) -> None:
        assert "".join(chunk.text for chunk in self.chat(provider, model).stream(QUESTION))

    async def test_a_stream_left_early_leaves_the_provider_usable(self, provider: LLMProvider, model: str) -> None:
        chat = self.chat(provider, model)
        async with aclosing(chat.astream(QUESTION)) as stream:  # type: ignore[type-var]  # LangChain's is a generator
            async for chunk in stream:
                if chunk.text:
                    break
        assert (await chat.ainvoke(QUESTION)).text

    async def test_a_cancelled_call_leaves_the_provider_usable(self, provider: LLMProvider, model: str) -> None:
        chat = self.chat(provider, model)
        begun = asyncio.Event()

        async def consume() -> None:
            async for chunk in chat.astream(QUESTION):
                if chunk.text:
                    begun.set()
                    await asyncio.Event().wait()

        task = asyncio.create_task(consume())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await chat.ainvoke(QUESTION)).text

    # --- parameters

    async def test_max_tokens(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_max_tokens")
        message = await self.chat(provider, model, max_tokens=3).ainvoke(QUESTION)
        assert message.response_metadata["finish_reason"] == "length"
        assert message.usage_metadata is not None
        assert message.usage_metadata["output_tokens"] <= 3

    async def test_stop(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_stop")
        message = await self.chat(provider, model, stop=["."]).ainvoke(QUESTION)
        assert "." not in message.text
        assert message.response_metadata["finish_reason"] == "stop"

    async def test_temperature_and_seed_are_taken(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_seed")
        assert (await self.chat(provider, model, temperature=0.2, seed=7).ainvoke(QUESTION)).text

    async def test_forced_tool_call(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_tools")
        chat = self.chat(provider, model, tools=[TOOL], tool_choice="required")
        message = await chat.ainvoke("Find the customer with the e-mail address ann@example.com")
        _check_tool_call(message)

    async def test_streamed_tool_call(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_tools")
        choice = {"type": "function", "function": {"name": "find_customer"}}
        chat = self.chat(provider, model, tools=[TOOL], tool_choice=choice)
        question = "Find the customer with the e-mail address ann@example.com"
        _check_tool_call(_merged([chunk async for chunk in chat.astream(question)]))

    async def test_json_object(self, provider: LLMProvider, model: str) -> None:
        self._needs("supports_json")
        chat = self.chat(provider, model, response_format={"type": "json_object"})
        assert isinstance(json.loads((await chat.ainvoke(f"{QUESTION} Answer as JSON.")).text), dict)

    # --- errors

    def test_unknown_model(self, provider: LLMProvider) -> None:
        """Either at once, or (a provider that passes names on) by the mapped error of the first call."""
        with pytest.raises(UnknownModelError):
            self._ask_unknown(provider)

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
        chat = self.chat(provider, model)
        messages = await asyncio.gather(*(chat.ainvoke(f"{QUESTION} ({number})") for number in range(20)))
        assert all(message.text for message in messages)

    def _ask_unknown(self, provider: LLMProvider) -> None:
        chat = provider.chat_model("no-such-model-1", {})
        try:
            chat.invoke(QUESTION)
        except Exception as error:
            raise provider.map_error(error) from error

    def _needs(self, capability: str) -> None:
        if not getattr(self, capability):
            pytest.skip(f"{capability} = False")


def _check_whole(message: AIMessage) -> None:
    assert message.text
    assert message.usage_metadata is not None
    usage: Mapping[str, Any] = message.usage_metadata
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert message.response_metadata["finish_reason"] == "stop"


def _check_tool_call(message: AIMessage) -> None:
    assert [call["name"] for call in message.tool_calls] == ["find_customer"]
    assert message.tool_calls[0]["args"] == {"email": "ann@example.com"}
    assert message.tool_calls[0]["id"]
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert message.usage_metadata is not None


def _merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    assert chunks
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole
