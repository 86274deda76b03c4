"""The provider `anthropic` through langchain-anthropic and the SDK, against a server that speaks the protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from tests.providers.asked import HELLO, ask, user
from tilores_core import InvalidRequestError, LLMProvider, ProviderAuthError, UnsupportedParameterError
from tilores_core.llm import load_catalogue
from tilores_core.testing.fake_upstream import FakeUpstream, Reply
from tilores_core.testing.provider_wire import LLMProviderWireSuite
from tilores_core.testing.providers import TOOL
from tilores_plugins.providers.anthropic.provider import AnthropicProvider
from tilores_plugins.providers.anthropic.settings import AnthropicSettings

MODEL = "claude-sonnet-4-6"
FIXED = "claude-opus-5-5"  # takes no temperature, and cannot be made to call a tool
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream("anthropic") as server:
        yield server


def provider_of(upstream: FakeUpstream, **settings: Any) -> AnthropicProvider:
    given = {"base_url": upstream.base_url, "api_key": SecretStr(upstream.key), **settings}
    return AnthropicProvider(AnthropicSettings(**given), load_catalogue("tilores_plugins.providers.anthropic"))


@pytest.fixture
async def provider(upstream: FakeUpstream) -> AsyncIterator[AnthropicProvider]:
    made = provider_of(upstream)
    yield made
    await made.aclose()


class TestAnthropic(LLMProviderWireSuite):
    dialect = "anthropic"
    supports_vision = True
    supports_seed = False
    supports_json = False
    unsupported_parameter: ClassVar[tuple[str, Any] | None] = ("seed", 7)

    def make(self, upstream: FakeUpstream, key: str | None) -> LLMProvider:
        settings = AnthropicSettings(base_url=upstream.base_url, api_key=SecretStr(key) if key else None)
        return AnthropicProvider(settings, load_catalogue("tilores_plugins.providers.anthropic"))

    @pytest.fixture
    def model(self) -> str:
        return "claude-haiku-5-5"


def test_without_a_key_models_are_listed_as_unavailable_and_asking_names_the_variable() -> None:
    keyless = AnthropicProvider(AnthropicSettings(), load_catalogue("tilores_plugins.providers.anthropic"))
    assert keyless.models()
    assert all("ANTHROPIC_API_KEY" in (info.unavailable or "") for info in keyless.models())
    with pytest.raises(ProviderAuthError) as caught:
        keyless.chat_model(MODEL, {})
    assert "ANTHROPIC_API_KEY" in (caught.value.fix or "")


# --- parameters


@pytest.mark.parametrize(
    ("model", "setting", "sent"), [(MODEL, None, 128_000), (MODEL, 500, 500), ("claude-of-tomorrow", None, 4096)]
)
async def test_max_tokens_is_always_said(upstream: FakeUpstream, model: str, setting: int | None, sent: int) -> None:
    provider = provider_of(upstream, max_tokens=setting)
    await ask(provider, model, HELLO)
    await provider.aclose()
    assert upstream.requests[-1].body["max_tokens"] == sent


async def test_parameters_arrive_under_the_names_of_the_protocol(
    upstream: FakeUpstream, provider: AnthropicProvider
) -> None:
    await ask(provider, MODEL, HELLO, {"temperature": 0.2, "top_p": 0.5, "max_tokens": 7, "stop": "X"})
    body = dict(upstream.requests[-1].body)
    assert body.pop("messages")
    assert body == {
        "model": MODEL,
        "system": "Be brief.",
        "temperature": 0.2,
        "top_p": 0.5,
        "max_tokens": 7,
        "stop_sequences": ["X"],
    }


@pytest.mark.parametrize(
    ("model", "parameters", "param"),
    [
        (MODEL, {"temperature": 1.5}, "temperature"),
        (FIXED, {"temperature": 0.2}, "temperature"),
        (FIXED, {"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
        (MODEL, {"response_format": {"type": "json_object"}}, "response_format"),
        (MODEL, {"presence_penalty": 0.5}, "presence_penalty"),
        (MODEL, {"logit_bias": {"1": 2}}, "logit_bias"),
        (MODEL, {"reasoning_effort": "minimal"}, "reasoning_effort"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(
    provider: AnthropicProvider, model: str, parameters: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        provider.chat_model(model, parameters)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}),
        (
            {"type": "function", "function": {"name": "find_customer"}},
            None,
            {"type": "tool", "name": "find_customer"},
        ),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
async def test_tool_choices(
    upstream: FakeUpstream, provider: AnthropicProvider, choice: Any, parallel: bool | None, sent: dict[str, Any]
) -> None:
    parameters = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": parallel}
    await ask(provider, MODEL, HELLO, parameters)
    body = upstream.requests[-1].body
    assert body["tool_choice"] == sent
    assert body["tools"][0]["input_schema"] == TOOL["function"]["parameters"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"temperature": 0.5, "top_p": 1}, {"temperature": 0.5}),
        ({"temperature": 1, "top_p": 0.5}, {"top_p": 0.5}),
        ({"temperature": 1, "top_p": 1}, {"temperature": 1}),
        ({"top_p": 1}, {"top_p": 1}),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}),
    ],
)
async def test_the_usual_one_of_temperature_and_top_p_is_left_out_beside_the_other(
    upstream: FakeUpstream, provider: AnthropicProvider, given: dict[str, Any], sent: dict[str, Any]
) -> None:
    await ask(provider, MODEL, HELLO, given)
    body = upstream.requests[-1].body
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sent


async def test_unions_at_the_top_of_a_tools_schema_are_one_object_and_told(
    upstream: FakeUpstream, provider: AnthropicProvider
) -> None:
    def option(name: str, *required: str) -> dict[str, Any]:
        return {"type": "object", "properties": {name: {"type": "string"}}, "required": ["kind", *required]}

    schema = {"properties": {"kind": {"type": "string"}}, "oneOf": [option("phone", "phone"), option("email")]}
    function = {"name": "find", "description": "Find one.", "parameters": schema}
    await ask(provider, MODEL, HELLO, {"tools": [{"type": "function", "function": function}]})
    (sent,) = upstream.requests[-1].body["tools"]
    text = {"type": "string"}
    assert sent["input_schema"] == {
        "type": "object",
        "properties": {"kind": text, "phone": text, "email": text},
        "required": ["kind"],
    }
    assert sent["description"].startswith("Find one.")
    assert '"oneOf"' in sent["description"]


async def test_a_json_schema_is_kept_to(upstream: FakeUpstream, provider: AnthropicProvider) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = await ask(provider, MODEL, HELLO, {"response_format": form})
    assert answer.text.startswith('{"city":')
    assert upstream.requests[-1].body["output_config"]["format"]["type"] == "json_schema"


def test_a_json_schema_without_a_schema_is_a_wrong_request(provider: AnthropicProvider) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place"}}
    with pytest.raises(InvalidRequestError) as caught:
        provider.chat_model(MODEL, {"response_format": form})
    assert caught.value.param == "response_format.json_schema"


# --- messages


async def test_the_system_prompt_is_marked_only_when_switched_on(upstream: FakeUpstream) -> None:
    provider = provider_of(upstream, cache_prompt=True)
    await ask(provider, MODEL, HELLO)
    await provider.aclose()
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    assert upstream.requests[-1].body["system"] == [marked]


@pytest.mark.parametrize("url", ["data:image/png;base64,iVBORw0KGgo=", "https://example.com/cat.png"])
async def test_images_are_passed_on(upstream: FakeUpstream, provider: AnthropicProvider, url: str) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    await ask(provider, MODEL, user(parts))
    block = upstream.requests[-1].body["messages"][0]["content"][1]
    assert block["source"]["type"] == ("base64" if url.startswith("data:") else "url")


async def test_an_image_that_is_none_is_a_wrong_request(upstream: FakeUpstream, provider: AnthropicProvider) -> None:
    parts = [{"type": "image_url", "image_url": {"url": "/etc/hostname"}}]
    with pytest.raises(InvalidRequestError) as caught:
        await ask(provider, MODEL, user(parts))
    assert caught.value.param == "messages"
    assert not upstream.requests


# --- answers


async def test_the_prompt_is_counted_when_only_the_first_event_says_it(
    upstream: FakeUpstream, provider: AnthropicProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As servers do that speak an older form of this protocol."""
    whole = upstream.dialect.stream

    def older(asked: Any, said: Any) -> Any:
        made = whole(asked, said)
        finish = [event.replace(b'"input_tokens":', b'"was_input_tokens":') for event in made.finish]
        object.__setattr__(made, "finish", finish)
        return made

    monkeypatch.setattr(upstream.dialect, "stream", older)
    upstream.enqueue(Reply(text="one two three", input_tokens=11))
    last = await ask(provider, MODEL, HELLO, streamed=True)
    assert (last.usage.input_tokens, last.usage.output_tokens) == (11, 3)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_refusal_while_answering_is_told(
    upstream: FakeUpstream, provider: AnthropicProvider, streamed: bool
) -> None:
    upstream.enqueue(Reply(text="I would", finish="content_filter"))
    last = await ask(provider, MODEL, streamed=streamed)
    assert last.finish_reason == "content_filter"
