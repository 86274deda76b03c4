"""Many makers' models by OpenRouter. Needs the extra `openrouter` and, to be used, a key."""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="openrouter",
            factory="tilores_plugins.providers.openrouter.provider:build",
            settings="tilores_plugins.providers.openrouter.settings:Settings",
            requires={"aiohttp": "tilores-core[openrouter]", "langchain_openai": "tilores-core[openrouter]"},
            abilities=(SupportsCompletion,),
            environment={"api_key": "OPENROUTER_API_KEY", "base_url": "OPENROUTER_BASE_URL"},
            summary="Many makers' models through OpenRouter",
        )
    ]
