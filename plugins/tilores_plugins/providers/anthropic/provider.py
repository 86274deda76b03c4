"""The provider `anthropic`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tilores_core import PluginContext
from tilores_core.llm import ChatProvider, ModelData, library_of, load_catalogue
from tilores_plugins.providers.anthropic.parameters import PARAMETERS, keep_one_sampling

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tilores_plugins.providers.anthropic.settings import AnthropicSettings

_ADDRESS: Final = "https://api.anthropic.com"
_LONGEST_ANSWER: Final = 4096  # of a model of which nothing is known; each that is still served can do it


def build(context: PluginContext) -> AnthropicProvider:
    """The factory that the hook names."""
    return AnthropicProvider(context.settings, load_catalogue("tilores_plugins.providers.anthropic"))


class AnthropicProvider(ChatProvider):
    """Claude over the messages API. `max_tokens` must be said there: the model's own limit, unless one is set."""

    name = "anthropic"
    title = "Anthropic"
    key_variable = "ANTHROPIC_API_KEY"
    parameters = PARAMETERS
    settings: AnthropicSettings

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from tilores_plugins.providers.anthropic.model import Claude

        fields.setdefault("max_tokens", self._longest(model))
        keep_one_sampling(fields)
        one_call = fields.pop("one_call", False)
        extras = fields.get("model_kwargs", {})
        if one_call and "tools" in extras:
            extras["tool_choice"] = {
                "type": "auto",
                **extras.get("tool_choice", {}),
                "disable_parallel_tool_use": True,
            }
            if extras["tool_choice"]["type"] == "none":
                del extras["tool_choice"]["disable_parallel_tool_use"]
        client, async_client = self._clients
        return Claude(
            model=model.id,
            api_key=self.key(),
            base_url=self._address,
            max_retries=0,
            cache_prompt=self.settings.cache_prompt,
            says_twice=self.settings.base_url is not None,
            client=client,
            async_client=async_client,
            **fields,
        )

    @property
    def _address(self) -> str:
        return self.settings.base_url or _ADDRESS

    @cached_property
    def _clients(self) -> tuple[Any, Any]:
        """The SDK's two clients, without retries of its own."""
        import anthropic

        from tilores_plugins.providers.anthropic.model import ClaudeClient

        library = library_of(anthropic)
        common: dict[str, Any] = {
            "api_key": self.key().get_secret_value(),
            "base_url": self._address,
            "timeout": self.http.timeout(library),
            "max_retries": 0,
        }
        return (
            anthropic.Anthropic(**common, http_client=self.http.sync_client(library)),
            ClaudeClient(**common, http_client=self.http.async_client(library)),
        )

    def _longest(self, model: ModelData) -> int:
        known = model.info.max_output_tokens or _LONGEST_ANSWER
        return min(self.settings.max_tokens or known, known) if model.listed else self.settings.max_tokens or known
