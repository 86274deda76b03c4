"""A chat model of OpenAI's protocol that was asked before: its later calls have the first one's head."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar

import httpx2
import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from tilores_core import LLMProvider
from tilores_core.llm import HttpClients, KeyedProviderSettings, load_catalogue
from tilores_core.llm.openai_chat import CompatibleChat
from tilores_core.llm.openai_wire import Endpoint
from tilores_core.testing.fake_upstream import FakeUpstream, HttpError
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_plugins.providers.openai.provider import OpenAIProvider

MODEL = "gpt-4o-mini"
OF_THE_BODY = {"content-length"}


class AskedBefore(OpenAIProvider):
    """Gives one and the same chat model to all who want it without parameters."""

    kept: BaseChatModel | None = None

    def chat_model(self, model: str, parameters: Mapping[str, Any]) -> BaseChatModel:
        if self.kept is not None and model == MODEL and not parameters:
            return self.kept
        return super().chat_model(model, parameters)


def provider_of(upstream: FakeUpstream, key: str | None) -> AskedBefore:
    settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(key or ""))
    return AskedBefore(settings, load_catalogue("tilores_plugins.providers.openai"))


async def warmed(upstream: FakeUpstream) -> AskedBefore:
    made = provider_of(upstream, upstream.key)
    made.kept = made.chat_model(MODEL, {})
    await made.kept.ainvoke("Good morning")
    assert await upstream.until(lambda: upstream.running == 0)
    upstream.clear()
    return made


class TestAskedBefore(LLMProviderWireSuite):
    """Answers, faults and cancellations are what they are at the first call."""

    dialect = "openai"
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("reasoning_effort", "high")

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        return provider_of(upstream, key)

    @pytest.fixture
    async def provider(self, upstream: FakeUpstream) -> AsyncIterator[LLMProvider]:
        made = await warmed(upstream)
        yield made
        await made.aclose()

    @pytest.fixture
    def model(self) -> str:
        return MODEL


async def test_a_later_call_differs_from_the_first_in_its_body_alone() -> None:
    async with FakeUpstream("openai") as upstream:
        provider = provider_of(upstream, upstream.key)
        chat = provider.chat_model(MODEL, {"seed": 7})
        await chat.ainvoke([HumanMessage("The first question")])
        await chat.ainvoke([HumanMessage("Another, which is somewhat longer")])
        [_ async for _ in chat.astream([HumanMessage("And a third")])]
        first, *later = upstream.requests
        await provider.aclose()
    assert [one.body["messages"][0]["content"] for one in later] == [
        "Another, which is somewhat longer",
        "And a third",
    ]
    assert [one.streamed for one in later] == [False, True]
    for one in later:
        assert _head(one.headers) == _head(first.headers)
        assert (one.path, one.body["seed"]) == (first.path, 7)


def _head(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_THE_BODY}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 529])
async def test_later_errors_are_the_first_ones(status: int) -> None:
    async with FakeUpstream("openai") as upstream:
        provider = provider_of(upstream, upstream.key)
        chat = provider.chat_model(MODEL, {})
        caught = []
        for fault in (True, False, True):
            if fault:
                upstream.enqueue(HttpError(status=status))
                with pytest.raises(openai.APIStatusError) as raised:
                    await chat.ainvoke("Hello")
                caught.append(raised.value)
            else:
                await chat.ainvoke("Hello")
        await provider.aclose()
    first, later = caught
    assert type(later) is type(first)
    assert (str(later), later.body, later.status_code) == (str(first), first.body, status)


async def test_a_copy_with_another_client_asks_by_that() -> None:
    async with FakeUpstream("openai") as one, FakeUpstream("openai") as other:
        provider = provider_of(one, one.key)
        chat = provider.chat_model(MODEL, {})
        await chat.ainvoke("Hello")
        sdk = chat.root_async_client.with_options(base_url=other.base_url)  # type: ignore[attr-defined]
        await chat.model_copy(update={"root_async_client": sdk}).ainvoke("Hello")
        await chat.ainvoke("Hello")
        counts = len(one.requests), len(other.requests)
        await provider.aclose()
    assert counts == (2, 1)


async def test_where_a_redirect_led_is_not_asked_directly_later() -> None:
    asked: list[str] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        if request.url.host == "first":
            return httpx2.Response(307, headers={"location": "http://second/v1/chat/completions"})
        return httpx2.Response(200, json={"choices": []})

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(serve), follow_redirects=True) as client:
        sdk = openai.AsyncOpenAI(api_key="sk-test", base_url="http://first/v1", http_client=client, max_retries=0)
        endpoint = Endpoint(sdk, client, "/chat/completions")
        for _ in range(2):
            await endpoint.post({"model": MODEL})
    assert asked == ["first", "second"] * 2


async def test_a_key_that_changes_is_asked_for_each_time() -> None:
    async with FakeUpstream("openai") as upstream:
        keys = [upstream.key, "sk-after-a-rotation"]
        current = keys[0]

        async def key() -> str:
            return current

        http = HttpClients(read_seconds=5, connect_seconds=5, max_connections=4)
        chat = CompatibleChat(
            model=MODEL, api_key=key, base_url=upstream.base_url, http_async_client=http.async_client("httpx2")
        )
        await chat.ainvoke("Hello")
        current = keys[1]
        with pytest.raises(openai.AuthenticationError):
            await chat.ainvoke("Hello")
        given = [one.headers["authorization"] for one in upstream.requests]
        await http.aclose()
    assert given == [f"Bearer {key}" for key in keys]


async def test_what_only_the_sdk_can_write_is_left_to_it() -> None:
    """A number of more than 64 bits, for one."""
    async with FakeUpstream("openai") as upstream:
        http = HttpClients(read_seconds=5, connect_seconds=5, max_connections=4)
        client = http.async_client("httpx2")
        sdk = openai.AsyncOpenAI(api_key=upstream.key, base_url=upstream.base_url, http_client=client, max_retries=0)
        endpoint = Endpoint(sdk, client, "/chat/completions")
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "seed": 2**64}
        for _ in range(2):
            assert (await endpoint.post(body)).is_success
        seeds = [one.body["seed"] for one in upstream.requests]
        await http.aclose()
    assert seeds == [2**64, 2**64]


async def test_cookies_of_the_moment_are_sent_and_not_those_of_the_first_call() -> None:
    async with FakeUpstream("openai") as upstream:
        http = HttpClients(read_seconds=5, connect_seconds=5, max_connections=4)
        client: httpx2.AsyncClient = http.async_client("httpx2")
        sdk = openai.AsyncOpenAI(api_key=upstream.key, base_url=upstream.base_url, http_client=client, max_retries=0)
        endpoint = Endpoint(sdk, client, "/chat/completions")
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
        for place in ("a", "b", None):
            client.cookies.clear()
            if place is not None:
                client.cookies.set("place", place)
            await endpoint.post(body)
        sent = [one.headers.get("cookie") for one in upstream.requests]
        await http.aclose()
    assert sent == ["place=a", "place=b", None]
