"""The parameters of a completion request that shape the model's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tilores_core.errors import InvalidRequestError

_MOST_STOPS = 16
_MOST_TOOLS = 128
_MOST_BIASES = 1024
_LONGEST_NAME = 256
_DEEPEST = 64  # schemas are written out again, for keys and for providers, and writers give up earlier than readers
_ABSENT: Final = object()  # given, but saying the same as if it were not


def decode_parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given and mean something, under OpenAI's names; `max_completion_tokens` as `max_tokens`.

    Raises `InvalidRequestError` whose `param` names the field.
    """
    parameters: dict[str, Any] = {}
    for name, value in body.items():
        read = _READERS.get(name)
        if read is not None and value is not None:
            decoded = read(name, value)
            if decoded is not _ABSENT:
                parameters[name] = decoded
    if "max_completion_tokens" in parameters:
        parameters["max_tokens"] = parameters.pop("max_completion_tokens")
    if "tools" in parameters:
        _check_choice(parameters)
    else:
        parameters.pop("tool_choice", None)
        parameters.pop("parallel_tool_calls", None)
    return parameters


# --- numbers ---------------------------------------------------------------------------------------------


def _number(low: int, high: int) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        # `type`, not `isinstance`: true is no number here.
        if type(value) not in (int, float) or not low <= value <= high:
            raise _wrong(name, f"must be a number from {low} to {high}")
        return float(value)

    return read


def _positive_integer(name: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise _wrong(name, "must be a whole number of at least 1")
    return value


def _integer(name: str, value: Any) -> int:
    if type(value) is not int:
        raise _wrong(name, "must be a whole number")
    return value


def _one(name: str, value: Any) -> object:
    if _positive_integer(name, value) > 1:
        raise _wrong(name, "must be 1", "send one request for each answer you want")
    return _ABSENT


# --- text and objects ------------------------------------------------------------------------------------


def _stop(name: str, value: Any) -> Any:
    stops = [value] if type(value) is str else value
    if type(stops) is not list or not all(type(stop) is str and stop for stop in stops):
        raise _wrong(name, "must be a string or a list of strings, none of them empty")
    if len(stops) > _MOST_STOPS:
        raise _wrong(name, f"must hold at most {_MOST_STOPS} strings")
    return stops or _ABSENT


def _effort(name: str, value: Any) -> str:
    if type(value) is not str or not value or len(value) > _LONGEST_NAME:
        raise _wrong(name, "must be a short string such as low, medium or high")
    return value


def _response_format(name: str, value: Any) -> Any:
    kind = value.get("type") if type(value) is dict else None
    if kind == "text":
        # The default. A model without structured output can do it too, and must not be asked whether it can.
        return _ABSENT
    if kind == "json_object":
        return {"type": kind}
    if kind != "json_schema":
        raise _wrong(f"{name}.type" if type(value) is dict else name, "must be text, json_object or json_schema")
    if type(schema := value.get("json_schema")) is not dict:
        raise _wrong(f"{name}.json_schema", "must be an object")
    _check_depth(schema, f"{name}.json_schema")
    return {"type": kind, "json_schema": schema}


def _logit_bias(name: str, value: Any) -> Any:
    if type(value) is not dict or len(value) > _MOST_BIASES:
        raise _wrong(name, f"must be an object with at most {_MOST_BIASES} entries")
    read = _number(-100, 100)
    return {token: read(name, bias) for token, bias in value.items()} or _ABSENT


def _boolean(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(name, "must be true or false")
    return value


# --- tools -----------------------------------------------------------------------------------------------


def _tools(name: str, value: Any) -> Any:
    """Function tools only: a request must not fail because it offers other kinds too."""
    if type(value) is not list or len(value) > _MOST_TOOLS:
        raise _wrong(name, f"must be a list of at most {_MOST_TOOLS} tools")
    tools = [_tool(tool, f"{name}[{index}]") for index, tool in enumerate(value)]
    return [tool for tool in tools if tool] or _ABSENT


def _tool(value: Any, at: str) -> dict[str, Any] | None:
    if type(value) is not dict or type(value.get("type")) is not str:
        raise _wrong(at, "must be an object with a type")
    if value["type"] != "function":
        return None
    function = value.get("function")
    if type(function) is not dict:
        raise _wrong(f"{at}.function", "must be an object with a name")
    kept: dict[str, Any] = {"name": _name(function.get("name"), f"{at}.function.name")}
    for key, kind, what in (
        ("description", str, "a string"),
        ("parameters", dict, "an object"),
        ("strict", bool, "true or false"),
    ):
        given = function.get(key)
        if given is not None:
            if type(given) is not kind:
                raise _wrong(f"{at}.function.{key}", f"must be {what}")
            _check_depth(given, f"{at}.function.{key}")
            kept[key] = given
    return {"type": "function", "function": kept}


def _tool_choice(name: str, value: Any) -> Any:
    if value in ("none", "auto", "required"):
        return value
    if type(value) is not dict or value.get("type") != "function" or type(value.get("function")) is not dict:
        raise _wrong(name, 'must be "none", "auto", "required" or an object that names a function')
    function = {"name": _name(value["function"].get("name"), f"{name}.function.name")}
    return {"type": "function", "function": function}


def _check_choice(parameters: Mapping[str, Any]) -> None:
    choice = parameters.get("tool_choice")
    if type(choice) is dict and choice["function"] not in [
        {"name": tool["function"]["name"]} for tool in parameters["tools"]
    ]:
        raise _wrong("tool_choice.function.name", "must name one of the tools")


def _check_depth(value: Any, at: str) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise _wrong(at, f"must not be nested more than {_DEEPEST} deep")


def _name(value: Any, at: str) -> str:
    if type(value) is not str or not value or len(value) > _LONGEST_NAME:
        raise _wrong(at, f"must be a string of 1 to {_LONGEST_NAME} characters")
    return value


def _wrong(at: str, what: str, fix: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(f"{at} {what}", param=at, fix=fix)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "max_tokens": _positive_integer,
    "max_completion_tokens": _positive_integer,
    "n": _one,
    "stop": _stop,
    "seed": _integer,
    "response_format": _response_format,
    "logit_bias": _logit_bias,
    "reasoning_effort": _effort,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "parallel_tool_calls": _boolean,
}
