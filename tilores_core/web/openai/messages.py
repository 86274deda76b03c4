"""The `messages` of a completion request, checked and brought into our one shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError

_ROLES = "system, developer, user, assistant, tool, function"
# Roles of which a message with nothing but role and content is complete.
_SIMPLE_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_LONGEST_NAME = 256


def decode_messages(raw: Any) -> tuple[Message, ...]:
    """The messages with only the keys that mean something, so that equal conversations are equal values.

    Raises `InvalidRequestError` whose `param` is the path of the first thing that is wrong.
    """
    if type(raw) is not list:
        raise _wrong("messages", "must be a list of messages", "send at least one user message")
    if not raw:
        raise _wrong("messages", "must not be empty", "send at least one user message")
    messages: list[Message] = []
    simple_roles = _SIMPLE_ROLES
    for index, item in enumerate(raw):
        # Nearly every message is this plain, and this runs on every cached answer.
        if type(item) is dict and len(item) == 2:
            role, content = item.get("role"), item.get("content")
            if type(content) is str and type(role) is str and (simple := simple_roles.get(role)):
                messages.append({"role": simple, "content": content})
                continue
        _decode_message(item, f"messages[{index}]", messages)
    return tuple(messages)


def _decode_message(item: Any, at: str, messages: list[Message]) -> None:
    if type(item) is not dict:
        raise _wrong(at, "must be an object", "send an object with role and content")
    role = item.get("role")
    if type(role) is not str or (role not in _SIMPLE_ROLES and role not in {"tool", "function"}):
        raise _wrong(f"{at}.role", f"must be one of {_ROLES}")
    if role == "function":
        _decode_function_result(item, at, messages)
        return
    message: Message = {"role": _SIMPLE_ROLES.get(role, role)}
    calls = _tool_calls(item, at, len(messages)) if role == "assistant" else []
    message["content"] = _content(item.get("content"), f"{at}.content", nothing_is_fine=bool(calls))
    name = item.get("name")
    if name is not None and (name := _text(name, f"{at}.name", longest=_LONGEST_NAME)):
        message["name"] = name
    if calls:
        message["tool_calls"] = calls
    if role == "tool":
        message["tool_call_id"] = _filled(item.get("tool_call_id"), f"{at}.tool_call_id", longest=_LONGEST_NAME)
    messages.append(message)


# --- content ---------------------------------------------------------------------------------------------


def _content(raw: Any, at: str, *, nothing_is_fine: bool) -> str | list[dict[str, Any]] | None:
    if type(raw) is str:
        return raw
    if nothing_is_fine and (raw is None or raw == []):
        return None
    if type(raw) is not list:
        raise _wrong(at, "must be a string or a list of parts")
    if not raw:
        raise _wrong(at, "must not be an empty list", "send a string or at least one part")
    parts = [_part(part, f"{at}[{index}]") for index, part in enumerate(raw)]
    # One text part means the same as the text alone, and the same question must be the same value.
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _part(raw: Any, at: str) -> dict[str, Any]:
    if type(raw) is not dict:
        raise _wrong(at, "must be an object with a type")
    kind = raw.get("type")
    read = _PARTS.get(kind) if type(kind) is str else None
    if read is None:
        raise _wrong(f"{at}.type", "must be one of text, image_url, input_audio", "leave this part out")
    return read(raw, at)


def _text_part(raw: dict[str, Any], at: str) -> dict[str, Any]:
    return {"type": "text", "text": _text(raw.get("text"), f"{at}.text")}


def _refusal_part(raw: dict[str, Any], at: str) -> dict[str, Any]:
    return {"type": "text", "text": _text(raw.get("refusal"), f"{at}.refusal")}


def _image_part(raw: dict[str, Any], at: str) -> dict[str, Any]:
    given = raw.get("image_url")
    if type(given) is not dict:
        raise _wrong(f"{at}.image_url", "must be an object with a url")
    image = {"url": _filled(given.get("url"), f"{at}.image_url.url")}
    if (detail := given.get("detail")) is not None:
        if detail not in ("auto", "low", "high"):
            raise _wrong(f"{at}.image_url.detail", "must be one of auto, low, high")
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _audio_part(raw: dict[str, Any], at: str) -> dict[str, Any]:
    given = raw.get("input_audio")
    if type(given) is not dict:
        raise _wrong(f"{at}.input_audio", "must be an object with data and format")
    data = _filled(given.get("data"), f"{at}.input_audio.data")
    kind = _filled(given.get("format"), f"{at}.input_audio.format", longest=_LONGEST_NAME)
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


_PARTS: dict[str, Callable[[dict[str, Any], str], dict[str, Any]]] = {
    "text": _text_part,
    "refusal": _refusal_part,  # what an assistant said when it refused, coming back as history
    "image_url": _image_part,
    "input_audio": _audio_part,
}


# --- tool calls in the history ---------------------------------------------------------------------------


def _tool_calls(item: dict[str, Any], at: str, position: int) -> list[dict[str, Any]]:
    raw = item.get("tool_calls")
    if raw is None:
        legacy = item.get("function_call")
        if legacy is None:
            return []
        return [_call(_legacy_id(position), legacy, f"{at}.function_call")]
    if type(raw) is not list:
        raise _wrong(f"{at}.tool_calls", "must be a list")
    calls = []
    for index, call in enumerate(raw):
        where = f"{at}.tool_calls[{index}]"
        if type(call) is not dict:
            raise _wrong(where, "must be an object with id, type and function")
        if call.get("type") not in (None, "function"):
            raise _wrong(f"{where}.type", "must be function")
        identifier = _filled(call.get("id"), f"{where}.id", longest=_LONGEST_NAME)
        calls.append(_call(identifier, call.get("function"), f"{where}.function"))
    return calls


def _call(identifier: str, function: Any, at: str) -> dict[str, Any]:
    if type(function) is not dict:
        raise _wrong(at, "must be an object with name and arguments")
    name = _filled(function.get("name"), f"{at}.name", longest=_LONGEST_NAME)
    arguments = function.get("arguments")
    arguments = "" if arguments is None else _text(arguments, f"{at}.arguments")
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def _legacy_id(position: int) -> str:
    return f"call_{position}"


def _decode_function_result(item: dict[str, Any], at: str, messages: list[Message]) -> None:
    """The result of the older `function_call`, told as a tool's result.

    It has no id to say which call it answers; models insist on one, so a result without a call gets a call.
    """
    name = _filled(item.get("name"), f"{at}.name", longest=_LONGEST_NAME)
    content = _content(item.get("content"), f"{at}.content", nothing_is_fine=False)
    calls = messages[-1].get("tool_calls") if messages else None
    if calls and len(calls) == 1 and calls[0]["function"]["name"] == name:
        identifier: str = calls[0]["id"]
    else:
        identifier = _legacy_id(len(messages))
        call = {"id": identifier, "type": "function", "function": {"name": name, "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    messages.append({"role": "tool", "content": content, "name": name, "tool_call_id": identifier})


# --- small checks ----------------------------------------------------------------------------------------


def _text(value: Any, at: str, *, longest: int | None = None) -> str:
    if type(value) is not str:
        raise _wrong(at, "must be a string")
    if longest is not None and len(value) > longest:
        raise _wrong(at, f"must have at most {longest} characters")
    return value


def _filled(value: Any, at: str, *, longest: int | None = None) -> str:
    text = _text(value, at, longest=longest)
    if not text:
        raise _wrong(at, "must not be empty")
    return text


def _wrong(at: str, what: str, fix: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(f"{at} {what}", param=at, fix=fix)
