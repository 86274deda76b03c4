"""The provider `groq`: open models on Groq's hardware, through LangChain's partner package.

Nothing here imports LangChain or the SDK; the provider does when it makes its first model.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="groq",
            factory="tilores_plugins.providers.groq.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"langchain_groq": "tilores-core[groq]"},
            environment={"api_key": "GROQ_API_KEY", "base_url": "GROQ_BASE_URL"},
            summary="Open models on Groq's hardware",
        )
    ]
