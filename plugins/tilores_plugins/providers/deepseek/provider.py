"""The provider `deepseek`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tilores_core import PluginContext
from tilores_core.llm import (
    OPENAI_FIELDS,
    Fields,
    ModelData,
    OpenAIProtocolProvider,
    load_catalogue,
    with_thoughts,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# It would ignore these, and an answer that only seems to follow them is worse than a refusal.
_IGNORED = ("seed", "logit_bias", "parallel_tool_calls", "verbosity")


class DeepSeekProvider(OpenAIProtocolProvider):
    """Its reasoning belongs to the tool calls that it led to: without it DeepSeek refuses their results."""

    name = "deepseek"
    title = "DeepSeek"
    key_variable = "DEEPSEEK_API_KEY"
    default_base_url = "https://api.deepseek.com/v1"
    parameters: ClassVar[Fields] = {
        **{name: field for name, field in OPENAI_FIELDS.items() if name not in _IGNORED},
        "thinking": "thinking",
    }
    max_stops = 16
    message_state = ("reasoning_content",)

    def adapt(self, body: dict[str, Any], model: ModelData) -> None:
        messages = body["messages"]
        if any("tool_calls" in message for message in messages):  # then it wants it of every answer, of any model
            body["messages"] = with_thoughts(messages)

    def make(self, model: ModelData, fields: dict[str, Any]) -> BaseChatModel:
        from langchain_deepseek import ChatDeepSeek

        return ChatDeepSeek(**self.arguments(model), extra_body=fields or None)


def build(context: PluginContext) -> DeepSeekProvider:
    return DeepSeekProvider(context.settings, load_catalogue(__package__))
