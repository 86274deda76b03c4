"""The provider `openai` through langchain-openai and the openai SDK, against a server that speaks the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import ask, user
from tilores_core import LLMProvider, ProviderAuthError, UnsupportedParameterError
from tilores_core.llm import KeyedProviderSettings, ModelSettings, load_catalogue
from tilores_core.llm.normalizer import Completion
from tilores_core.testing.fake_upstream import FakeUpstream, Reply, ToolCall
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.openai.provider import OpenAIProvider

CHAT = "gpt-4o-mini"
REASONING = "gpt-5.5"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("openai") as server:
        yield server


def provider_of(upstream: FakeUpstream, **settings: Any) -> OpenAIProvider:
    given = {"base_url": upstream.base_url, "api_key": SecretStr(upstream.key), **settings}
    return OpenAIProvider(KeyedProviderSettings(**given), load_catalogue("tilores_plugins.providers.openai"))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[OpenAIProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestOpenAI(LLMProviderWireSuite):
    dialect = "openai"
    no_state = "OpenAI's chat completions send nothing with a tool call that must come back"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("reasoning_effort", "high")

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        return provider_of(upstream, api_key=SecretStr(key or ""))

    @pytest.fixture
    def model(self) -> str:
        return CHAT


async def asked(provider: OpenAIProvider, model: str, **parameters: Any) -> Completion:
    return await ask(provider, model, user("Hello, as JSON"), parameters)


async def streamed(provider: OpenAIProvider, model: str, **parameters: Any) -> Completion:
    return await ask(provider, model, user("Hello, as JSON"), parameters, streamed=True)


# --- without a key


def keyless() -> OpenAIProvider:
    return OpenAIProvider(KeyedProviderSettings(), load_catalogue("tilores_plugins.providers.openai"))


def test_without_a_key_every_model_is_listed_with_the_variable_to_set() -> None:
    models = keyless().models()
    assert models
    assert all("OPENAI_API_KEY" in (info.unavailable or "") for info in models)


def test_without_a_key_asking_names_the_variable() -> None:
    with pytest.raises(ProviderAuthError) as caught:
        keyless().chat_model(CHAT, {})
    assert "OPENAI_API_KEY" in (caught.value.fix or "")


# --- what goes over the wire


async def test_parameters_arrive_under_the_protocols_names(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    await asked(
        provider,
        CHAT,
        temperature=0.2,
        top_p=0.5,
        max_tokens=7,
        stop="X",
        seed=3,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        logit_bias={"1": 2.0},
        response_format={"type": "json_object"},
    )
    body = dict(upstream.requests[-1].body)
    del body["messages"]
    assert body == {
        "model": CHAT,
        "stream": False,
        "temperature": 0.2,
        "top_p": 0.5,
        "max_completion_tokens": 7,
        "stop": ["X"],
        "seed": 3,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "logit_bias": {"1": 2},
        "response_format": {"type": "json_object"},
    }


async def test_a_reasoning_model_with_a_temperature_gets_it(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    await asked(provider, "gpt-5.4-mini", temperature=0.2, max_completion_tokens=50)
    assert upstream.requests[-1].body["temperature"] == 0.2
    assert upstream.requests[-1].body["max_completion_tokens"] == 50
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model("gpt-5.4-mini", {"temperature": 0.2, "reasoning_effort": "high"})
    assert caught.value.param == "temperature"


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.2), ("stop", ["."]), ("logit_bias", {"1": 1})])
def test_a_reasoning_model_refuses_what_it_cannot_take(
    upstream: FakeUpstream, provider: OpenAIProvider, name: str, value: Any
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model(REASONING, {name: value})
    assert caught.value.param == name
    assert REASONING in caught.value.message


def test_a_value_that_changes_nothing_is_left_out(upstream: FakeUpstream) -> None:
    assert provider_of(upstream).chat_model(REASONING, {"temperature": 1.0, "presence_penalty": 0.0, "top_p": 1.0})


async def test_image_parts_arrive(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    await ask(provider, CHAT, user([{"type": "text", "text": "What is this?"}, image]))
    assert image in upstream.requests[-1].body["messages"][-1]["content"]


# --- what comes back


async def test_usage_and_end_are_known_whole_and_streamed(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    upstream.otherwise = Reply("Her balance is 40 dollars.", input_tokens=11, output_tokens=5)
    whole = await asked(provider, CHAT)
    last = await streamed(provider, CHAT)
    for completion in (whole, last):
        assert completion.text == "Her balance is 40 dollars."
        assert (completion.usage.input_tokens, completion.usage.output_tokens) == (11, 5)
        assert completion.finish_reason == "stop"


async def test_an_answer_cut_by_its_limit_is_an_answer_with_json_too(
    upstream: FakeUpstream, provider: OpenAIProvider
) -> None:
    upstream.otherwise = Reply('{"a": 1', finish="length")
    for parameters in ({}, {"response_format": {"type": "json_object"}}):
        assert (await asked(provider, CHAT, **parameters)).finish_reason == "length"
        assert (await streamed(provider, CHAT, **parameters)).finish_reason == "length"


async def test_tool_calls_whole_and_streamed(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    calls = (ToolCall("find", {"email": "e@example.com"}), ToolCall("find", {"email": "f@example.com"}))
    upstream.otherwise = Reply(tool_calls=calls)
    whole = await asked(provider, CHAT, tools=[tool], parallel_tool_calls=True)
    last = await streamed(provider, CHAT, tools=[tool], parallel_tool_calls=True)
    for completion in (whole, last):
        assert [call["function"]["name"] for call in completion.tool_calls] == ["find", "find"]
        assert "f@example.com" in completion.tool_calls[1]["function"]["arguments"]
        assert completion.finish_reason == "tool_calls"
    assert upstream.requests[-1].body["parallel_tool_calls"] is True


# --- settings


def test_settings_add_correct_and_limit_models(upstream: FakeUpstream) -> None:
    provider = provider_of(
        upstream,
        models={
            "gpt-mine": ModelSettings(context_window=1000, input_price=1.5, tools=False),
            CHAT: ModelSettings(input_price=9.0),
        },
        only=("gpt-mine", CHAT),
    )
    listed = {info.id: info for info in provider.models()}
    assert set(listed) == {"gpt-mine", CHAT}
    assert listed["gpt-mine"].context_window == 1000
    assert listed[CHAT].input_price == 9.0
    assert listed[CHAT].context_window == 128_000
    with pytest.raises(UnsupportedParameterError):
        provider.chat_model("gpt-mine", {"tools": [{"type": "function", "function": {"name": "f"}}]})
    with pytest.raises(Exception, match="limited to some models"):
        provider.chat_model("gpt-4.1", {})


def test_an_unlisted_model_is_passed_on_a_dated_one_known(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    assert provider.chat_model("gpt-something-new", {"temperature": 0.5, "reasoning_effort": "low"})
    with pytest.raises(UnsupportedParameterError):
        provider.chat_model("gpt-5.5-2026-04-23", {"temperature": 0.5})


# --- the transport


async def test_64_calls_are_in_flight_at_once(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    most = 0
    upstream.otherwise = Reply("Good day.", seconds=0.3)
    calls = [asyncio.create_task(ask(provider, CHAT)) for _ in range(64)]
    while not all(call.done() for call in calls):
        most = max(most, upstream.running)
        await asyncio.sleep(0.005)  # looked at now and then while they run
    assert [call.result().text for call in calls] == ["Good day."] * 64
    assert most == 64


async def test_chat_models_of_one_provider_share_their_connections(
    upstream: FakeUpstream, provider: OpenAIProvider
) -> None:
    first, second = provider.chat_model(CHAT, {}), provider.chat_model("gpt-4.1", {"seed": 1})
    assert first.root_async_client._client is second.root_async_client._client  # type: ignore[attr-defined]
    assert first.root_async_client.max_retries == 0  # type: ignore[attr-defined]
