"""The provider `groq` against a server that speaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask, pieces_of
from tilores_core import LLMProvider, ProviderAuthError, ProviderUnavailableError, UnsupportedParameterError
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.testing.fake_upstream import ErrorEvent, FakeUpstream, MalformedReply, Reply
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.groq.provider import GroqProvider

MODEL = "llama-3.3-70b-versatile"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("groq") as server:
        yield server


def provider_of(upstream: FakeUpstream) -> GroqProvider:
    settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
    return GroqProvider(settings, load_catalogue("tilores_plugins.providers.groq"))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[GroqProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestGroq(LLMProviderWireSuite):
    dialect = "groq"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("presence_penalty", 0.5)

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(key) if key else None)
        return GroqProvider(settings, load_catalogue("tilores_plugins.providers.groq"))

    @pytest.fixture
    def model(self) -> str:
        return "meta-llama/llama-4-scout-17b-16e-instruct"


def test_without_a_key_models_are_listed_as_unavailable_and_asking_names_the_variable() -> None:
    keyless = GroqProvider(KeyedProviderSettings(), load_catalogue("tilores_plugins.providers.groq"))
    assert keyless.models()
    assert all("GROQ_API_KEY" in (info.unavailable or "") for info in keyless.models())
    with pytest.raises(ProviderAuthError) as caught:
        keyless.chat_model(MODEL, {})
    assert "GROQ_API_KEY" in (caught.value.fix or "")


async def test_nothing_is_said_that_was_not_asked_for(upstream: FakeUpstream, provider: GroqProvider) -> None:
    """LangChain would say a temperature of 0.7 and a service tier."""
    await ask(provider, MODEL, HELLO)
    assert set(upstream.requests[-1].body) == {"messages", "model", "stream"}


async def test_parameters_arrive_under_the_protocols_names(upstream: FakeUpstream, provider: GroqProvider) -> None:
    parameters = {"temperature": 0.2, "top_p": 0.5, "max_tokens": 7, "stop": "X", "seed": 3}
    await ask(provider, MODEL, HELLO, parameters)
    body = upstream.requests[-1].body
    assert {name: body[name] for name in parameters} == {**parameters, "stop": ["X"]}


async def test_a_model_that_thinks_aloud_is_asked_not_to(upstream: FakeUpstream, provider: GroqProvider) -> None:
    await ask(provider, "qwen/qwen3-32b", HELLO)
    assert upstream.requests[-1].body["reasoning_format"] == "parsed"


def test_five_stop_strings_are_one_too_many(provider: GroqProvider) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model(MODEL, {"stop": ["a", "b", "c", "d", "e"]})
    assert caught.value.param == "stop"


async def test_streamed_usage_is_filled(provider: GroqProvider) -> None:
    last = await ask(provider, MODEL, HELLO, streamed=True)
    assert last.usage.input_tokens > 0
    assert last.usage.output_tokens > 0


@pytest.mark.parametrize("leaving", ["early", "by an error"])
async def test_a_stream_that_does_not_end_closes_the_connection(
    upstream: FakeUpstream, provider: GroqProvider, leaving: str
) -> None:
    fault = ErrorEvent() if leaving == "by an error" else None
    upstream.enqueue(Reply(text="one two three four five", between=0.05, fault=fault))
    pieces = await pieces_of(provider, MODEL)
    if fault:
        with pytest.raises(Exception, match=r".") as caught:
            [piece async for piece in pieces]
        assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)
    else:
        await anext(pieces)
        await pieces.aclose()
        assert await upstream.until(lambda: upstream.disconnects == 1)
    assert (await ask(provider, MODEL, HELLO)).text


async def test_a_page_in_place_of_an_answer(upstream: FakeUpstream, provider: GroqProvider) -> None:
    upstream.enqueue(Reply(fault=MalformedReply()))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO)
    assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)
