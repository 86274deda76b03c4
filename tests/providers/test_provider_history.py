"""A conversation's history as Anthropic and Gemini take it: each result with its call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from tests.providers.asked import ask
from tilores_core import InvalidRequestError
from tilores_core.chat.messages import for_model
from tilores_core.contracts import Message
from tilores_core.llm import KeyedProviderSettings, load_catalogue
from tilores_core.testing.fake_upstream import FakeUpstream, Reply, ToolCall
from tilores_core.testing.providers import TOOL
from tilores_plugins.providers.anthropic.provider import AnthropicProvider
from tilores_plugins.providers.anthropic.settings import AnthropicSettings
from tilores_plugins.providers.google.provider import GoogleProvider

CLAUDE, GEMINI = "claude-haiku-4-5", "gemini-2.5-flash"


@pytest.fixture
async def anthropic() -> AsyncIterator[tuple[FakeUpstream, AnthropicProvider]]:
    async with FakeUpstream("anthropic") as upstream:
        settings = AnthropicSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
        provider = AnthropicProvider(settings, load_catalogue("tilores_plugins.providers.anthropic"))
        yield upstream, provider
        await provider.aclose()


@pytest.fixture
async def google() -> AsyncIterator[tuple[FakeUpstream, GoogleProvider]]:
    async with FakeUpstream("google") as upstream:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
        provider = GoogleProvider(settings, load_catalogue("tilores_plugins.providers.google"))
        yield upstream, provider
        await provider.aclose()


def says(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


def roles(upstream: FakeUpstream) -> list[str]:
    return [message["role"] for message in upstream.requests[-1].body["messages"]]


# --- Anthropic


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([says("assistant", "Hello, how can I help?"), says("user", "Say hi")], ["user", "assistant", "user"]),
        ([says("user", "One"), says("assistant", " \n"), says("user", "Two")], ["user"]),
        ([says("user", "One"), says("assistant", "Two"), says("user", "")], ["user", "assistant", "user"]),
        ([says("user", [{"type": "text", "text": " "}])], ["user"]),
    ],
    ids=["greeting-first", "blank-answer", "blank-question", "blank-part"],
)
async def test_anthropic_history_begins_with_the_user_and_holds_no_blank(
    anthropic: tuple[FakeUpstream, AnthropicProvider], messages: list[Message], expected: list[str]
) -> None:
    upstream, provider = anthropic
    assert (await ask(provider, CLAUDE, for_model("Be brief.", messages))).text
    assert roles(upstream) == expected
    for message in upstream.requests[-1].body["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [part.get("text", "x") for part in content]
        assert all(text.strip() for text in texts)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_anthropic_thoughts_go_back_with_the_call_they_led_to(
    anthropic: tuple[FakeUpstream, AnthropicProvider], streamed: bool
) -> None:
    upstream, provider = anthropic
    upstream.enqueue(Reply(reasoning="I look it up.", tool_calls=(ToolCall("find_customer", {"email": "a@b.c"}),)))
    asked = [says("user", "Who is a@b.c?")]
    said = await ask(provider, CLAUDE, for_model("", asked), {"tools": [TOOL]}, streamed=streamed)
    (call,) = said.tool_calls
    (thought,) = call["extra_content"]["anthropic"]["thoughts"]
    assert thought["thinking"] == "I look it up."
    assert thought["signature"]
    calling: Message = {"role": "assistant", "content": None, "tool_calls": [dict(call)]}
    result: Message = {"role": "tool", "content": "Ann", "tool_call_id": call["id"]}
    await ask(provider, CLAUDE, for_model("", [*asked, calling, result]), {"tools": [TOOL]})
    first, second = upstream.requests[-1].body["messages"][1]["content"]
    assert first == thought
    assert (second["type"], second["id"], second["input"]) == ("tool_use", call["id"], {"email": "a@b.c"})


# --- Gemini


async def test_gemini_gets_each_result_with_its_call(google: tuple[FakeUpstream, GoogleProvider]) -> None:
    upstream, provider = google
    calls = [
        {"id": f"call_{name}", "type": "function", "function": {"name": "find_customer", "arguments": "{}"}}
        for name in ("a", "b")
    ]
    calls[0]["extra_content"] = {"google": {"thought_signature": "c2lnbmF0dXJl"}}
    history: list[Message] = [
        says("user", "Weather?"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "content": "Rome: sun", "tool_call_id": "call_b"},
        {"role": "tool", "content": "Oslo: rain", "tool_call_id": "call_a"},
    ]
    await ask(provider, GEMINI, for_model("", history), {"tools": [TOOL]})
    _, called, results = upstream.requests[-1].body["contents"]
    told = [part["functionResponse"]["response"]["output"] for part in results["parts"]]
    assert told == ["Oslo: rain", "Rome: sun"]
    signatures = [part.get("thoughtSignature") for part in called["parts"]]
    assert signatures[0] == "c2lnbmF0dXJl"
    assert signatures[1] != signatures[0]


async def test_gemini_tool_that_cannot_be_converted_is_the_callers_error(
    google: tuple[FakeUpstream, GoogleProvider],
) -> None:
    upstream, provider = google
    size = {"type": "object", "properties": {"size": {"type": "integer", "enum": [10, 11]}}}
    tools = [TOOL, {"type": "function", "function": {"name": "set_size", "parameters": size}}]
    with pytest.raises(InvalidRequestError) as caught:
        await ask(provider, GEMINI, parameters={"tools": tools})
    assert caught.value.param == "tools[1].function.parameters"
    assert not upstream.requests
