"""JSON Schema of the input and the output. The input is read by hand: it is a union of strings, pairs and objects
told apart by either of two keys, which no schema library's tagged unions express."""

from __future__ import annotations

from typing import Any, Final

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"type": "string"}
_ROLES: Final = ("user", "human", "assistant", "ai", "system", "developer", "tool", "function")
_TYPES: Final = (
    *("human", "ai", "system", "tool", "function", "chat"),
    *(f"{name}MessageChunk" for name in ("Human", "AI", "System", "Tool", "Function", "Chat")),
)
# Without references, so that each may stand inside a larger document.
_PART: Final = {
    "type": "object",
    "properties": {"type": {**_TEXT, "examples": ["text", "image_url"]}, "text": _TEXT},
    "required": ["type"],
}
_CONTENT: Final = {"anyOf": [_TEXT, {"type": "array", "items": {"anyOf": [_TEXT, _PART]}}]}


def input_schema() -> dict[str, Any]:
    """A text, a list of messages, or an object that holds either."""
    message = _message()
    pair = {
        "type": "array",
        "title": "Role and content",
        "prefixItems": [{"enum": ["human", "user", "ai", "assistant", "system", "developer"]}, _CONTENT],
        "minItems": 2,
        "maxItems": 2,
    }
    messages = {
        "type": "array",
        "title": "Messages",
        "items": {"anyOf": [message, {"type": "string", "title": "User message"}, pair]},
        "minItems": 1,
    }
    return {
        "$schema": _DIALECT,
        "title": "ChatInput",
        "anyOf": [
            {"type": "string", "title": "User message"},
            messages,
            {"type": "object", "properties": {"messages": messages}, "required": ["messages"]},
            {
                "type": "object",
                "properties": {"input": {"anyOf": [_TEXT, messages, message]}},
                "required": ["input"],
            },
        ],
    }


def _message() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "content": {"anyOf": [_CONTENT, {"type": "null"}]},
        "name": {"type": ["string", "null"]},
        "tool_calls": {"type": ["array", "null"], "items": {"type": "object"}},
        "tool_call_id": {"type": ["string", "null"]},
    }
    return {
        "type": "object",
        "title": "Message",
        "description": "LangChain's form has a type, OpenAI's a role.",
        "anyOf": [
            {"properties": {"type": {"enum": list(_TYPES)}, **properties}, "required": ["type"]},
            {"properties": {"role": {"enum": list(_ROLES)}, **properties}, "required": ["role"]},
        ],
    }


def output_schema() -> dict[str, Any]:
    """The reply, an AI message; pieces of it (`AIMessageChunk`) when it is streamed."""
    objects = {"type": "array", "items": {"type": "object"}}
    count = {"type": "integer", "minimum": 0}
    return {
        "$schema": _DIALECT,
        "title": "ChatOutput",
        "type": "object",
        "properties": {
            "type": {"enum": ["ai", "AIMessageChunk"]},
            "content": _TEXT,
            "id": _TEXT,
            "name": {"type": "null"},
            "additional_kwargs": {"type": "object"},
            "response_metadata": _response_metadata(),
            "tool_calls": objects,
            "invalid_tool_calls": objects,
            "tool_call_chunks": objects,
            "chunk_position": {"enum": [None, "last"]},
            "usage_metadata": {
                "type": ["object", "null"],
                "properties": {"input_tokens": count, "output_tokens": count, "total_tokens": count},
                "required": ["input_tokens", "output_tokens", "total_tokens"],
            },
        },
        "required": [
            "type",
            "content",
            "id",
            "additional_kwargs",
            "response_metadata",
            "tool_calls",
            "invalid_tool_calls",
            "usage_metadata",
        ],
    }


def _response_metadata() -> dict[str, Any]:
    amount = {"type": "number", "minimum": 0}
    traits = {"type": "object", "additionalProperties": _TEXT}
    return {
        "type": "object",
        "description": "Empty on all pieces of a streamed reply but the last.",
        "properties": {
            "model": {**_TEXT, "description": "The model that answered."},
            "cache": {**_TEXT, "description": "The tier the answer came from (l1, l2, …), or miss."},
            "age_s": {**amount, "description": "Seconds since the model said it."},
            "stale": {"type": "boolean"},
            "customer_id": {"type": ["string", "null"]},
            "customer": {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["unnamed", "none", "one", "several"]},
                    "choices": {
                        "type": "array",
                        "description": "What tells several matches apart.",
                        "items": {"type": "object", "properties": {"traits": traits}, "required": ["traits"]},
                    },
                    "distinguished_by": {
                        "type": "array",
                        "description": "The labels of the traits that tell them apart; empty when none does.",
                        "items": _TEXT,
                    },
                },
                "required": ["kind"],
            },
            "spectrum": _TEXT,
            "prompt_version": _TEXT,
            "latency_ms": {**amount, "description": "Milliseconds this request took."},
            "cost": {"type": ["number", "null"], "minimum": 0, "description": "US dollars; 0 from the cache."},
            "finish_reason": {"enum": ["stop", "length", "tool_calls", "content_filter"]},
        },
    }
