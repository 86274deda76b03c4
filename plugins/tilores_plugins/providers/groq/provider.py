"""The provider `groq`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tilores_core import PluginContext
from tilores_core.llm import ChatProvider, Fields, ModelData, in_model_kwargs, library_of, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# They write what they think into the answer, unless told to keep it apart.
_THINK_ALOUD: Final = ("qwen", "deepseek-r1")


def build(context: PluginContext) -> GroqProvider:
    """The factory that the hook names."""
    return GroqProvider(context.settings, load_catalogue("tilores_plugins.providers.groq"))


_PARAMETERS: Final[Fields] = {
    "temperature": "temperature",
    "top_p": in_model_kwargs("top_p"),
    "max_tokens": "max_tokens",
    "stop": "stop",
    "seed": in_model_kwargs("seed"),
    "tools": in_model_kwargs("tools"),
    "tool_choice": in_model_kwargs("tool_choice"),
    "parallel_tool_calls": in_model_kwargs("parallel_tool_calls"),
    "response_format": in_model_kwargs("response_format"),
    "reasoning_effort": "reasoning_effort",
}


class GroqProvider(ChatProvider):
    """Open models on Groq's hardware. Its models take no penalties and no logit bias."""

    name = "groq"
    title = "Groq"
    key_variable = "GROQ_API_KEY"
    max_stops = 4
    parameters = _PARAMETERS

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from tilores_plugins.providers.groq.model import Completions, Groq

        if model.id.startswith(_THINK_ALOUD):
            fields.setdefault("reasoning_format", "parsed")
        client, async_client = self._clients
        return Groq(
            model=model.id,
            api_key=self.key(),
            max_retries=0,
            client=client.chat.completions,
            async_client=Completions(async_client.chat.completions),
            **fields,
        )

    @cached_property
    def _clients(self) -> tuple[Any, Any]:
        """The SDK's two clients, without retries of its own."""
        import groq

        library = library_of(groq)
        common: dict[str, Any] = {
            "api_key": self.key().get_secret_value(),
            "base_url": self.settings.base_url,
            "timeout": self.http.timeout(library),
            "max_retries": 0,
        }
        return (
            groq.Groq(**common, http_client=self.http.sync_client(library)),
            groq.AsyncGroq(**common, http_client=self.http.async_client(library)),
        )
