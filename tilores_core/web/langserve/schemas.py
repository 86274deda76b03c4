"""JSON Schema of the input, and the replies as structs that give theirs.

The input is read by hand: it is a union of strings, pairs and objects told apart by either of two keys, which no
schema library's tagged unions express.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from tilores_core.web.bodies import AnswerFacts, Count, FilledText, FinishReason, json_schema
from tilores_core.web.langserve.messages import ASKED

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
            message,
            *(
                {"type": "object", "properties": {key: {"anyOf": [_TEXT, messages, message]}}, "required": [key]}
                for key in ("messages", *ASKED)
            ),
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


class UsageMetadata(Struct):
    input_tokens: Count
    output_tokens: Count
    total_tokens: Count
    input_token_details: dict[str, Count] | UnsetType = UNSET
    output_token_details: dict[str, Count] | UnsetType = UNSET


class MatchedCustomer(Struct):
    traits: dict[str, str]


class CustomerSaid(Struct):
    kind: Literal["unnamed", "none", "one", "several"]
    choices: Annotated[list[MatchedCustomer], Meta(description="What tells several matches apart.")] = []
    distinguished_by: Annotated[
        list[str], Meta(description="The labels of the traits that tell them apart; empty when none does.")
    ] = []


class ResponseMetadata(AnswerFacts):
    """Empty on all pieces of a streamed reply but the last."""

    model: Annotated[str, Meta(description="The model that answered.")] = ""
    customer: CustomerSaid | UnsetType = UNSET
    finish_reason: FinishReason = "stop"


class ChatOutput(Struct):
    """The reply, an AI message; pieces of it (`AIMessageChunk`) when it is streamed."""

    type: Literal["ai", "AIMessageChunk"]
    content: str
    id: str
    additional_kwargs: dict[str, Any]
    response_metadata: ResponseMetadata
    tool_calls: list[dict[str, Any]]
    invalid_tool_calls: list[dict[str, Any]]
    usage_metadata: UsageMetadata | None
    name: None = None
    tool_call_chunks: list[dict[str, Any]] = []
    chunk_position: Literal["last"] | None = None


class RunMetadata(Struct):
    run_id: UUID
    feedback_tokens: Annotated[list[Any], Meta(max_length=0)]


class BatchMetadata(Struct):
    responses: list[RunMetadata]
    run_ids: list[UUID]


class Invoked(Struct):
    output: ChatOutput
    metadata: RunMetadata


class Batched(Struct):
    output: list[ChatOutput]
    metadata: BatchMetadata


class Problem(Struct):
    detail: str | list[Any]
    message: FilledText


def output_schema() -> dict[str, Any]:
    return {"$schema": _DIALECT, **json_schema(ChatOutput)}
