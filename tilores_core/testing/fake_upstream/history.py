"""What the history in a request holds, by protocol: the calls of tools, their results and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

SIGNATURE: Final = "c2lnbmVkIGJ5IHRoZSBmYWtlIHVwc3RyZWFt"
"""What stands for the thoughts of a protocol that does not want them back in words."""


def keeps_state(protocol: str, body: Mapping[str, Any], thought: str) -> bool:
    """Whether what belongs to a tool call came back with it: the thought, or what stands for it."""
    match protocol:
        case "anthropic":
            thoughts = [block for block in _blocks(body) if block.get("type") == "thinking"]
            return any(block.get("thinking") == thought and block.get("signature") for block in thoughts)
        case "google":
            return any("functionCall" in part and part.get("thoughtSignature") == SIGNATURE for part in _parts(body))
        case _:
            keys = ("reasoning_content", "reasoning", "reasoning_details")
            return any(thought in str(message.get(key)) for message in body["messages"] for key in keys)


def arguments(protocol: str, body: Mapping[str, Any]) -> list[Any]:
    """The arguments of each call in the history, as text or as an object."""
    match protocol:
        case "anthropic":
            return [block["input"] for block in _blocks(body) if block.get("type") == "tool_use"]
        case "google":
            return [part["functionCall"]["args"] for part in _parts(body) if "functionCall" in part]
        case _:
            return [call["function"]["arguments"] for call in _calls(body)]


def pairs(protocol: str, body: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """The ids of the calls, and those that the results name; names where the protocol has no ids."""
    match protocol:
        case "anthropic":
            used = [block["id"] for block in _blocks(body) if block.get("type") == "tool_use"]
            return used, [block["tool_use_id"] for block in _blocks(body) if block.get("type") == "tool_result"]
        case "google":
            called = [part["functionCall"] for part in _parts(body) if "functionCall" in part]
            answered = [part["functionResponse"] for part in _parts(body) if "functionResponse" in part]
            return [call["name"] for call in called], [result["name"] for result in answered]
        case _:
            results = [message for message in body["messages"] if message["role"] == "tool"]
            if protocol == "ollama":  # by place
                return [0 for _ in _calls(body)], [0 for _ in results]
            return [call["id"] for call in _calls(body)], [result["tool_call_id"] for result in results]


def _calls(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for message in body["messages"]:
        yield from message.get("tool_calls") or ()


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for message in body["messages"]:
        if isinstance(message["content"], list):
            yield from message["content"]


def _parts(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for content in body["contents"]:
        yield from content["parts"]
