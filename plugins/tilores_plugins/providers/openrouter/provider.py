"""The provider `openrouter`, over langchain-openai: the package of its own holds pydantic below 2.13."""

from __future__ import annotations

from typing import Any

from tilores_core import PluginContext
from tilores_core.llm import ModelData, OpenAIProtocolProvider, load_catalogue
from tilores_plugins.providers.openrouter.settings import Settings


class OpenRouterProvider(OpenAIProtocolProvider):
    """Its answers carry what they cost, in `response_metadata["cost"]`."""

    name = "openrouter"
    title = "OpenRouter"
    key_variable = "OPENROUTER_API_KEY"
    default_base_url = "https://openrouter.ai/api/v1"

    def arguments(self, model: ModelData) -> dict[str, Any]:
        settings = self.settings
        assert isinstance(settings, Settings)
        named = {"X-Title": settings.app_title, "HTTP-Referer": settings.app_url}
        headers = {name: value for name, value in named.items() if value}
        return {**super().arguments(model), "default_headers": headers or None}


def build(context: PluginContext) -> OpenRouterProvider:
    return OpenRouterProvider(context.settings, load_catalogue(__package__))
