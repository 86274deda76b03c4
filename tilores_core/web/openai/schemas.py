"""What the OpenAI protocol answers, as structs that give the JSON Schema for the description of the server."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from tilores_core.web.bodies import AnswerFacts, Count, FilledText, FinishReason


class CalledFunction(Struct):
    name: str
    arguments: str


class ToolCall(Struct):
    id: str
    type: Literal["function"]
    function: CalledFunction


class ReplyMessage(Struct):
    role: Literal["assistant"]
    content: str | None
    refusal: None = None
    tool_calls: Annotated[list[ToolCall], Meta(min_length=1)] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET


class Choice(Struct):
    index: Annotated[int, Meta(ge=0, le=0)]
    message: ReplyMessage
    finish_reason: FinishReason | Literal["function_call"]
    logprobs: None = None


class PromptTokens(Struct):
    cached_tokens: Count


class CompletionTokens(Struct):
    reasoning_tokens: Count


class UsageBody(Struct):
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: PromptTokens | UnsetType = UNSET
    completion_tokens_details: CompletionTokens | UnsetType = UNSET


class Extension(AnswerFacts):
    """What LangServe's protocol tells in response_metadata."""

    customer: Literal["unnamed", "none", "one", "several"] = "unnamed"
    choices: list[dict[str, str]] | UnsetType = UNSET
    distinguished_by: (
        Annotated[list[str], Meta(description="The labels of the traits that tell the choices apart.")] | UnsetType
    ) = UNSET


class Completion(Struct):
    id: Annotated[str, Meta(pattern="^chatcmpl-")]
    object: Literal["chat.completion"]
    created: Count
    model: str
    choices: Annotated[list[Choice], Meta(min_length=1, max_length=1)]
    usage: UsageBody
    system_fingerprint: None = None
    tilores: Extension | UnsetType = UNSET


class ModelBody(Struct):
    id: FilledText
    object: Literal["model"]
    created: Count
    owned_by: str
    available: bool | UnsetType = UNSET
    unavailable_reason: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class ModelList(Struct):
    object: Literal["list"]
    data: list[ModelBody]


class ErrorBody(Struct, forbid_unknown_fields=True):
    message: FilledText
    type: FilledText
    param: str | None
    code: str | None


class ErrorReply(Struct, forbid_unknown_fields=True):
    error: ErrorBody
