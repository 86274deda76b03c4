"""DeepSeek's models. Needs the extra `deepseek` and, to be used, a key."""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="deepseek",
            factory="tilores_plugins.providers.deepseek.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"aiohttp": "tilores-core[deepseek]", "langchain_deepseek": "tilores-core[deepseek]"},
            abilities=(SupportsCompletion,),
            environment={"api_key": "DEEPSEEK_API_KEY", "base_url": "DEEPSEEK_BASE_URL"},
            summary="DeepSeek's models",
        )
    ]
