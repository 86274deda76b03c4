"""OpenAI's models, by its chat completions. Needs the extra `openai` and, to be used, a key."""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="openai",
            factory="tilores_plugins.providers.openai.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"aiohttp": "tilores-core[openai]", "langchain_openai": "tilores-core[openai]"},
            abilities=(SupportsCompletion,),
            environment={"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"},
            summary="OpenAI's models",
        )
    ]
