"""The provider `openai`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from tilores_core import PluginContext, UnsupportedParameterError
from tilores_core.llm import OPENAI_FIELDS, Fields, ModelData, OpenAIProtocolProvider, load_catalogue


class OpenAIProvider(OpenAIProtocolProvider):
    name = "openai"
    title = "OpenAI"
    key_variable = "OPENAI_API_KEY"
    default_base_url = "https://api.openai.com/v1"
    parameters: ClassVar[Fields] = {**OPENAI_FIELDS, "max_tokens": "max_completion_tokens"}
    max_stops = 4
    call_ids = (re.compile(".{1,40}"), 40)  # those of other providers may be longer

    def wire_parameters(self, model: ModelData, parameters: Mapping[str, Any]) -> dict[str, Any]:
        fields = super().wire_parameters(model, parameters)
        sampled = "top_p" in fields or "temperature" in fields
        if model.reasoning and sampled and fields.get("reasoning_effort") not in (None, "none"):
            raise UnsupportedParameterError(
                f"the model '{model.id}' takes temperature and top_p only while it does not reason",
                param="temperature" if "top_p" not in fields else "top_p",
                fix="leave it out, or set reasoning_effort to none",
            )
        return fields


def build(context: PluginContext) -> OpenAIProvider:
    return OpenAIProvider(context.settings, load_catalogue(__package__))
