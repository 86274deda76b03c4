"""The provider `google`: Gemini over Google's developer API, through LangChain's partner package.

Nothing here imports LangChain or the SDK; the provider does when it makes its first model.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="google",
            factory="tilores_plugins.providers.google.provider:build",
            settings="tilores_core.llm:KeyedProviderSettings",
            requires={"langchain_google_genai": "tilores-core[google]"},
            environment={"api_key": "GOOGLE_API_KEY", "base_url": "GOOGLE_BASE_URL"},
            summary="Google's Gemini models",
        )
    ]
