"""A conversation's history as each provider takes it: each result with its call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import SecretStr

from tests.providers.asked import ask
from tilores_core.chat.messages import for_model
from tilores_core.contracts import Message
from tilores_core.llm import Catalogue, KeyedProviderSettings, ModelSettings, OpenAIProtocolProvider, load_catalogue
from tilores_core.testing.fake_upstream import FakeUpstream, Reply, ToolCall
from tilores_core.testing.providers import TOOL
from tilores_plugins.providers.anthropic.provider import AnthropicProvider
from tilores_plugins.providers.anthropic.settings import AnthropicSettings
from tilores_plugins.providers.deepseek.provider import DeepSeekProvider
from tilores_plugins.providers.google.provider import GoogleProvider
from tilores_plugins.providers.mistral.provider import MistralProvider
from tilores_plugins.providers.ollama.provider import OllamaProvider
from tilores_plugins.providers.ollama.settings import OllamaSettings
from tilores_plugins.providers.openai.provider import OpenAIProvider

CLAUDE, GEMINI = "claude-haiku-4-5", "gemini-2.5-flash"
ODD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "enum": [10, 11]},
        "unit": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "place": {"$ref": "#/$defs/Place"},
        "any": True,
    },
    "$defs": {"Place": {"type": ["object", "null"]}},
}
ODD_TOOL = {"type": "function", "function": {"name": "set_size", "parameters": ODD_SCHEMA}}


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
        ([says("user", "One"), says("assistant", "It is")], ["user", "assistant"]),
    ],
    ids=["greeting-first", "blank-answer", "blank-question", "blank-part", "begun-answer"],
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


async def test_later_claude_takes_no_answer_that_was_begun(
    anthropic: tuple[FakeUpstream, AnthropicProvider],
) -> None:
    upstream, provider = anthropic
    await ask(provider, "claude-sonnet-4-6", for_model("", [says("user", "One"), says("assistant", "It is")]))
    assert roles(upstream) == ["user", "assistant", "user"]


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


async def test_call_that_another_provider_made_goes_to_anthropic(
    anthropic: tuple[FakeUpstream, AnthropicProvider],
) -> None:
    upstream, provider = anthropic
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: list[Message] = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    await ask(provider, CLAUDE, for_model("", [*history, told("functions.f:0", "Rain")]), {"tools": [TOOL]})
    _, called, result = upstream.requests[-1].body["messages"]
    assert called["content"][0]["id"] == result["content"][0]["tool_use_id"] == "functions_f_0"


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
        {"role": "tool", "content": "10.50", "tool_call_id": "call_a"},
    ]
    await ask(provider, GEMINI, for_model("", history), {"tools": [TOOL]})
    _, called, results = upstream.requests[-1].body["contents"]
    told = [part["functionResponse"]["response"]["output"] for part in results["parts"]]
    assert told == ["10.50", "Rome: sun"]
    signatures = [part.get("thoughtSignature") for part in called["parts"]]
    assert signatures[0] == "c2lnbmF0dXJl"
    assert signatures[1] != signatures[0]


async def test_gemini_gets_the_schema_of_a_tool_as_it_is(google: tuple[FakeUpstream, GoogleProvider]) -> None:
    upstream, provider = google
    await ask(provider, GEMINI, parameters={"tools": [ODD_TOOL]})
    (declared,) = upstream.requests[-1].body["tools"][0]["functionDeclarations"]
    assert declared == {"name": "set_size", "parameters_json_schema": ODD_SCHEMA}


# --- the protocol of OpenAI


@pytest.mark.parametrize(
    ("dialect", "kind", "model"),
    [
        ("openai", OpenAIProvider, "gpt-4.1"),
        ("mistral", MistralProvider, "mistral-large-latest"),
        ("deepseek", DeepSeekProvider, "deepseek-v4-pro"),
    ],
)
async def test_call_that_another_provider_made_goes_to_this_one(
    dialect: Literal["openai", "mistral", "deepseek"], kind: type[OpenAIProtocolProvider], model: str
) -> None:
    call = {"id": "functions.f:0-" + "x" * 60, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history: list[Message] = [
        says("user", "Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "Rain", "tool_call_id": str(call["id"])},
        says("assistant", ""),
        says("user", "And?"),
    ]
    async with FakeUpstream(dialect) as upstream:
        settings = KeyedProviderSettings(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
        provider = kind(settings, load_catalogue(f"tilores_plugins.providers.{dialect}"))
        await ask(provider, model, for_model("", history), {"tools": [TOOL]})
        await provider.aclose()
        sent = upstream.requests[-1].body["messages"]
    called, result = (next(one for one in sent if key in one) for key in ("tool_calls", "tool_call_id"))
    assert called["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == {"openai": 40, "mistral": 9, "deepseek": 74}[dialect]
    said = [one for one in sent if one["role"] == "assistant"]
    assert [one.get("reasoning_content") for one in said] == len(said) * ["" if dialect == "deepseek" else None]
    # It takes no user behind a tool, and no assistant that says nothing.
    assert [one["content"] for one in sent][-3:] == ["Rain", "(Noted.)" if dialect == "mistral" else "", "And?"]


# --- Ollama


async def test_ollama_gets_the_schema_of_a_tool_as_it_is() -> None:
    async with FakeUpstream("ollama") as upstream:
        settings = OllamaSettings(base_url=upstream.base_url, models={"q": ModelSettings(tools=True)})
        provider = OllamaProvider(settings, Catalogue(()))
        for streamed in (True, False):
            await ask(provider, "q", parameters={"tools": [ODD_TOOL]}, streamed=streamed)
            assert upstream.requests[-1].body["tools"] == [ODD_TOOL]
        await ask(provider, "q")
        assert not upstream.requests[-1].body.get("tools")
        await provider.aclose()


# --- what all providers get


CALLS: list[dict[str, Any]] = [
    {"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ("a", "b")
]
CALLED: Message = {"role": "assistant", "content": None, "tool_calls": CALLS}


def told(call_id: str, text: str) -> Message:
    return {"role": "tool", "content": text, "tool_call_id": call_id}


@pytest.mark.parametrize(
    ("history", "paired"),
    [
        ([CALLED, told("b", "2"), told("a", "1")], ["assistant", "a: 1", "b: 2"]),
        ([CALLED, told("a", "1"), says("user", "Stop.")], ["assistant", "a: 1", "b: (no result)", "user"]),
        ([CALLED, says("user", "Hm."), told("a", "1")], ["assistant", "a: 1", "b: (no result)", "user"]),
        ([CALLED], ["assistant", "a: (no result)", "b: (no result)"]),
        ([told("z", "1"), says("user", "And?")], ["assistant", "z: 1", "user"]),
        ([CALLED, told("a", "wait"), told("a", "1"), told("b", "2")], ["assistant", "a: 1", "b: 2"]),
        (
            2 * [CALLED, told("b", "2"), told("a", "1")],
            ["assistant", "a: 1", "b: 2", "assistant", "a_2: 1", "b_2: 2"],
        ),
        ([{**CALLED, "tool_calls": 2 * CALLS[:1]}, told("a", "1"), told("a", "2")], ["assistant", "a: 1", "a_2: 2"]),
    ],
    ids=["other-order", "interrupted", "late", "none", "call-was-cut-off", "twice", "same-ids", "one-id"],
)
def test_each_call_has_its_result_behind_it(history: list[Message], paired: list[str]) -> None:
    sent = for_model("", [says("user", "Weather?"), *history])[2:]
    found = [f"{one['tool_call_id']}: {one['content']}" if one["role"] == "tool" else one["role"] for one in sent]
    assert found == paired
    ids = [call["id"] for one in sent for call in one.get("tool_calls", ())]
    assert ids == [one["tool_call_id"] for one in sent if one["role"] == "tool"]
