"""One question to each real provider whose key is in the environment: `pytest -m live`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.providers.asked import ask
from tilores_core import LLMProvider
from tilores_core.chat.messages import for_model
from tilores_core.contracts import Message
from tilores_core.host.host import PluginHost
from tilores_core.host.plugin import scan
from tilores_core.host.roles import LLM
from tilores_core.settings.loader import PACKAGED, load_config

pytestmark = pytest.mark.live

# A small and cheap one of each; TILORES_LIVE_MODEL_<PROVIDER> names another.
MODELS = {
    "openai": ("OPENAI_API_KEY", "gpt-5.4-nano"),
    "anthropic": ("ANTHROPIC_API_KEY", "claude-haiku-5-5"),
    "google": ("GOOGLE_API_KEY", "gemini-3.5-flash-lite"),
    "groq": ("GROQ_API_KEY", "llama-3.1-8b-instant"),
    "mistral": ("MISTRAL_API_KEY", "mistral-small-latest"),
    "deepseek": ("DEEPSEEK_API_KEY", "deepseek-v4-flash"),
    "openrouter": ("OPENROUTER_API_KEY", "google/gemini-3.5-flash-lite"),
}
QUESTION: tuple[Message, ...] = (
    {"role": "user", "content": "Which city is the capital of France? Answer in one word."},
)


@pytest.fixture(params=MODELS)
async def asked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[LLMProvider, str]]:
    name = request.param
    variable, model = MODELS[name]
    if "live" not in request.config.getoption("markexpr"):
        pytest.skip("asks a real provider, and costs money: only with -m live")
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set")
    builtin = [found for found in scan() if found.id == name]
    host = PluginHost.start(
        load_config(PACKAGED), variables=os.environ, data_dir=tmp_path, discovered=builtin, only=(name,)
    )
    yield host.build(LLM, name), os.environ.get(f"TILORES_LIVE_MODEL_{name.upper()}", model)
    await host.aclose()


async def test_a_question_is_answered(asked: tuple[LLMProvider, str]) -> None:
    provider, model = asked
    prompt = for_model("You answer briefly.", QUESTION)
    whole = await ask(provider, model, prompt, {"max_tokens": 2000})
    streamed = await ask(provider, model, prompt, {"max_tokens": 2000}, streamed=True)
    for said in (whole, streamed):
        assert "Paris" in said.text
        assert said.finish_reason == "stop"
        assert said.usage.input_tokens > 0
        assert said.usage.output_tokens > 0
