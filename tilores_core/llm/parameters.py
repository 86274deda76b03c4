"""A request's parameters, which have OpenAI's names, as a provider's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tilores_core.contracts import ModelInfo
from tilores_core.errors import InvalidRequestError, UnsupportedParameterError
from tilores_core.llm.catalogue import ModelData

Field = str | Callable[[Any, ModelData], Mapping[str, Any]]
"""How a parameter is given to the chat model: the name of the constructor's argument, or what makes the arguments
from the value. Mappings that several parameters put under one name (`model_kwargs`) are joined."""

Fields = Mapping[str, Field]
"""Which parameters a provider takes, by OpenAI's names: temperature, top_p, max_tokens, stop, seed, presence_penalty,
frequency_penalty, logit_bias, reasoning_effort, response_format, tools, tool_choice, parallel_tool_calls,
`SERVER_PARAMETERS` and `SAMPLER_PARAMETERS`."""

SERVER_PARAMETERS: Final = (
    *("top_k", "min_p", "top_a", "typical_p", "repetition_penalty", "length_penalty", "min_tokens", "ignore_eos"),
    *("stop_token_ids", "bad_words", "enable_thinking", "thinking_budget", "thinking", "think", "reasoning"),
    *("chat_template_kwargs", "structured_outputs", "guided_json", "guided_choice", "guided_regex", "guided_grammar"),
    *("grammar", "provider", "transforms"),
)
"""Parameters that OpenAI does not have, and servers of open models that speak its protocol do (vLLM, SGLang,
llama.cpp, OpenRouter, DashScope). `provider` says which companies OpenRouter may pass a request on to."""

SAMPLER_PARAMETERS: Final[Mapping[str, Sequence[Any]]] = {
    **dict.fromkeys(
        ("mirostat", "xtc_probability", "dynatemp_range", "dry_multiplier", "no_repeat_ngram_size"), (0,)
    ),
    **dict.fromkeys(("do_sample", "skip_special_tokens", "add_generation_prompt"), (True,)),
    **dict.fromkeys(("tfs_z", "best_of"), (1,)),
    **dict.fromkeys(("use_beam_search", "include_stop_str_in_output", "safe_prompt"), (False,)),
    "continue_final_message": (False,),
    "top_n_sigma": (0, -1),
    **dict.fromkeys(
        (
            *("allowed_token_ids", "chat_template", "documents", "json_schema", "regex", "ebnf", "samplers"),
            *("mirostat_tau", "mirostat_eta", "xtc_threshold", "dynatemp_exponent", "repeat_last_n", "dry_base"),
            *("dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers", "guided_whitespace_pattern"),
            "guided_decoding_backend",
        ),
        (),
    ),
}
"""More of them, which are passed on without a look, and their values that change nothing; those are left out."""

# What a model does anyhow: no reason to refuse a request, where it cannot be said to the model. Whether it thinks is
# not heard: thoughts are no part of an answer.
_AS_USUAL: Final[Mapping[str, Sequence[Any]]] = {
    **dict.fromkeys(("temperature", "top_p", "n", "typical_p", "repetition_penalty", "length_penalty"), (1,)),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "min_p", "top_a", "min_tokens"), (0,)),
    **dict.fromkeys(("logprobs", "ignore_eos", "enable_thinking", "think"), (False,)),
    **dict.fromkeys(("logit_bias", "chat_template_kwargs"), ({},)),
    **dict.fromkeys(("stop_token_ids", "bad_words", "transforms"), ([],)),
    "top_k": (0, -1),
    "thinking_budget": (0,),
    "provider": ({}, {"order": []}),
    "thinking": (False, {"type": "disabled"}),
    "reasoning": ({}, {"enabled": False}, {"exclude": True}),
    "parallel_tool_calls": (True,),
    "tool_choice": ("auto",),
    "response_format": ({"type": "text"},),
}
# They shape no answer, so nobody misses them.
_SHAPELESS: Final = frozenset(
    {
        *("user", "metadata", "store", "samplers", "guided_whitespace_pattern", "guided_decoding_backend"),
        # By themselves: what they belong to is refused.
        *("mirostat_tau", "mirostat_eta", "xtc_threshold", "dynatemp_exponent", "repeat_last_n"),
        *("dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
    }
)
_OF_TOOLS: Final = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_CHECKED: Final = _OF_TOOLS | {"response_format", "stop"}


def in_model_kwargs(name: str, of: str = "model_kwargs") -> Field:
    """A parameter that the chat model has no argument for and passes on by a mapping, `model_kwargs` or another."""

    def place(value: Any, model: ModelData) -> Mapping[str, Any]:
        return {of: {name: value}}

    return place


def positive_top_k(value: int, model: ModelData) -> Mapping[str, Any]:
    """`top_k` of a provider that takes none below 1, where others say 0 or -1 for all tokens."""
    return {"top_k": value} if value > 0 else {}


def temperature_up_to_one(provider: str) -> Field:
    """The temperature of a provider that takes it from 0 to 1; `provider` as messages call it."""

    def place(value: Any, model: ModelData) -> Mapping[str, Any]:
        if value > 1:
            raise UnsupportedParameterError(
                f"{provider} takes a temperature from 0 to 1", param="temperature", fix="lower it, or leave it out"
            )
        return {"temperature": value}

    return place


def translate(
    parameters: Mapping[str, Any], takes: Fields, model: ModelData, *, provider: str, max_stops: int | None = None
) -> dict[str, Any]:
    """Arguments of the chat model's constructor. `max_completion_tokens` is taken as `max_tokens`, `stop` as a list.

    Raises `UnsupportedParameterError` naming a parameter that the provider or the model cannot take; a value that
    changes nothing (temperature 1, a penalty of 0) is left out instead.
    """
    fields: dict[str, Any] = {}
    for name, value in _normalise(parameters).items():
        field = takes.get(name)
        if type(field) is str and name not in _CHECKED and name not in model.refuses:
            fields[field] = value  # most parameters
            continue
        problem = _problem(name, value, takes, model, provider)
        if problem is None and name == "stop" and max_stops is not None and len(value) > max_stops:
            problem = f"{provider} takes at most {max_stops} stop strings"
        if problem is None:
            _add(fields, takes[name], value, model)
        elif name not in _SHAPELESS and value not in _AS_USUAL.get(name, ()):
            raise UnsupportedParameterError(problem, param=name[:100], fix="leave it out, or choose another model")
    return fields


def _normalise(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in parameters.items() if value is not None}
    if "max_completion_tokens" in given:
        given["max_tokens"] = given.pop("max_completion_tokens")
    if "stop" in given:
        given["stop"] = [given["stop"]] if isinstance(given["stop"], str) else list(given["stop"])
    return given


def _problem(name: str, value: Any, takes: Fields, model: ModelData, provider: str) -> str | None:
    """Why the parameter cannot be taken, or None."""
    info: ModelInfo = model.info
    if name not in takes:
        return f"{provider} cannot take the parameter '{name[:100]}'"
    if name in model.refuses or (name in _OF_TOOLS and not info.tools):
        return f"the model '{info.id}' cannot take the parameter '{name}'"
    if name == "response_format":
        kind = value.get("type") if isinstance(value, Mapping) else None
        if not isinstance(kind, str):
            raise InvalidRequestError("response_format must be an object with a type", param=name)
        if kind == "json_schema" and not (model.json_schema and info.json_output):
            return f"the model '{info.id}' cannot be held to a JSON schema"
        if kind == "json_object" and not info.json_output:
            return f"the model '{info.id}' cannot be held to JSON"
    return None


def _add(fields: dict[str, Any], field: Field, value: Any, model: ModelData) -> None:
    made = {field: value} if isinstance(field, str) else field(value, model)
    for key, part in made.items():
        known = fields.get(key)
        both = isinstance(known, Mapping) and isinstance(part, Mapping)
        fields[key] = {**known, **part} if both else part  # type: ignore[dict-item]  # `both` says that it is one
