"""The provider `mistral`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tilores_core import Message, PluginContext, UnsupportedParameterError
from tilores_core.llm import OPENAI_FIELDS, Fields, ModelData, OpenAIProtocolProvider, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")


def build(context: PluginContext) -> MistralProvider:
    """The factory that the hook names."""
    return MistralProvider(context.settings, load_catalogue("tilores_plugins.providers.mistral"))


def _temperature(value: float, model: ModelData) -> Mapping[str, Any]:
    if value > 1:
        raise UnsupportedParameterError(
            "Mistral takes a temperature from 0 to 1 here", param="temperature", fix="lower it, or leave it out"
        )
    return {"temperature": value}


class MistralProvider(OpenAIProtocolProvider):
    """Mistral's models. A message of its assistant holds a text or tool calls, and ids of calls have nine letters."""

    name = "mistral"
    title = "Mistral"
    key_variable = "MISTRAL_API_KEY"
    default_base_url = "https://api.mistral.ai/v1"
    parameters: ClassVar[Fields] = {
        **{name: field for name, field in OPENAI_FIELDS.items() if name not in ("logit_bias", "verbosity")},
        "temperature": _temperature,
        "seed": "random_seed",
    }

    names = False

    def message(self, message: Message) -> dict[str, Any]:
        written = super().message(message)
        if written.get("tool_calls"):
            written["content"] = ""
            for call in written["tool_calls"]:
                call["id"] = _short(call["id"])
        if "tool_call_id" in written:
            written["tool_call_id"] = _short(written["tool_call_id"])
        return written

    def adapt(self, body: dict[str, Any], model: ModelData) -> None:
        body.pop("stream_options", None)  # it counts tokens without being asked

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from langchain_mistralai import ChatMistralAI

        given: dict[str, Any] = {
            name: fields.pop(name) for name in ("temperature", "top_p", "stop") if name in fields
        }
        client: dict[str, Any] = {
            "base_url": self.settings.base_url or self.default_base_url,
            "headers": {**self.headers(), "Accept": "application/json"},
        }
        return ChatMistralAI(
            model=model.id,
            api_key=self.key(),
            max_retries=1,  # attempts, despite the name
            client=self.http.sync_client(**client),
            async_client=self.http.async_client(**client),
            model_kwargs=fields,
            **given,
        )


def _short(call_id: Any) -> str:
    """An id as Mistral takes it; the same for a call and its result."""
    call_id = str(call_id)
    return call_id if _ID.fullmatch(call_id) else sha256(call_id.encode()).hexdigest()[:9]
