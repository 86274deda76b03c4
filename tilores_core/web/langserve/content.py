"""Message contents and tool calls, from LangChain's shapes into those of the OpenAI protocol."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from tilores_core.web.bodies import nests_deeper

MAX_DEPTH: Final = 32
"""How deep a part or a tool call's arguments may nest; serialising gives up far below what parsing allows."""

_MOST_PARTS: Final = 256
_MOST_CALLS: Final = 128
_STATE: Final[dict[str, type]] = {
    **dict.fromkeys(("reasoning_content", "reasoning"), str),
    **dict.fromkeys(("reasoning_details", "thinking_blocks"), list),
}


class ContentError(Exception):
    """Something inside a message is wrong. `path` is relative to the message (`.content[1].text`)."""

    def __init__(self, path: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.fix = fix


def read_content(value: object, role: str) -> str | list[dict[str, Any]]:
    """A message's content: text, or its parts in the OpenAI shape.

    Of an assistant only text is kept: what else its provider said (reasoning, tool use in its own words) means
    nothing to another one, and tool calls travel apart.
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise ContentError(".content", "content must be text or a list of parts", "send a string")
    if len(value) > _MOST_PARTS:
        raise ContentError(".content", f"{len(value)} parts, at most {_MOST_PARTS} are allowed", "send fewer parts")
    parts = []
    for index, part in enumerate(value):
        read = _read_part(part, f".content[{index}]")
        if role == "assistant" and read["type"] != "text":
            continue
        if role == "system" and read["type"] != "text":
            raise ContentError(
                f".content[{index}].type", "a system message holds text only", 'send parts of type "text"'
            )
        parts.append(read)
    return parts


def _read_part(part: object, path: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise ContentError(path, "a part must be a string or an object", 'send {"type": "text", "text": …}')
    kind = part.get("type")
    if kind == "text":
        text = part.get("text")
        if not isinstance(text, str):
            raise ContentError(f"{path}.text", "text must be a string", "send a string")
        return {"type": "text", "text": text}
    if not isinstance(kind, str):
        raise ContentError(f"{path}.type", "a part needs a type", 'send {"type": "text", "text": …}')
    if kind == "image_url":
        return {"type": "image_url", "image_url": _image_url(part.get("image_url"), path)}
    if kind == "image" and (url := _image_address(part)) is not None:
        return {"type": "image_url", "image_url": {"url": url}}
    check_depth(part, path)
    return part


def _image_url(value: object, path: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"url": value}
    if isinstance(value, dict) and isinstance(value.get("url"), str):
        detail = value.get("detail")
        return {"url": value["url"], "detail": detail} if isinstance(detail, str) else {"url": value["url"]}
    raise ContentError(f"{path}.image_url", "image_url must hold a url", 'send {"url": …}')


def _image_address(part: dict[str, Any]) -> str | None:
    """LangChain's own image block (`url`, or `base64`, formerly `data`, with `mime_type`), or Anthropic's, as one
    address."""
    source = part.get("source")
    part = source if isinstance(source, dict) else part
    url = part.get("url")
    if isinstance(url, str):
        return url
    data = part.get("base64", part.get("data"))
    if not isinstance(data, str):
        return None
    mime_type = part.get("mime_type", part.get("media_type"))
    return f"data:{mime_type if isinstance(mime_type, str) else 'image/png'};base64,{data}"


def check_depth(value: object, path: str) -> None:
    """Raise `ContentError` when `value` nests deeper than `MAX_DEPTH`."""
    if nests_deeper(value, MAX_DEPTH):
        raise ContentError(path, f"nested deeper than {MAX_DEPTH} levels", "send it flatter")


def read_tool_calls(item: dict[str, Any]) -> list[dict[str, Any]]:
    """An assistant message's tool calls, wherever its client put them, in the OpenAI shape.

    Python clients send `tool_calls` with `args` (and those the model got wrong in `invalid_tool_calls`), the
    JavaScript client only what is in `additional_kwargs`; `function_call` is how it was before there were tools.
    """
    calls = _read_calls(item.get("tool_calls"), ".tool_calls")
    calls += _read_calls(item.get("invalid_tool_calls"), ".invalid_tool_calls")
    if calls:
        return calls
    extra = item.get("additional_kwargs")
    if not extra:
        return []
    if not isinstance(extra, dict):
        raise ContentError(".additional_kwargs", "additional_kwargs must be an object", "send {} or leave it out")
    calls = _read_calls(extra.get("tool_calls"), ".additional_kwargs.tool_calls")
    legacy = extra.get("function_call")
    if not calls and legacy is not None:
        call = _read_call({"function": legacy}, ".additional_kwargs.function_call", 0)
        call["id"] = function_call_id(call["function"]["name"])
        calls = [call]
    return calls


def read_state(item: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    """What a provider must see again with the calls, from `additional_kwargs`; `extra_content` goes to its calls."""
    given = item.get("additional_kwargs")
    state: dict[str, Any] = {}
    if not given or not isinstance(given, dict):
        return state
    for key, kind in _STATE.items():
        if isinstance(value := given.get(key), kind):
            check_depth(value, f".additional_kwargs.{key}")
            state[key] = value
    if isinstance(extra := given.get("extra_content"), dict):
        check_depth(extra, ".additional_kwargs.extra_content")
        for call in calls:
            if call["id"] in extra:
                call["extra_content"] = extra[call["id"]]
    return state


def function_call_id(name: str) -> str:
    """The id that joins a call of a function to its result where the client's form has none."""
    return f"function_{name}"


def _read_calls(value: object, path: str) -> list[dict[str, Any]]:
    if not value:
        return []
    if not isinstance(value, list):
        raise ContentError(path, "must be a list of tool calls", "send a list")
    if len(value) > _MOST_CALLS:
        raise ContentError(path, f"{len(value)} tool calls, at most {_MOST_CALLS} are allowed", "send fewer")
    return [_read_call(call, f"{path}[{index}]", index) for index, call in enumerate(value)]


def _read_call(call: object, path: str, index: int) -> dict[str, Any]:
    if not isinstance(call, dict):
        raise ContentError(path, "a tool call must be an object", 'send {"name": …, "args": {…}, "id": …}')
    function = call.get("function")
    if function is None:
        name, arguments = call.get("name"), call.get("args")
    elif isinstance(function, dict):
        name, arguments = function.get("name"), function.get("arguments")
    else:
        raise ContentError(f"{path}.function", "function must be an object", 'send {"name": …, "arguments": …}')
    if not isinstance(name, str) or not name:
        raise ContentError(f"{path}.name", "a tool call needs the tool's name", "send a string")
    call_id = call.get("id")
    if call_id is not None and not isinstance(call_id, str):
        raise ContentError(f"{path}.id", "a tool call's id must be a string", "send a string")
    return {
        "id": call_id or f"call_{index}",
        "type": "function",
        "function": {"name": name, "arguments": _arguments(arguments, path)},
    }


def _arguments(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "{}"
    if not isinstance(value, dict):
        raise ContentError(f"{path}.args", "a tool call's arguments must be an object", "send an object")
    check_depth(value, f"{path}.args")
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers of more than 64 bits
        return json.dumps(value)
