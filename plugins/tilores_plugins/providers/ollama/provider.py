"""The provider `ollama`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tilores_core import PluginContext, ProviderUnavailableError, UnknownModelError, UnsupportedParameterError
from tilores_core.llm import Catalogue, ChatProvider, Fields, ModelData

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from tilores_plugins.providers.ollama.settings import OllamaSettings

_ADDRESS: Final = "http://127.0.0.1:11434"
_CANNOT: Final = re.compile(r"does not support (tools|thinking)")
_PARAMETER: Final = {"tools": "tools", "thinking": "reasoning_effort"}


def build(context: PluginContext) -> OllamaProvider:
    """The factory that the hook names."""
    return OllamaProvider(context.settings, Catalogue(()))


def _tool_choice(choice: Any, model: ModelData) -> Mapping[str, Any]:
    if choice not in ("auto", "none"):
        raise UnsupportedParameterError(
            "Ollama cannot make a model call a tool", param="tool_choice", fix="use auto, or another provider"
        )
    return {"no_tools": choice == "none"}


def _response_format(form: Mapping[str, Any], model: ModelData) -> Mapping[str, Any]:
    if form["type"] == "json_schema":
        return {"format": (form.get("json_schema") or {}).get("schema") or "json"}
    return {"format": "json"} if form["type"] == "json_object" else {}


def _effort(effort: str, model: ModelData) -> Mapping[str, Any]:
    return {"reasoning": False if effort == "none" else effort}


_PARAMETERS: Final[Fields] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repeat_penalty",
    "enable_thinking": "reasoning",
    "think": "reasoning",
    "max_tokens": "num_predict",
    "stop": "stop",
    "seed": "seed",
    "tools": "bound_tools",
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": _effort,
}


class OllamaProvider(ChatProvider):
    """Local models. Listed is what the settings name; what else was pulled there can be asked for as well."""

    name = "ollama"
    title = "Ollama"
    parameters = _PARAMETERS
    settings: OllamaSettings

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from tilores_plugins.providers.ollama.model import Ollama

        if fields.pop("no_tools", False):
            fields.pop("bound_tools", None)
        if model.info.context_window is not None:
            fields["num_ctx"] = model.info.context_window
        client, async_client = self._clients
        return Ollama(
            model=model.id, keep_alive=self.settings.keep_alive, client=client, async_client=async_client, **fields
        )

    def map_error(self, error: Exception) -> Exception:
        status = getattr(error, "status_code", None)
        said = str(getattr(error, "error", ""))
        if status == 404:
            return UnknownModelError("Ollama has no such model", fix="`ollama pull MODEL` where Ollama runs")
        if found := _CANNOT.search(said):
            return UnsupportedParameterError(
                f"the model cannot take the parameter '{_PARAMETER[found[1]]}'",
                param=_PARAMETER[found[1]],
                fix="leave it out, or choose another model",
            )
        if status == -1:  # an error within a stream has no status
            return ProviderUnavailableError("Ollama broke off with an error of its own", provider=self.name)
        # The SDK's error has lost the headers; the one that it was made from has them.
        if isinstance(status, int) and isinstance(error.__context__, Exception):
            return super().map_error(error.__context__)
        return super().map_error(error)

    @cached_property
    def _clients(self) -> tuple[Any, Any]:
        """The SDK's two clients, over ours."""
        import ollama

        from tilores_plugins.providers.ollama.model import Client, repaired

        async def repair(response: Any) -> None:
            response.aiter_lines = lambda: repaired(response.aiter_bytes())

        address = self.settings.base_url or _ADDRESS
        tls = self.http.tls()
        client, async_client = ollama.Client(host=address, verify=tls), Client(host=address, verify=tls)
        made: dict[str, Any] = {"base_url": client._client.base_url, "headers": client._client.headers}
        client._client.close()
        client._client, async_client._client = (
            self.http.sync_client(**made),
            self.http.async_client(**made, event_hooks={"response": [repair]}),
        )
        return client, async_client
