"""A chat-completions request, read as strictly as OpenAI reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilores_core.testing.fake_upstream.dialects.base import count
from tilores_core.testing.fake_upstream.values import Asked, Problem, Tool

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_RANGES = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
_LIMITS = ("max_completion_tokens", "max_tokens")
_PER_MESSAGE = 3


def read_chat(body: Mapping[str, Any], model: str) -> Asked:
    messages = _messages(body)
    _check_ranges(body)
    tools = _tools(body.get("tools"))
    texts = [text_of(message) for message in messages]
    return Asked(
        model=model,
        streamed=_boolean(body, "stream"),
        question=next(
            (text for m, text in reversed(list(zip(messages, texts, strict=True))) if m["role"] == "user"), ""
        ),
        words=count(*texts) + _PER_MESSAGE * len(messages),
        body=body,
        tool_result=texts[-1] if messages[-1]["role"] in ("tool", "function") else None,
        tools=tools,
        choice=_choice(body.get("tool_choice"), tools),
        max_tokens=_limit(body),
        stop=_stop(body.get("stop")),
        schema=_schema(body.get("response_format"), " ".join(texts)),
        images=sum(_images(message) for message in messages),
        usage_wanted=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content or []
    return " ".join(str(part["text"]) for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _messages(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Problem("field", "Invalid 'messages': expected a non-empty array.", param="messages")
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise Problem("field", f"Invalid value. Supported values are: {', '.join(ROLES)}.", param=f"{where}.role")
        _check_content(message, where)
        if message["role"] == "tool" and message.get("tool_call_id") not in open_calls:
            raise Problem(
                "field",
                "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                param=f"{where}.role",
            )
        open_calls |= {call["id"] for call in message.get("tool_calls") or []}
    return messages


def _check_content(message: Mapping[str, Any], where: str) -> None:
    content = message.get("content")
    if isinstance(content, str) or (content is None and message["role"] in ("assistant", "function")):
        return
    if content == [] and message.get("tool_calls"):
        return
    if not isinstance(content, list) or not content:
        raise Problem("field", "Invalid type for content: expected a string or an array.", param=f"{where}.content")
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "image_url", "input_audio", "file", "refusal", "thinking", "reference"):
            raise Problem("field", f"Invalid value: {kind!r}.", param=f"{where}.content[{number}].type")
        if kind == "image_url" and not _url(part):
            raise Problem("field", "Missing image URL.", param=f"{where}.content[{number}].image_url")


def _url(part: Mapping[str, Any]) -> Any:
    image = part.get("image_url")
    return image.get("url") if isinstance(image, dict) else image


def _images(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    return sum(part["type"] == "image_url" for part in content) if isinstance(content, list) else 0


def _check_ranges(body: Mapping[str, Any]) -> None:
    for name, (low, high) in _RANGES.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Problem("field", f"Invalid '{name}': expected a number from {low} to {high}.", param=name)


def _boolean(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise Problem("field", f"Invalid type for '{name}': expected a boolean.", param=name)
    return bool(value)


def _limit(body: Mapping[str, Any]) -> int | None:
    for name in _LIMITS:
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise Problem("field", f"Invalid '{name}': integer below minimum value.", param=name)
        return value
    return None


def _stop(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    words = [stop] if isinstance(stop, str) else stop
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Problem("field", "Invalid type for 'stop'.", param="stop")
    return tuple(words)


def _tools(tools: Any) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list) or not tools:
        raise Problem("field", "Invalid 'tools': expected a non-empty array.", param="tools")
    try:
        return tuple(
            Tool(name=tool["function"]["name"], parameters=tool["function"].get("parameters") or {}) for tool in tools
        )
    except (KeyError, TypeError):
        raise Problem("field", "Missing required parameter: 'tools[0].function.name'.", param="tools") from None


def _choice(choice: Any, tools: tuple[Tool, ...]) -> str | None:
    if choice in (None, "auto"):
        return None
    if not tools:
        raise Problem("field", "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice in ("required", "any"):
        return "any"
    if choice == "none":
        return "none"
    name = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    if name not in [tool.name for tool in tools]:
        raise Problem("field", "Invalid 'tool_choice': no such tool.", param="tool_choice")
    return str(name)


def _schema(form: Any, said: str) -> Mapping[str, Any] | None:
    kind = (form or {}).get("type", "text")
    if kind == "text":
        return None
    if kind == "json_schema":
        return dict((form.get("json_schema") or {}).get("schema") or {})
    if kind != "json_object":
        raise Problem("field", f"Invalid value: {kind!r}.", param="response_format.type")
    if "json" not in said.lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise Problem("field", message, param="messages")
    return {}
