"""The provider `mistral`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tilores_core import PluginContext, UnsupportedParameterError
from tilores_core.llm import ChatProvider, Fields, ModelData, in_model_kwargs, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_ADDRESS: Final = "https://api.mistral.ai/v1"


def build(context: PluginContext) -> MistralProvider:
    """The factory that the hook names."""
    return MistralProvider(context.settings, load_catalogue("tilores_plugins.providers.mistral"))


def _temperature(value: float, model: ModelData) -> Mapping[str, Any]:
    if value > 1:
        raise UnsupportedParameterError(
            "Mistral takes a temperature from 0 to 1 here", param="temperature", fix="lower it, or leave it out"
        )
    return {"temperature": value}


_PARAMETERS: Final[Fields] = {
    "temperature": _temperature,
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "stop": "stop",
    "seed": "random_seed",
    "presence_penalty": in_model_kwargs("presence_penalty"),
    "frequency_penalty": in_model_kwargs("frequency_penalty"),
    "tools": in_model_kwargs("tools"),
    "tool_choice": in_model_kwargs("tool_choice"),
    "parallel_tool_calls": in_model_kwargs("parallel_tool_calls"),
    "response_format": in_model_kwargs("response_format"),
    "reasoning_effort": in_model_kwargs("reasoning_effort"),
}


class MistralProvider(ChatProvider):
    """Mistral's models. LangChain's package calls httpx by itself: there is no SDK below it."""

    name = "mistral"
    title = "Mistral"
    key_variable = "MISTRAL_API_KEY"
    parameters = _PARAMETERS

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from tilores_plugins.providers.mistral.model import Mistral

        key = self.key()
        client: dict[str, Any] = {
            "base_url": self.settings.base_url or _ADDRESS,
            "headers": {"Authorization": f"Bearer {key.get_secret_value()}", "Accept": "application/json"},
        }
        return Mistral(
            model=model.id,
            api_key=key,
            max_retries=1,  # attempts, despite the name
            client=self.http.sync_client(**client),
            async_client=self.http.async_client(**client),
            **fields,
        )
