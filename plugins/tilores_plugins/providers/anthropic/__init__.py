"""The provider `anthropic`: Claude, through LangChain's partner package.

Nothing here imports LangChain or the SDK; the provider does when it makes its first model.
"""

from __future__ import annotations

from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers() -> list[LLMProviderSpec]:
    return [
        LLMProviderSpec(
            name="anthropic",
            factory="tilores_plugins.providers.anthropic.provider:build",
            settings="tilores_plugins.providers.anthropic.settings:AnthropicSettings",
            requires={"langchain_anthropic": "tilores-core[anthropic]"},
            environment={"api_key": "ANTHROPIC_API_KEY", "base_url": "ANTHROPIC_BASE_URL"},
            summary="Anthropic's Claude models",
        )
    ]
