"""The provider `openrouter` through langchain-openai, against a server that speaks its dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from tilores_core import ContentRefusedError, LLMProvider, ProviderQuotaError, ProviderUnavailableError
from tilores_core.chat.langchain_adapter import invoke, stream
from tilores_core.llm import load_catalogue
from tilores_core.testing.fake_upstream import ContentRefused, ErrorEvent, FakeUpstream, HttpError, Reply, ReplyLike
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.openrouter.provider import OpenRouterProvider
from tilores_plugins.providers.openrouter.settings import Settings

MODEL = "google/gemini-3.8-flash"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("openrouter") as server:
        yield server


def provider_of(upstream: FakeUpstream, **settings: Any) -> OpenRouterProvider:
    given = {"base_url": upstream.base_url, "api_key": SecretStr(upstream.key), **settings}
    return OpenRouterProvider(Settings(**given), load_catalogue("tilores_plugins.providers.openrouter"))


@pytest.fixture
async def openrouter(upstream: FakeUpstream) -> AsyncIterator[OpenRouterProvider]:
    made = provider_of(upstream, app_title="Desk", app_url="https://desk.example")
    yield made
    await made.aclose()


class TestOpenRouter(LLMProviderWireSuite):
    dialect = "openrouter"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("logprobs", True)

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        return provider_of(upstream, api_key=SecretStr(key or ""))

    @pytest.fixture
    def model(self) -> str:
        return MODEL


async def test_the_application_is_named_only_when_the_settings_say_so(
    upstream: FakeUpstream, openrouter: OpenRouterProvider
) -> None:
    await invoke(openrouter.chat_model(MODEL, {}), ["Hello"])  # type: ignore[list-item]
    headers = upstream.requests[-1].headers
    assert (headers["x-title"], headers["http-referer"]) == ("Desk", "https://desk.example")
    unnamed = provider_of(upstream)
    await invoke(unnamed.chat_model(MODEL, {}), ["Hello"])  # type: ignore[list-item]
    assert not {"x-title", "http-referer"} & set(upstream.requests[-1].headers)
    await unnamed.aclose()


def test_a_title_that_is_no_header_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(app_title="one\r\ntwo: three")


async def test_what_it_cost_is_in_the_metadata(upstream: FakeUpstream, openrouter: OpenRouterProvider) -> None:
    upstream.otherwise = Reply("Good day.", input_tokens=30, output_tokens=10)
    chat = openrouter.chat_model(MODEL, {})
    whole = await chat.ainvoke("Hello")
    pieces = [piece async for piece in chat.astream("Hello")]
    assert whole.response_metadata["cost"] == pytest.approx(40e-6)
    assert [piece.response_metadata["cost"] for piece in pieces if "cost" in piece.response_metadata] == [
        pytest.approx(40e-6)
    ]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (ContentRefused(), ContentRefusedError),
        (HttpError(status=429, quota=True), ProviderQuotaError),
        (ErrorEvent(after=2, status=502), ProviderUnavailableError),
    ],
)
async def test_its_own_words_for_errors_are_known(
    upstream: FakeUpstream, openrouter: OpenRouterProvider, reply: ReplyLike, kind: type[Exception]
) -> None:
    upstream.otherwise = reply
    chat = openrouter.chat_model(MODEL, {})
    with pytest.raises(Exception) as caught:  # noqa: PT011 - an SDK's; what matters is what becomes of it
        _ = [item async for item in stream(chat, [("user", "Hello")])]  # type: ignore[list-item]
    assert isinstance(openrouter.map_error(caught.value), kind)


async def test_an_error_with_status_200_is_an_error(upstream: FakeUpstream, openrouter: OpenRouterProvider) -> None:
    from tilores_core.llm.openai_chat import CompatibleChat

    chat = openrouter.chat_model(MODEL, {})
    assert isinstance(chat, CompatibleChat)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        chat._create_chat_result({"error": {"code": 502, "message": "Upstream said: the customer's question"}})
    mapped = openrouter.map_error(caught.value)
    assert isinstance(mapped, ProviderUnavailableError)
    assert "question" not in str(mapped)
