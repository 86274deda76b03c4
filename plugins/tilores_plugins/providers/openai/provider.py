"""The provider `openai`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilores_core import PluginContext, UnsupportedParameterError
from tilores_core.llm import ModelData, OpenAIProtocolProvider, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class OpenAIProvider(OpenAIProtocolProvider):
    name = "openai"
    title = "OpenAI"
    key_variable = "OPENAI_API_KEY"
    default_base_url = "https://api.openai.com/v1"
    max_stops = 4

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        sampled = "top_p" in fields or "temperature" in fields.get("extra_body", {})
        if model.reasoning and sampled and fields.get("reasoning_effort") not in (None, "none"):
            raise UnsupportedParameterError(
                f"the model '{model.id}' takes temperature and top_p only while it does not reason",
                param="temperature" if "top_p" not in fields else "top_p",
                fix="leave it out, or set reasoning_effort to none",
            )
        return super().make(model, fields)

    def chat_class(self) -> type[BaseChatModel]:
        from tilores_core.llm.openai_chat import OpenAIChat

        return OpenAIChat


def build(context: PluginContext) -> OpenAIProvider:
    return OpenAIProvider(context.settings, load_catalogue(__package__))
