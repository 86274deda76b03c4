"""The provider `ollama`: models on a machine of one's own, through LangChain's partner package.

Nothing here imports LangChain or the SDK; the provider does when it makes its first model.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="ollama",
            factory="tilores_plugins.providers.ollama.provider:build",
            settings="tilores_plugins.providers.ollama.settings:OllamaSettings",
            requires={"langchain_ollama": "tilores-core[ollama]"},
            environment={"base_url": "OLLAMA_HOST"},
            summary="Local models served by Ollama; no key",
        )
    ]
