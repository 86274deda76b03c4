"""Silence, an empty account and a reset, and what the engine is told of them; the suite has the other faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from tests.providers.asked import ask, user
from tilores_core import ProviderQuotaError, ProviderUnavailableError
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.testing.fake_upstream import FakeUpstream, Fault, Hang, HttpError, Reply, Reset, Stall
from tilores_core.testing.waiting import eventually
from tilores_plugins.providers.openai.provider import OpenAIProvider

MODEL = "gpt-4o-mini"
QUESTION = "What does Edwina Hawthorne owe?"
ANSWER = "She owes forty dollars and ten cents."


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream("openai") as server:
        yield server


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[OpenAIProvider]:
    settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key), timeout_seconds=0.4)
    made = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
    yield made
    await made.aclose()


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (HttpError(status=429, quota=True), ProviderQuotaError),
        (Hang(), ProviderUnavailableError),
        (Hang(headers=True), ProviderUnavailableError),
        (Stall(), ProviderUnavailableError),
    ],
    ids=repr,
)
async def test_a_fault_is_told_once_and_tells_nothing_of_the_question(
    upstream: FakeUpstream, provider: OpenAIProvider, fault: Fault, kind: type[Exception], streamed: bool
) -> None:
    upstream.otherwise = Reply(ANSWER, fault=fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what matters is what becomes of it
        await ask(provider, MODEL, user(QUESTION), streamed=streamed)
    error = provider.map_error(caught.value)
    assert type(error) is kind
    assert "Edwina" not in str(error)
    assert sum(upstream.counts.values()) == 1


async def test_call_without_a_free_connection_ends_after_the_connect_seconds(upstream: FakeUpstream) -> None:
    settings = KeyedProviderSettings(
        base_url=upstream.base_url, api_key=SecretStr(upstream.key), connect_seconds=0.2, max_connections=1
    )
    provider = OpenAIProvider(settings, load_catalogue("tilores_plugins.providers.openai"))
    upstream.otherwise = Hang()
    holder = asyncio.create_task(ask(provider, MODEL, user(QUESTION)))
    await eventually(lambda: sum(upstream.counts.values()) == 1)
    async with asyncio.timeout(60):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await ask(provider, MODEL, user(QUESTION))
    assert type(provider.map_error(caught.value)) is ProviderUnavailableError
    assert sum(upstream.counts.values()) == 1
    holder.cancel()
    await asyncio.wait({holder})
    await provider.aclose()


async def test_a_reset_is_no_slow_answer(upstream: FakeUpstream, provider: OpenAIProvider) -> None:
    upstream.otherwise = Reset()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await ask(provider, MODEL, user(QUESTION))
    assert "broke the connection" in str(provider.map_error(caught.value))
