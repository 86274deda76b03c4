"""The provider `openrouter` through langchain-openai, against a server that speaks its dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr, ValidationError

from tests.providers.asked import ask
from tilores_core import ContentRefusedError, LLMProvider, ProviderQuotaError, ProviderUnavailableError
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
    await ask(openrouter, MODEL)
    headers = upstream.requests[-1].headers
    assert (headers["x-title"], headers["http-referer"]) == ("Desk", "https://desk.example")
    unnamed = provider_of(upstream)
    await ask(unnamed, MODEL)
    assert not {"x-title", "http-referer"} & set(upstream.requests[-1].headers)
    await unnamed.aclose()


def test_a_title_that_is_no_header_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(app_title="one\r\ntwo: three")


async def test_what_it_cost_is_in_the_metadata(upstream: FakeUpstream, openrouter: OpenRouterProvider) -> None:
    upstream.otherwise = Reply("Good day.", input_tokens=30, output_tokens=10)
    for streamed in (False, True):
        assert (await ask(openrouter, MODEL, streamed=streamed)).cost == pytest.approx(40e-6)


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
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what matters is what becomes of it
        await ask(openrouter, MODEL, streamed=True)
    assert isinstance(openrouter.map_error(caught.value), kind)
