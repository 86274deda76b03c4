"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, LM Studio, Cerebras and others.

    [plugins.openai-compatible.instances.desk]
    base_url = "http://127.0.0.1:8080/v1"

Its models are called `openai-compatible:desk/MODEL`. Needs the extra `openai-compatible`.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, SupportsUpstreams, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="openai-compatible",
            factory="tilores_plugins.providers.openai_compatible.provider:build",
            settings="tilores_plugins.providers.openai_compatible.settings:Settings",
            requires={
                "aiohttp": "tilores-core[openai-compatible]",
                "langchain_openai": "tilores-core[openai-compatible]",
            },
            abilities=(SupportsCompletion, SupportsUpstreams),
            summary="Models of any server that speaks OpenAI's protocol; any number of servers",
        )
    ]
