"""The provider `openrouter`."""

from __future__ import annotations

from typing import Any

from tilores_core import PluginContext
from tilores_core.llm import SERVER_FIELDS, ModelData, OpenAIProtocolProvider, load_catalogue
from tilores_plugins.providers.openrouter.settings import Settings


class OpenRouterProvider(OpenAIProtocolProvider):
    """Its answers carry what they cost. LangChain's own package for it holds pydantic below 2.13."""

    name = "openrouter"
    title = "OpenRouter"
    key_variable = "OPENROUTER_API_KEY"
    default_base_url = "https://openrouter.ai/api/v1"
    message_state = ("reasoning", "reasoning_details")
    extra_content = True
    parameters = SERVER_FIELDS

    def headers(self) -> dict[str, str]:
        return {**super().headers(), **self._app_headers()}

    def arguments(self, model: ModelData) -> dict[str, Any]:
        return {**super().arguments(model), "default_headers": self._app_headers() or None}

    def _app_headers(self) -> dict[str, str]:
        settings = self.settings
        assert isinstance(settings, Settings)
        named = {"X-Title": settings.app_title, "HTTP-Referer": settings.app_url}
        return {name: value for name, value in named.items() if value}


def build(context: PluginContext) -> OpenRouterProvider:
    return OpenRouterProvider(context.settings, load_catalogue(__package__))
