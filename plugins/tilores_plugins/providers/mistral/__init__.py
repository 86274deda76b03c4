"""The provider `mistral`, through LangChain's partner package.

Nothing here imports LangChain or the SDK; the provider does when it makes its first model.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="mistral",
            factory="tilores_plugins.providers.mistral.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"langchain_mistralai": "tilores-core[mistral]"},
            environment={"api_key": "MISTRAL_API_KEY", "base_url": "MISTRAL_BASE_URL"},
            summary="Mistral's models",
        )
    ]
