"""The provider `ollama` through langchain-ollama and its SDK, against a server that speaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.providers.asked import HELLO, ask, user
from tilores_core import LLMProvider, ProviderUnavailableError, UnknownModelError, UnsupportedParameterError
from tilores_core.llm import Catalogue, ModelSettings
from tilores_core.testing.fake_upstream import ErrorEvent, FakeUpstream, Reply
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_core.testing.providers import FIND, TOOL, both_ways
from tilores_plugins.providers.ollama.provider import OllamaProvider
from tilores_plugins.providers.ollama.settings import OllamaSettings

MODEL = "qwen3:8b"
ABLE = ModelSettings(context_window=8192, tools=True, vision=True, json_output=True, reasoning=True)


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("ollama") as server:
        yield server


def provider_of(upstream: FakeUpstream, **settings: Any) -> OllamaProvider:
    given = {"base_url": upstream.base_url, "models": {MODEL: ABLE}, **settings}
    return OllamaProvider(OllamaSettings(**given), Catalogue(()))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[OllamaProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestOllama(LLMProviderWireSuite):
    dialect = "ollama"
    no_state = "Ollama's thoughts are words that a model need not see again"
    needs_key = False
    refuses_content = False
    supports_vision = True
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("logit_bias", {"1": 2})

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        return provider_of(upstream)

    @pytest.fixture
    def model(self) -> str:
        return MODEL

    @both_ways
    @pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "find_customer"}}])
    async def test_a_forced_tool_call(self, provider: LLMProvider, model: str, choice: Any, streamed: bool) -> None:
        """Ollama has no such thing."""
        with pytest.raises(UnsupportedParameterError) as caught:
            await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL], tool_choice=choice)
        assert caught.value.param == "tool_choice"
        said = await self.ask(provider, model, FIND, streamed=streamed, tools=[TOOL])
        assert said.finish_reason == "tool_calls"
        assert [call["function"]["name"] for call in said.tool_calls] == ["find_customer"]

    async def test_the_chat_model_calls_tools(self, provider: LLMProvider, model: str) -> None:
        message = await provider.chat_model(model, {"tools": [TOOL]}).ainvoke(FIND)
        assert [call["name"] for call in message.tool_calls] == ["find_customer"]


def test_without_settings_nothing_is_listed_and_any_model_can_be_asked_for() -> None:
    provider = OllamaProvider(OllamaSettings(), Catalogue(()))
    assert provider.models() == ()
    assert provider.chat_model("llama3.2", {}).model == "llama3.2"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("gpu.example", "http://gpu.example:11434"),
        ("gpu.example:8080", "http://gpu.example:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("[::1]", "http://[::1]:11434"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama"),
        ("", None),
    ],
)
def test_the_address_may_be_written_as_for_ollama_itself(written: str, address: str | None) -> None:
    assert OllamaSettings(base_url=written).base_url == address


async def test_parameters_arrive_under_the_names_of_the_protocol(upstream: FakeUpstream) -> None:
    provider = provider_of(upstream, keep_alive="30m")
    parameters = {
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop": "X",
        "seed": 3,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "none",
    }
    await ask(provider, MODEL, HELLO, parameters)
    await provider.aclose()
    body = upstream.requests[-1].body
    options = {"temperature": 0.2, "top_p": 0.5, "num_predict": 7, "stop": ["X"], "seed": 3, "num_ctx": 8192}
    assert body["options"] == options
    assert (body["format"], body["think"], body["keep_alive"]) == ("json", False, "30m")


async def test_with_tool_choice_none_no_tools_are_offered(upstream: FakeUpstream, provider: OllamaProvider) -> None:
    await ask(provider, MODEL, HELLO, {"tools": [TOOL], "tool_choice": "none"})
    assert not upstream.requests[-1].body.get("tools")


async def test_no_file_of_this_machine_is_sent_for_an_image(
    upstream: FakeUpstream, provider: OllamaProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK takes a string for a path first; a relative one can be valid base64 too."""
    monkeypatch.chdir(tmp_path)
    Path("abcd").write_text("a secret")
    url = "data:image/png;base64,abcd"
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    await ask(provider, MODEL, user(parts))
    message = upstream.requests[-1].body["messages"][-1]
    assert message["images"] == ["abcd"]
    assert message["content"] == "What is it?"


@pytest.mark.parametrize("url", ["/etc/hostname", "data:x,/etc/hostname", "http://127.0.0.1:9/cat.png"])
async def test_an_address_is_refused(upstream: FakeUpstream, provider: OllamaProvider, url: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}}]
    with pytest.raises(UnsupportedParameterError) as caught:
        await ask(provider, MODEL, user(parts))
    assert caught.value.param == "messages"
    assert not upstream.requests


async def test_an_error_within_a_stream_is_one(upstream: FakeUpstream, provider: OllamaProvider) -> None:
    upstream.enqueue(Reply(text="one two three", fault=ErrorEvent(after=2)))
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, MODEL, HELLO, streamed=True)
    assert isinstance(provider.map_error(caught.value), ProviderUnavailableError)


async def test_a_model_that_is_not_there_names_the_command(provider: OllamaProvider) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        await ask(provider, "no-such-model", HELLO)
    mapped = provider.map_error(caught.value)
    assert isinstance(mapped, UnknownModelError)
    assert "ollama pull" in (mapped.fix or "")


def test_what_a_model_cannot_do_is_named(provider: OllamaProvider) -> None:
    from ollama import ResponseError

    mapped = provider.map_error(ResponseError('{"error": "gemma:2b does not support tools"}', 400))
    assert isinstance(mapped, UnsupportedParameterError)
    assert mapped.param == "tools"
