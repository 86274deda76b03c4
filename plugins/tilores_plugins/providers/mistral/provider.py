"""The provider `mistral`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tilores_core import Message, PluginContext
from tilores_core.llm import (
    OPENAI_FIELDS,
    Fields,
    ModelData,
    OpenAIProtocolProvider,
    load_catalogue,
    temperature_up_to_one,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


_NOTED: Final = "(Noted.)"
_GO_ON: Final = "(Please continue.)"


def build(context: PluginContext) -> MistralProvider:
    """The factory that the hook names."""
    return MistralProvider(context.settings, load_catalogue("tilores_plugins.providers.mistral"))


class MistralProvider(OpenAIProtocolProvider):
    """Mistral's models. A message of its assistant holds a text or tool calls, and ids of calls have nine letters."""

    name = "mistral"
    title = "Mistral"
    key_variable = "MISTRAL_API_KEY"
    default_base_url = "https://api.mistral.ai/v1"
    parameters: ClassVar[Fields] = {
        **{name: field for name, field in OPENAI_FIELDS.items() if name not in ("logit_bias", "verbosity")},
        "temperature": temperature_up_to_one("Mistral"),
        "seed": "random_seed",
    }
    names = False
    call_ids = (re.compile("[a-zA-Z0-9]{9}"), 9)

    def message(self, message: Message) -> dict[str, Any]:
        written = super().message(message)
        if written.get("tool_calls"):
            written["content"] = ""
        return written

    def adapt(self, body: dict[str, Any], model: ModelData) -> None:
        body.pop("stream_options", None)  # it counts tokens without being asked
        messages: list[dict[str, Any]] = []
        for message in body["messages"]:
            if message["role"] == "assistant" and not (message["content"] or "tool_calls" in message):
                continue  # it takes none that says nothing
            if message["role"] == "user" and messages and messages[-1]["role"] == "tool":
                messages.append({"role": "assistant", "content": _NOTED})  # it takes no user behind a tool
            messages.append(message)
        if messages[-1]["role"] == "assistant":
            messages.append({"role": "user", "content": _GO_ON})  # nor an assistant at the end
        body["messages"] = messages

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
