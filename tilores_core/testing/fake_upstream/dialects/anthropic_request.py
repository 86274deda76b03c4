"""A request to Anthropic's messages, read as strictly as Anthropic reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tilores_core.testing.fake_upstream.dialects.base import count
from tilores_core.testing.fake_upstream.values import Asked, Problem, Tool

_FIELDS: Final = """
    model messages max_tokens system temperature top_p top_k stop_sequences stream tools tool_choice thinking
    metadata service_tier container context_management mcp_servers output_config output_format cache_control
    inference_geo speed
""".split()  # noqa: SIM905 - a list literal would take one line for each
_BLOCKS: Final = """
    text image document tool_use tool_result thinking redacted_thinking search_result server_tool_use
""".split()  # noqa: SIM905 - a list literal would take one line for each
_PER_MESSAGE = 3


def read_messages(body: Mapping[str, Any], model: str) -> Asked:
    for name in body:
        if name not in _FIELDS:
            raise Problem("field", f"{name}: Extra inputs are not permitted", param=name)
    messages = _messages(body)
    _check_temperature(body.get("temperature"))
    tools = _tools(body.get("tools"))
    texts = [text_of(message["content"]) for message in messages]
    asking = [text for m, text in zip(messages, texts, strict=True) if m["role"] == "user" and text]
    return Asked(
        model=model,
        streamed=bool(body.get("stream")),
        question=asking[-1] if asking else "",
        words=count(text_of(body.get("system")), *texts) + _PER_MESSAGE * len(messages),
        body=body,
        tool_result=_result(messages[-1]["content"]),
        tools=tools,
        choice=_choice(body.get("tool_choice"), tools),
        max_tokens=_limit(body.get("max_tokens")),
        stop=tuple(body.get("stop_sequences") or ()),
        schema=_schema(body),
        images=sum(block["type"] == "image" for m in messages for block in _blocks(m["content"])),
    )


def text_of(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in _blocks(content) if block.get("type") == "text")


def _blocks(content: Any) -> Sequence[dict[str, Any]]:
    return content if isinstance(content, list) else []


def _messages(body: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Problem("field", "messages: at least one message is required", param="messages")
    called: set[str] = set()
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            text = f"messages.{number}.role: Input should be 'user' or 'assistant'"
            raise Problem("field", text, param=f"messages.{number}.role")
        _check_content(message.get("content"), f"messages.{number}", called)
        called = {block["id"] for block in _blocks(message["content"]) if block["type"] == "tool_use"}
    return messages


def _check_content(content: Any, where: str, called: set[str]) -> None:
    if isinstance(content, str) and content:
        return
    if not isinstance(content, list) or not content:
        raise Problem("field", f"{where}: all messages must have non-empty content", param=where)
    for number, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in _BLOCKS:
            text = f"{where}.content.{number}.type: Input tag {kind!r} does not match any of the expected tags"
            raise Problem("field", text, param=f"{where}.content.{number}.type")
        if kind == "text" and not block.get("text"):
            raise Problem("field", f"{where}: text content blocks must be non-empty", param=where)
        if kind == "tool_result" and block.get("tool_use_id") not in called:
            text = f"{where}.content.{number}: unexpected `tool_use_id` found in `tool_result` blocks"
            raise Problem("field", text, param=where)


def _check_temperature(value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Problem("field", "temperature: range: 0..1", param="temperature")


def _limit(value: Any) -> int:
    if value is None:
        raise Problem("field", "max_tokens: Field required", param="max_tokens")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Problem("field", "max_tokens: Input should be greater than or equal to 1", param="max_tokens")
    return value


def _tools(tools: Any) -> tuple[Tool, ...]:
    try:
        return tuple(Tool(name=tool["name"], parameters=tool["input_schema"]) for tool in tools or [])
    except (KeyError, TypeError):
        raise Problem("field", "tools.0.custom.input_schema: Field required", param="tools") from None


def _choice(choice: Any, tools: tuple[Tool, ...]) -> str | None:
    kind = (choice or {}).get("type", "auto")
    if kind == "auto":
        return None
    if kind in ("any", "none"):
        return str(kind)
    name = (choice or {}).get("name")
    if name not in [tool.name for tool in tools]:
        raise Problem("field", f"Tool '{name}' not found in provided tools", param="tool_choice")
    return str(name)


def _result(content: Any) -> str | None:
    found = [block for block in _blocks(content) if block["type"] == "tool_result"]
    if not found:
        return None
    said = found[-1].get("content", "")
    return said if isinstance(said, str) else text_of(said) or orjson.dumps(said).decode()


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    return dict(form.get("schema") or {}) if form else None
