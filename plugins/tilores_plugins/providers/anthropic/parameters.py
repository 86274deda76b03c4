"""A request's parameters as Anthropic wants them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tilores_core import InvalidRequestError, UnsupportedParameterError
from tilores_core.llm import Fields, ModelData, positive_top_k, temperature_up_to_one

# These choose for themselves whether to call a tool; Anthropic answers 400 when told to.
_NEVER_FORCED: Final = ("claude-fable-5-1", "claude-opus-5-5", "claude-sonnet-5-5")
_UNIONS: Final = ("oneOf", "anyOf", "allOf")
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")


def _tools(tools: list[dict[str, Any]], model: ModelData) -> Mapping[str, Any]:
    return {"model_kwargs": {"tools": [_tool(tool["function"]) for tool in tools]}}


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    given = function.get("parameters") or {}
    unions = {key: given[key] for key in _UNIONS if key in given}
    made = {"name": function["name"], "input_schema": _without_unions(given, unions)}
    made |= {key: function[key] for key in ("description", "strict") if function.get(key)}
    if unions:
        said = f"The input must fit {json.dumps(unions)}."
        made["description"] = f"{made['description']}\n\n{said}" if "description" in made else said
    return made


def _without_unions(given: Mapping[str, Any], unions: Mapping[str, Any]) -> dict[str, Any]:
    """A tool's schema as Anthropic takes it: of type object, and without unions at its top. Their properties are the
    object's, and required is what all of the options require."""
    schema = {key: value for key, value in given.items() if key not in unions} | {"type": "object"}
    properties, required = dict(schema.get("properties") or {}), list(schema.get("required") or ())
    for key, options in unions.items():
        options = [option for option in options if isinstance(option, Mapping)] if isinstance(options, list) else []
        for option in options:
            properties = {**(option.get("properties") or {}), **properties}
        wanted = [option.get("required") or () for option in options]
        for name in dict.fromkeys(name for names in wanted for name in names):
            if name not in required and (key == "allOf" or all(name in names for names in wanted)):
                required.append(name)
    return schema | {"properties": properties} | ({"required": required} if required else {})


def _tool_choice(choice: Any, model: ModelData) -> Mapping[str, Any]:
    if choice in ("auto", "none"):
        return {"model_kwargs": {"tool_choice": {"type": choice}}}
    if model.id.startswith(_NEVER_FORCED):
        raise UnsupportedParameterError(
            f"the model '{model.id}' cannot be made to call a tool",
            param="tool_choice",
            fix="use auto, or another model",
        )
    if choice == "required":
        return {"model_kwargs": {"tool_choice": {"type": "any"}}}
    return {"model_kwargs": {"tool_choice": {"type": "tool", "name": choice["function"]["name"]}}}


def _limit_to_one_call(several: bool, model: ModelData) -> Mapping[str, Any]:
    return {"one_call": not several}


def _response_format(form: Mapping[str, Any], model: ModelData) -> Mapping[str, Any]:
    if form["type"] == "text":
        return {}
    if form["type"] != "json_schema":
        raise UnsupportedParameterError(
            "Anthropic holds an answer to a JSON schema, not to JSON of any shape",
            param="response_format",
            fix="send a json_schema, or ask for JSON in the prompt",
        )
    if not isinstance((form.get("json_schema") or {}).get("schema"), Mapping):
        raise InvalidRequestError("response_format.json_schema needs a schema", param="response_format.json_schema")
    return {"model_kwargs": {"response_format": form}}


def _effort(effort: str, model: ModelData) -> Mapping[str, Any]:
    if effort not in _EFFORTS:
        raise UnsupportedParameterError(
            f"Anthropic takes a reasoning_effort of {', '.join(_EFFORTS)}",
            param="reasoning_effort",
            fix="choose one of these, or leave it out",
        )
    return {"reasoning_effort": effort}


def keep_one_sampling(fields: dict[str, Any]) -> None:
    """Leave out `temperature` or `top_p` where it is the usual 1: newer Claudes refuse the two together."""
    if "temperature" in fields and "top_p" in fields:
        usual = next((name for name in ("top_p", "temperature") if fields[name] == 1), None)
        if usual is not None:
            del fields[usual]


PARAMETERS: Final[Fields] = {
    "temperature": temperature_up_to_one("Anthropic"),
    "top_p": "top_p",
    "top_k": positive_top_k,
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _limit_to_one_call,
    "response_format": _response_format,
    "reasoning_effort": _effort,
}
