"""The provider `deepseek`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilores_core import PluginContext
from tilores_core.llm import OPENAI_FIELDS, OpenAIProtocolProvider, load_catalogue

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# It would pass over these without a word, and an answer that only seems to follow them is worse than a refusal.
_IGNORED = ("seed", "logit_bias", "parallel_tool_calls")
_TAKEN = {name: field for name, field in OPENAI_FIELDS.items() if name not in _IGNORED}


class DeepSeekProvider(OpenAIProtocolProvider):
    name = "deepseek"
    title = "DeepSeek"
    key_variable = "DEEPSEEK_API_KEY"
    default_base_url = "https://api.deepseek.com/v1"
    parameters = _TAKEN
    max_stops = 16

    def chat_class(self) -> type[BaseChatModel]:
        from tilores_plugins.providers.deepseek.chat import DeepSeekChat

        return DeepSeekChat


def build(context: PluginContext) -> DeepSeekProvider:
    return DeepSeekProvider(context.settings, load_catalogue(__package__))
