"""The provider `mistral`: Mistral's models."""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="mistral",
            factory="tilores_plugins.providers.mistral.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"aiohttp": "tilores-core[mistral]", "langchain_mistralai": "tilores-core[mistral]"},
            abilities=(SupportsCompletion,),
            environment={"api_key": "MISTRAL_API_KEY", "base_url": "MISTRAL_BASE_URL"},
            summary="Mistral's models",
        )
    ]
