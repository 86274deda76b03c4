"""The provider `mistral` against a server that speaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask
from tilores_core import LLMProvider, ProviderAuthError, ProviderUnavailableError, UnsupportedParameterError
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.testing.fake_upstream import ErrorEvent, FakeUpstream, HttpError, Reply, Reset
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.mistral.provider import MistralProvider

MODEL = "mistral-medium-latest"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("mistral") as server:
        yield server


def provider_of(upstream: FakeUpstream) -> MistralProvider:
    settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
    return MistralProvider(settings, load_catalogue("tilores_plugins.providers.mistral"))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[MistralProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestMistral(LLMProviderWireSuite):
    dialect = "mistral"
    no_state = "Mistral's thoughts are parts of a text, which need not come back"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("logit_bias", {"1": 2})

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(key) if key else None)
        return MistralProvider(settings, load_catalogue("tilores_plugins.providers.mistral"))

    @pytest.fixture
    def model(self) -> str:
        return MODEL


def test_without_a_key_models_are_listed_as_unavailable_and_asking_names_the_variable() -> None:
    keyless = MistralProvider(KeyedProviderSettings(), load_catalogue("tilores_plugins.providers.mistral"))
    assert keyless.models()
    assert all("MISTRAL_API_KEY" in (info.unavailable or "") for info in keyless.models())
    with pytest.raises(ProviderAuthError) as caught:
        keyless.chat_model(MODEL, {})
    assert "MISTRAL_API_KEY" in (caught.value.fix or "")


async def test_nothing_is_said_that_was_not_asked_for(upstream: FakeUpstream, provider: MistralProvider) -> None:
    """LangChain would say a temperature of 0.7."""
    await ask(provider, MODEL, HELLO)
    assert set(upstream.requests[-1].body) == {"messages", "model", "stream"}


async def test_parameters_arrive_under_the_names_of_the_protocol(
    upstream: FakeUpstream, provider: MistralProvider
) -> None:
    parameters = {"temperature": 0.2, "top_p": 0.5, "max_tokens": 7, "stop": "X", "seed": 3, "presence_penalty": 0.5}
    await ask(provider, MODEL, HELLO, parameters)
    body = dict(upstream.requests[-1].body)
    assert body.pop("random_seed") == 3
    assert body["stop"] == ["X"]
    assert {name: body[name] for name in ("temperature", "top_p", "max_tokens", "presence_penalty")} == {
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 7,
        "presence_penalty": 0.5,
    }


def test_a_temperature_above_one_is_refused_by_name(provider: MistralProvider) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model(MODEL, {"temperature": 1.5})
    assert caught.value.param == "temperature"


@pytest.mark.parametrize("status", [500, 503])
async def test_an_error_in_a_stream_is_one(upstream: FakeUpstream, provider: MistralProvider, status: int) -> None:
    """LangChain itself takes it for the end."""
    upstream.enqueue(Reply(text="one two three", fault=ErrorEvent(after=2, status=status)))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO, streamed=True)
    assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)


async def test_one_call_is_one_request(upstream: FakeUpstream, provider: MistralProvider) -> None:
    """`max_retries` of LangChain's package counts attempts."""
    upstream.enqueue(Reply(fault=HttpError(status=503)))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO)
    assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)
    assert len(upstream.requests) == 1


async def test_streamed_usage_is_filled(provider: MistralProvider) -> None:
    last = await ask(provider, MODEL, HELLO, streamed=True)
    assert last.usage.input_tokens > 0
    assert last.usage.output_tokens > 0


async def test_a_closed_connection_is_no_timeout(upstream: FakeUpstream, provider: MistralProvider) -> None:
    """httpx-aiohttp says that it was one."""
    upstream.enqueue(Reply(fault=Reset()))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO)
    assert "cannot be reached" in str(provider.map_error(caught.value))


async def test_that_nobody_listens_is_no_timeout() -> None:
    async with FakeUpstream("mistral") as gone:
        provider = provider_of(gone)
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO)
    await provider.aclose()
    assert "cannot be reached" in str(provider.map_error(caught.value))
