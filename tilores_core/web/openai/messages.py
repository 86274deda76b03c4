"""The messages of a completion request as the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from msgspec import Raw

from tilores_core.contracts import Message
from tilores_core.errors import InvalidRequestError
from tilores_core.web.bodies import nests_deeper
from tilores_core.web.openai.body import (
    NULL,
    AudioPart,
    CalledFunction,
    ImagePart,
    LeftOutPart,
    MessageBody,
    Part,
    RefusalPart,
    TextPart,
)

MAX_DEPTH: Final = 64
KINDS: Final = "use one of text, image_url, input_audio for a part, function for a tool"


def invalid(at: str, what: str, fix: str | None = None) -> InvalidRequestError:
    return InvalidRequestError(f"{at} {what}", param=at, fix=fix)


def read_messages(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """Only the keys that mean something, so that equal conversations are equal values."""
    messages: list[Message] = []
    for index, body in enumerate(bodies):
        _add_message(body, f"messages[{index}]", messages)
    return tuple(messages)


def _add_message(body: MessageBody, at: str, messages: list[Message]) -> None:
    role = body.role
    if role == "function":
        _add_function_result(body, at, messages)
        return
    if body.audio is not NULL and body.audio != NULL:
        raise invalid(
            f"{at}.audio", "cannot be known here: this server answers with text", "send its text as content"
        )
    message: Message = {"role": "system" if role == "developer" else role}
    calls = _tool_calls(body, at, len(messages)) if role == "assistant" else []
    content = body.content
    if role == "assistant" and not content and body.refusal:
        content = body.refusal
    if not content and role != "user" and not calls:
        content = ""  # a tool without a result, an answer that was stopped
    message["content"] = content if type(content) is str else _content(content, at, role, may_be_absent=bool(calls))
    if body.name:
        message["name"] = body.name
    if calls:
        message["tool_calls"] = calls
        _add_state(body, at, message)
    if role == "tool":
        call_id = body.tool_call_id or _call_to_answer(messages)
        if not call_id:
            raise invalid(f"{at}.tool_call_id", "must be the id of the tool call that this answers")
        message["tool_call_id"] = call_id
    messages.append(message)


def _content(
    value: str | list[Part] | None, at: str, role: str, *, may_be_absent: bool = False
) -> str | list[dict[str, Any]] | None:
    if isinstance(value, str):
        return value
    if not value:
        if may_be_absent:
            return None
        raise invalid(f"{at}.content", "must be a string or a list of at least one part")
    if role == "assistant":
        value = [part for part in value if not isinstance(part, LeftOutPart)] or [TextPart("")]
    elif role in ("system", "developer") and not all(isinstance(part, TextPart) for part in value):
        raise invalid(f"{at}.content", "must be text: it is a system message", "send an image in a user's message")
    parts = [_part(part, f"{at}.content[{position}]") for position, part in enumerate(value)]
    # One text part means the same as the text alone, and the same question must be the same value.
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _part(part: Part, at: str) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case RefusalPart():
            return {"type": "text", "text": part.refusal}
        case ImagePart():
            given = part.image_url
            if isinstance(given, str):
                return {"type": "image_url", "image_url": {"url": given}}
            image = {"url": given.url}
            if given.detail is not None:
                image["detail"] = given.detail
            return {"type": "image_url", "image_url": image}
        case AudioPart():
            audio = part.input_audio
            return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}
        case LeftOutPart():
            raise invalid(f"{at}.type", "is one of an assistant's", KINDS)


def _add_state(body: MessageBody, at: str, message: Message) -> None:
    """What a provider must see again with the tools' results: it is kept as it came."""
    if body.reasoning_content is not None:
        message["reasoning_content"] = body.reasoning_content
    if body.reasoning is not None:
        message["reasoning"] = body.reasoning
    for key in ("reasoning_details", "thinking_blocks"):
        if (parts := open_json(getattr(body, key), f"{at}.{key}")) is not None:
            if not isinstance(parts, list):
                raise invalid(f"{at}.{key}", "must be a list")
            message[key] = parts


def _tool_calls(body: MessageBody, at: str, position: int) -> list[dict[str, Any]]:
    if body.tool_calls is not None:
        calls = []
        for index, given in enumerate(body.tool_calls):
            call = _call(given.id or f"call_{position}_{index}", given.function)
            at_extra = f"{at}.tool_calls[{index}].extra_content"
            if (extra := open_json(given.extra_content, at_extra)) is not None:
                call["extra_content"] = extra
            calls.append(call)
        return calls
    return [] if body.function_call is None else [_call(f"call_{position}", body.function_call)]


def _call_to_answer(messages: Sequence[Message]) -> str | None:
    """The id of the first call that has no result yet."""
    answered = set()
    for message in reversed(messages):
        if message["role"] != "tool":
            return next((call["id"] for call in message.get("tool_calls", ()) if call["id"] not in answered), None)
        answered.add(message["tool_call_id"])
    return None


def _call(identifier: str, function: CalledFunction) -> dict[str, Any]:
    given = function.arguments
    if isinstance(given, dict):  # as Ollama's clients send them; each value stays as it is written
        values = [b"%b:%b" % (orjson.dumps(key), bytes(value)) for key, value in given.items()]
        given = (b"{%b}" % b",".join(values)).decode()
    return {"id": identifier, "type": "function", "function": {"name": function.name, "arguments": given or ""}}


def _add_function_result(body: MessageBody, at: str, messages: list[Message]) -> None:
    """The result of the older `function_call` as a tool's result.

    It has no id to say which call it answers.
    """
    if not body.name:
        raise invalid(f"{at}.name", "must be the name of the function")
    content = _content(body.content, at, "tool")
    calls = messages[-1].get("tool_calls") if messages else None
    if calls and len(calls) == 1 and calls[0]["function"]["name"] == body.name:
        call_id: str = calls[0]["id"]
    else:
        call_id = f"call_{len(messages)}"
    messages.append({"role": "tool", "content": content, "name": body.name, "tool_call_id": call_id})


def open_json(raw: Raw, at: str) -> Any:
    """JSON of any shape that is written out again, for keys and for providers."""
    try:
        value = orjson.loads(bytes(raw))
    except orjson.JSONDecodeError as error:
        raise invalid(at, f"is not valid JSON: {error.msg}") from None
    if nests_deeper(value, MAX_DEPTH):
        raise invalid(at, f"must not be nested more than {MAX_DEPTH} deep", "send it flatter")
    return value
