"""The provider `groq`: open models on Groq's hardware."""

from __future__ import annotations

from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="groq",
            factory="tilores_plugins.providers.groq.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"aiohttp": "tilores-core[groq]", "langchain_groq": "tilores-core[groq]"},
            abilities=(SupportsCompletion,),
            environment={"api_key": "GROQ_API_KEY", "base_url": "GROQ_BASE_URL"},
            summary="Open models on Groq's hardware",
        )
    ]
