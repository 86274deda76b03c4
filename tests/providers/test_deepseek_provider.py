"""The provider `deepseek` against a server that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import ask
from tilores_core import ContentRefusedError, LLMProvider, ProviderQuotaError, UnknownModelError
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.testing.fake_upstream import ContentRefused, FakeUpstream, HttpError, Reply, ReplyLike
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.deepseek.provider import DeepSeekProvider

MODEL = "deepseek-v4-pro"


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("deepseek") as server:
        yield server


def provider_of(upstream: FakeUpstream, key: str | None) -> DeepSeekProvider:
    settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(key or ""))
    return DeepSeekProvider(settings, load_catalogue("tilores_plugins.providers.deepseek"))


@pytest.fixture
def deepseek(upstream: FakeUpstream) -> DeepSeekProvider:
    return provider_of(upstream, upstream.key)


class TestDeepSeek(LLMProviderWireSuite):
    dialect = "deepseek"
    supports_seed = False
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("seed", 7)

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        return provider_of(upstream, key)

    @pytest.fixture
    def model(self) -> str:
        return MODEL


async def test_reasoning_is_no_part_of_the_text(upstream: FakeUpstream, deepseek: DeepSeekProvider) -> None:
    upstream.otherwise = Reply("Forty dollars.", reasoning="Let me see.", input_tokens=9, output_tokens=4)
    whole = await ask(deepseek, MODEL)
    last = await ask(deepseek, MODEL, streamed=True)
    for said in (whole, last):
        assert (said.text, said.finish_reason) == ("Forty dollars.", "stop")
        assert (said.usage.input_tokens, said.usage.output_tokens) == (9, 4)
    await deepseek.aclose()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(ContentRefused(), ContentRefusedError), (HttpError(status=429, quota=True), ProviderQuotaError)],
)
async def test_its_own_words_for_errors_are_known(
    upstream: FakeUpstream, deepseek: DeepSeekProvider, reply: ReplyLike, kind: type[Exception]
) -> None:
    upstream.otherwise = reply
    with pytest.raises(Exception) as caught:  # noqa: PT011 - an SDK's; what matters is what becomes of it
        await ask(deepseek, MODEL)
    assert isinstance(deepseek.map_error(caught.value), kind)
    await deepseek.aclose()


async def test_a_model_that_it_does_not_have(deepseek: DeepSeekProvider) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await ask(deepseek, "no-such-model")
    assert isinstance(deepseek.map_error(caught.value), UnknownModelError)
    await deepseek.aclose()
