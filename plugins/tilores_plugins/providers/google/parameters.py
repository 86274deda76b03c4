"""A request's parameters as Gemini wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tilores_core import UnsupportedParameterError
from tilores_core.llm import Field, Fields, ModelData, in_model_kwargs, positive_top_k

# Tokens for thinking in place of a level, as Google's own translation of OpenAI's protocol has it
# (https://ai.google.dev/gemini-api/docs/openai, "Thinking").
_BUDGETS: Final = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS: Final = ("minimal", "low", "medium", "high")

FIXED_SAMPLING: Final = frozenset({"gemini-3.5-flash-lite", "gemini-3.6-flash"})
"""They ignore temperature and top_p, and LangChain drops both with a warning. The list is LangChain's."""


def _sampling(name: str) -> Field:
    def field(value: float, model: ModelData) -> Mapping[str, Any]:
        if value != 1 and model.id.removeprefix("models/") in FIXED_SAMPLING:
            raise UnsupportedParameterError(
                f"the model '{model.id}' cannot take the parameter '{name}'",
                param=name,
                fix="leave it out, or choose another model",
            )
        return {name: value} if model.id.removeprefix("models/") not in FIXED_SAMPLING else {}

    return field


def _tool_choice(choice: Any, model: ModelData) -> Mapping[str, Any]:
    name = choice["function"]["name"] if isinstance(choice, Mapping) else choice
    return {"bound": {"tool_choice": name}}


def _response_format(form: Mapping[str, Any], model: ModelData) -> Mapping[str, Any]:
    return {} if form["type"] == "text" else {"bound": {"response_format": form}}


def _effort(effort: str, model: ModelData) -> Mapping[str, Any]:
    budgeted = model.id.startswith("gemini-2.5")
    known = tuple(_BUDGETS) if budgeted else _LEVELS
    if effort not in known:
        raise UnsupportedParameterError(
            f"the model '{model.id}' takes a reasoning_effort of {', '.join(known)}",
            param="reasoning_effort",
            fix="choose one of these, or leave it out",
        )
    return {"thinking_budget": _BUDGETS[effort]} if budgeted else {"reasoning_effort": effort}


PARAMETERS: Final[Fields] = {
    "temperature": _sampling("temperature"),
    "top_p": _sampling("top_p"),
    "top_k": positive_top_k,
    "max_tokens": "max_output_tokens",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "tools": in_model_kwargs("tools", "bound"),
    "tool_choice": _tool_choice,
    "response_format": _response_format,
    "reasoning_effort": _effort,
}
