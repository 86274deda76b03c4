"""JSON Schema of the OpenAI protocol's bodies, for the description of the server."""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
_COUNT: Final = {"type": "integer", "minimum": 0}


def completion_schema() -> dict[str, Any]:
    call = {
        "type": "object",
        "required": ["id", "type", "function"],
        "properties": {
            "id": _TEXT,
            "type": {"const": "function"},
            "function": {
                "type": "object",
                "required": ["name", "arguments"],
                "properties": {"name": _TEXT, "arguments": _TEXT},
            },
        },
    }
    message = {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"const": "assistant"},
            "content": _MAYBE_TEXT,
            "refusal": {"type": "null"},
            "tool_calls": {"type": "array", "items": call, "minItems": 1},
        },
    }
    choice = {
        "type": "object",
        "required": ["index", "message", "finish_reason"],
        "properties": {
            "index": {"const": 0},
            "message": message,
            "logprobs": {"type": "null"},
            "finish_reason": {"enum": ["stop", "length", "tool_calls", "content_filter"]},
        },
    }
    usage = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {
        "type": "object",
        "required": ["id", "object", "created", "model", "choices", "usage"],
        "properties": {
            "id": {**_TEXT, "pattern": "^chatcmpl-"},
            "object": {"const": "chat.completion"},
            "created": _COUNT,
            "model": _TEXT,
            "choices": {"type": "array", "items": choice, "minItems": 1, "maxItems": 1},
            "usage": {"type": "object", "required": [*usage], "properties": dict.fromkeys(usage, _COUNT)},
            "system_fingerprint": {"type": "null"},
            "tilores": _extension(),
        },
    }


def _extension() -> dict[str, Any]:
    amount = {"type": "number", "minimum": 0}
    return {
        "type": "object",
        "description": "What LangServe's protocol tells in response_metadata.",
        "properties": {
            "cache": {**_TEXT, "description": "The tier the answer came from (l1, l2, …), or miss."},
            "age_s": {**amount, "description": "Seconds since the model said it."},
            "stale": {"type": "boolean"},
            "customer_id": _MAYBE_TEXT,
            "customer": {"enum": ["unnamed", "none", "one", "several"]},
            "choices": {"type": "array", "items": {"type": "object", "additionalProperties": _TEXT}},
            "distinguished_by": {
                "type": "array",
                "items": _TEXT,
                "description": "The labels of the traits that tell the choices apart.",
            },
            "spectrum": _TEXT,
            "prompt_version": _TEXT,
            "latency_ms": amount,
            "cost": {"type": ["number", "null"], "minimum": 0, "description": "US dollars; 0 from the cache."},
        },
    }


def model_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", "object", "created", "owned_by"],
        "properties": {
            "id": {**_TEXT, "minLength": 1},
            "object": {"const": "model"},
            "created": _COUNT,
            "owned_by": _TEXT,
            "available": {"type": "boolean"},
            "unavailable_reason": _TEXT,
            "name": _TEXT,
        },
    }


def models_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["object", "data"],
        "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": model_schema()}},
    }


def error_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "additionalProperties": False,
                "properties": {
                    "message": {**_TEXT, "minLength": 1},
                    "type": {**_TEXT, "minLength": 1},
                    "param": _MAYBE_TEXT,
                    "code": _MAYBE_TEXT,
                },
            }
        },
    }
