"""The provider `google`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from tilores_core import PluginContext
from tilores_core.llm import ChatProvider, ModelData, load_catalogue
from tilores_plugins.providers.google.parameters import PARAMETERS

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def build(context: PluginContext) -> GoogleProvider:
    """The factory that the hook names."""
    return GoogleProvider(context.settings, load_catalogue("tilores_plugins.providers.google"))


class GoogleProvider(ChatProvider):
    """Gemini over the developer API."""

    name = "google"
    title = "Gemini"
    key_variable = "GOOGLE_API_KEY"
    max_stops = 5
    parameters = PARAMETERS

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from tilores_plugins.providers.google.model import Gemini

        fields.setdefault("temperature", None)  # LangChain would say 0.7
        return Gemini(
            model=model.id,
            api_key=self.key(),
            vertexai=False,
            max_retries=1,  # attempts, despite the name
            sdk=self._client,
            **fields,
        )

    @cached_property
    def _client(self) -> Any:
        """The SDK's client, over our HTTP clients: its own keep to no limit, and time an answer as a whole."""
        from google.genai import Client
        from google.genai.types import HttpOptions

        from tilores_plugins.providers.google.model import OPENED, event_lines

        timeouts, tls = self.http.timeout().as_dict(), self.http.tls()

        async def keep_time(request: Any) -> None:
            request.extensions["timeout"] = timeouts  # the SDK sets none

        async def note(response: Any) -> None:
            OPENED.get([]).append(response)
            lines = response.aiter_lines
            response.aiter_lines = lambda: event_lines(lines())

        return Client(
            api_key=self.key().get_secret_value(),
            vertexai=False,
            http_options=HttpOptions(
                base_url=self.settings.base_url,
                client_args={"verify": tls},
                async_client_args={"verify": tls, "ssl": tls},  # else it makes two more, for nothing
                httpx_client=self.http.sync_client(),
                httpx_async_client=self.http.async_client(event_hooks={"request": [keep_time], "response": [note]}),
            ),
        )
