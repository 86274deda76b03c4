"""A request's parameters as fields of the demo model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tilores_core import InvalidRequestError, UnsupportedParameterError

# Taken and without effect: nothing in the answers depends on them, and nothing reasons.
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("temperature", "top_p", "top_k", "min_p", "top_a", "typical_p", "logit_bias"),
        *("presence_penalty", "frequency_penalty", "repetition_penalty", "length_penalty"),
        *("reasoning_effort", "reasoning", "enable_thinking", "thinking", "think", "thinking_budget"),
        "chat_template_kwargs",
        *("metadata", "parallel_tool_calls", "user"),
    }
)


def model_fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `SimulatedChatModel`.

    Raises `UnsupportedParameterError` naming a parameter that it cannot take, `InvalidRequestError` for a bad value.
    """
    fields: dict[str, Any] = {}
    for key, value in parameters.items():
        if value is None or key in _WITHOUT_EFFECT:
            continue
        if key == "max_completion_tokens":
            fields["max_tokens"] = _token_limit(key, value)
        elif key == "max_tokens":
            fields.setdefault(key, _token_limit(key, value))
        elif key == "seed":
            fields[key] = _whole_number(key, value)
        elif key == "stop":
            fields[key] = (value,) if isinstance(value, str) else tuple(value)
        elif key == "tools":
            fields[key] = tuple(value)
        elif key == "tool_choice":
            fields[key] = value
        elif key == "response_format":
            fields[key] = _response_format(value)
        elif (key, value) not in (("n", 1), ("logprobs", False)):  # these two mean: as usual
            raise UnsupportedParameterError(
                f"the demo model cannot take the parameter '{key[:100]}'", param=key[:100], fix="leave it out"
            )
    return fields


def _token_limit(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidRequestError(f"{key} must be a whole number of at least 1", param=key)
    return value


def _whole_number(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequestError(f"{key} must be a whole number", param=key)
    return value


def _response_format(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or value.get("type") not in ("text", "json_object"):
        raise UnsupportedParameterError(
            "the demo model answers as text or as json_object",
            param="response_format",
            fix="ask for one of these, or use another model",
        )
    return dict(value)
