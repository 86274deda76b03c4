"""A turn of tools and its answer through each SDK: what a provider called comes back to it, with the results."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from pydantic import SecretStr

from tests.chat.engine_world import World
from tilores_core.contracts import LLMProvider
from tilores_core.llm import Catalogue, KeyedProviderSettings, ModelSettings, load_catalogue
from tilores_core.settings import ChatTable
from tilores_core.testing.fake_upstream import FakeUpstream, Reply, ToolCall

CLASSES = {
    "openai": "OpenAIProvider",
    "anthropic": "AnthropicProvider",
    "google": "GoogleProvider",
    "groq": "GroqProvider",
    "mistral": "MistralProvider",
    "deepseek": "DeepSeekProvider",
    "openrouter": "OpenRouterProvider",
}
SETTINGS = {"anthropic": "AnthropicSettings", "openrouter": "Settings"}
THOUGHT = "I had better look."


def make(name: str, upstream: FakeUpstream) -> LLMProvider:
    package = f"tilores_plugins.providers.{name}"
    if name == "ollama":
        settings = import_module(f"{package}.settings").OllamaSettings
        models = {"llama": ModelSettings(context_window=8192, tools=True)}
        ollama: Any = import_module(f"{package}.provider").OllamaProvider
        return ollama(settings(base_url=upstream.base_url, models=models), Catalogue(()))  # type: ignore[no-any-return]
    kind: Any = KeyedProviderSettings
    if name in SETTINGS:
        kind = getattr(import_module(f"{package}.settings"), SETTINGS[name])
    settings = kind(base_url=upstream.base_url, api_key=SecretStr(upstream.key))
    provider: Any = getattr(import_module(f"{package}.provider"), CLASSES[name])
    return provider(settings, load_catalogue(package))  # type: ignore[no-any-return]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", [*CLASSES, "ollama"])
async def test_a_turn_of_tools_then_the_answer(name: str, streamed: bool) -> None:
    async with FakeUpstream(name) as upstream:
        provider = make(name, upstream)
        listed = [info.id for info in provider.models() if info.tools and info.unavailable is None]
        model = "gpt-4o-mini" if name == "openai" else listed[0]
        upstream.enqueue(
            Reply("Moment.", reasoning=THOUGHT, tool_calls=(ToolCall("customer_records"), ToolCall("erase"))),
            Reply("It is mark-edwina."),
        )
        chat = ChatTable(mode="tools")
        async with World(providers={name: provider}, model=f"{name}:{model}", chat=chat) as here:
            if streamed:
                pieces, answer = await here.listen()
                assert "".join(piece.text for piece in pieces) == answer.text
            else:
                answer = await here.ask()
            assert (answer.text, answer.finish_reason) == ("It is mark-edwina.", "stop")
            assert answer.usage.output_tokens > 5
            first, second = upstream.requests
            assert "mark-edwina" not in json.dumps(first.body)
            told = json.dumps(second.body)
            assert "mark-edwina" in told
            assert "There is no such tool" in told
            assert ("Moment." in told) is (name != "mistral"), "Mistral takes a text or calls, not both"
            assert told.count('"erase"') >= 1
        await provider.aclose()
