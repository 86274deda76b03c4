"""The provider `google` through langchain-google-genai and its SDK, against a server that speaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask, pieces_of, user
from tilores_core import (
    ContentRefusedError,
    LLMProvider,
    ProviderAuthError,
    ProviderRateLimitedError,
    UnsupportedParameterError,
)
from tilores_core.llm import KeyedProviderSettings, failure_of, load_catalogue
from tilores_core.testing.fake_upstream import ContentRefused, FakeUpstream, HttpError, Reply
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_core.testing.providers import TOOL
from tilores_plugins.providers.google.parameters import FIXED_SAMPLING
from tilores_plugins.providers.google.provider import GoogleProvider

MODEL = "gemini-2.5-flash"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("google") as server:
        yield server


def provider_of(upstream: FakeUpstream, **settings: Any) -> GoogleProvider:
    given = {"base_url": upstream.base_url, "api_key": SecretStr(upstream.key), **settings}
    return GoogleProvider(KeyedProviderSettings(**given), load_catalogue("tilores_plugins.providers.google"))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[GoogleProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestGoogle(LLMProviderWireSuite):
    dialect = "google"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("logit_bias", {"1": 2})

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(key) if key else None)
        return GoogleProvider(settings, load_catalogue("tilores_plugins.providers.google"))

    @pytest.fixture
    def model(self) -> str:
        return MODEL


def test_without_a_key_models_are_listed_as_unavailable_and_asking_names_the_variable() -> None:
    keyless = GoogleProvider(KeyedProviderSettings(), load_catalogue("tilores_plugins.providers.google"))
    assert keyless.models()
    assert all("GOOGLE_API_KEY" in (info.unavailable or "") for info in keyless.models())
    with pytest.raises(ProviderAuthError) as caught:
        keyless.chat_model(MODEL, {})
    assert "GOOGLE_API_KEY" in (caught.value.fix or "")


# --- parameters


async def test_nothing_is_said_that_was_not_asked_for(upstream: FakeUpstream, provider: GoogleProvider) -> None:
    """LangChain would say a temperature of 0.7."""
    await ask(provider, MODEL, HELLO)
    assert upstream.requests[-1].body["generationConfig"] == {"candidateCount": 1}


async def test_parameters_arrive_under_the_protocols_names(upstream: FakeUpstream, provider: GoogleProvider) -> None:
    parameters = {
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": "X",
        "seed": 3,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "none",
    }
    await ask(provider, MODEL, HELLO, parameters)
    assert upstream.requests[-1].body["generationConfig"] == {
        "candidateCount": 1,
        "temperature": 0.2,
        "topP": 0.5,
        "maxOutputTokens": 7,
        "stopSequences": ["X"],
        "seed": 3,
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.25,
        "responseMimeType": "application/json",
        "thinkingConfig": {"thinking_budget": 0},
    }


def test_newer_models_are_told_a_level_of_thinking(provider: GoogleProvider) -> None:
    assert provider.chat_model("gemini-3.8-flash", {"reasoning_effort": "low"}).reasoning_effort == "low"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("model", "parameters", "param"),
    [
        (MODEL, {"tools": [TOOL], "parallel_tool_calls": False}, "parallel_tool_calls"),
        (MODEL, {"stop": ["a", "b", "c", "d", "e", "f"]}, "stop"),
        ("gemini-3.6-flash", {"temperature": 0.2}, "temperature"),
        ("gemini-4-argon", {"top_p": 0.2}, "top_p"),
        ("gemini-3.8-flash", {"reasoning_effort": "none"}, "reasoning_effort"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(
    provider: GoogleProvider, model: str, parameters: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model(model, parameters)
    assert caught.value.param == param


def test_the_models_with_fixed_sampling_are_those_that_langchain_drops_it_for() -> None:
    from langchain_google_genai.chat_models import _FIXED_SAMPLING_AND_NO_PREFILL_MODELS

    assert FIXED_SAMPLING == _FIXED_SAMPLING_AND_NO_PREFILL_MODELS


# --- messages


async def test_an_image_goes_along_as_bytes(upstream: FakeUpstream, provider: GoogleProvider) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]
    await ask(provider, MODEL, user(parts))
    assert upstream.requests[-1].body["contents"][0]["parts"][0]["inlineData"]["mime_type"] == "image/png"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/cat.png"}},
        {"type": "image_url", "image_url": "gs://bucket/cat.png"},
        {"type": "image", "url": "http://127.0.0.1:9/cat.png"},
        {"type": "media", "file_uri": "gs://bucket/cat.png", "mime_type": "image/png"},
    ],
)
async def test_nothing_is_fetched_for_a_caller(
    upstream: FakeUpstream, provider: GoogleProvider, part: dict[str, Any]
) -> None:
    """LangChain would fetch the address from here, and hold up the event loop for it."""
    with pytest.raises(UnsupportedParameterError) as caught:
        await ask(provider, MODEL, user([part]))
    assert caught.value.param == "messages"
    assert not upstream.requests


# --- answers and failures


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_prompt_that_is_blocked_is_a_refusal(
    upstream: FakeUpstream, provider: GoogleProvider, streamed: bool
) -> None:
    """LangChain itself makes an empty answer of it."""
    upstream.enqueue(Reply(fault=ContentRefused()))
    with pytest.raises(ContentRefusedError, match="PROHIBITED_CONTENT"):
        await ask(provider, MODEL, streamed=streamed)


def test_the_wait_that_a_429_asks_for_in_its_body() -> None:
    from google.genai.errors import ClientError

    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down", "details": [info]}}
    assert failure_of(ClientError(429, body)).retry_after == 34.5
    assert failure_of(ClientError(429, {"error": {"code": 429}})).retry_after is None


async def test_a_limit_with_a_header(upstream: FakeUpstream, provider: GoogleProvider) -> None:
    upstream.enqueue(Reply(fault=HttpError(status=429, retry_after=7)))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO)
    mapped = provider.map_error(caught.value)
    assert isinstance(mapped, ProviderRateLimitedError)
    assert mapped.retry_after == 7
    assert len(upstream.requests) == 1


async def test_a_stream_left_early_closes_the_connection(upstream: FakeUpstream, provider: GoogleProvider) -> None:
    """The SDK itself leaves it open until its objects are collected."""
    upstream.enqueue(Reply(text="one two three four five six", between=0.05))
    pieces = await pieces_of(provider, MODEL)
    await anext(pieces)
    await pieces.aclose()
    assert await upstream.until(lambda: upstream.disconnects == 1)


async def test_silence_within_an_answer_ends_it(upstream: FakeUpstream) -> None:
    provider = provider_of(upstream, timeout_seconds=0.2)
    upstream.enqueue(Reply(text="one two three", between=2.0))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO, streamed=True)
    await provider.aclose()
    assert "does not answer in time" in str(provider.map_error(caught.value))


async def test_streamed_usage_is_counted_once(provider: GoogleProvider) -> None:
    whole = await ask(provider, MODEL, HELLO)
    last = await ask(provider, MODEL, HELLO, streamed=True)
    assert last.usage == whole.usage
