"""One call of a LangChain chat model: our messages in, pieces and a completion out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from tilores_core.chat.conversation import text_of
from tilores_core.contracts import Delta, FinishReason, Message, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

# What providers say at the end, in the words of the OpenAI protocol.
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "spii": "content_filter",
    "refusal": "content_filter",
}


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model said, whole. `finish_reason` is None when it never said that it was done, or gave a reason that
    nobody here knows."""

    text: str
    usage: Usage = NO_USAGE
    finish_reason: FinishReason | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


def to_langchain(system: str, messages: Sequence[Message]) -> list[BaseMessage]:
    """The prompt as LangChain messages: one system message (some providers take no more), then the conversation."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    added = [text_of(m) for m in messages if m["role"] == "system"]
    extra = "\n".join(text for text in added if text)
    converted: list[BaseMessage] = [SystemMessage(f"{system}\n\nThe application adds:\n{extra}" if extra else system)]
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "user":
            converted.append(HumanMessage(content))  # type: ignore[arg-type]  # parts are plain dicts
        elif role == "assistant":
            converted.append(AIMessage(content, tool_calls=[_parsed(call) for call in message.get("tool_calls", ())]))  # type: ignore[arg-type]
        elif role == "tool":
            converted.append(ToolMessage(content, tool_call_id=message.get("tool_call_id", "")))  # type: ignore[arg-type]
    return converted


def _parsed(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        arguments = {}
    return {
        "name": function["name"],
        "args": arguments if isinstance(arguments, dict) else {},
        "id": call.get("id"),
        "type": "tool_call",
    }


@dataclass(slots=True)
class _Growing:
    """A tool call whose pieces still come; `index` as the provider numbers it."""

    index: Any
    call: dict[str, Any]


def _call(call_id: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name or "", "arguments": arguments or ""}}


async def invoke(model: BaseChatModel, prompt: list[BaseMessage]) -> Completion:
    """The whole answer at once."""
    message, info = await _generate(model, prompt)
    return Completion(
        text=str(message.text),
        usage=_usage(message),
        finish_reason=_finish_reason(message, info),
        tool_calls=(
            *(_call(call["id"], call["name"], orjson.dumps(call["args"]).decode()) for call in message.tool_calls),
            # Their arguments are no JSON object: for the caller to judge, as in a stream.
            *(_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls),
        ),
    )


async def stream(model: BaseChatModel, prompt: list[BaseMessage]) -> AsyncIterator[Delta | Completion]:
    """Pieces as the model makes them, then the completion."""
    texts: list[str] = []
    calls: list[_Growing] = []
    used = NO_USAGE
    finish: FinishReason | None = None
    async for chunk, info in _chunks(model, prompt):
        usage = _usage(chunk)
        used = Usage(
            input_tokens=used.input_tokens + usage.input_tokens,
            output_tokens=used.output_tokens + usage.output_tokens,
        )
        finish = _finish_reason(chunk, info) or finish
        text = str(chunk.text)
        pieces = tuple(_tool_piece(piece, calls) for piece in getattr(chunk, "tool_call_chunks", ()))
        if text or pieces:
            texts.append(text)
            yield Delta(text=text, tool_calls=pieces)
    yield Completion(
        text="".join(texts), usage=used, finish_reason=finish, tool_calls=tuple(known.call for known in calls)
    )


# LangChain's public calls wrap what a provider implements (`_agenerate`, `_astream`) in callbacks, tracers, a cache
# and a rate limiter, all of which are ours here. Measured, the wrapping costs 0.25 ms of CPU a call and more than
# all the rest of an uncached turn; so a model that uses none of it is asked through what it implements.


async def _generate(model: BaseChatModel, prompt: list[BaseMessage]) -> tuple[AIMessage, Mapping[str, Any]]:
    """The message, and what the provider said beside it."""
    if not _is_plain(model):
        return await model.ainvoke(prompt), {}
    generation = (await model._agenerate(prompt)).generations[0]
    return cast("AIMessage", generation.message), generation.generation_info or {}


async def _chunks(
    model: BaseChatModel, prompt: list[BaseMessage]
) -> AsyncIterator[tuple[AIMessage, Mapping[str, Any]]]:
    if not _is_plain(model) or model.disable_streaming or not _can_stream(model):
        async for chunk in model.astream(prompt):
            yield chunk, {}
        return
    async for generation in model._astream(prompt):
        yield cast("AIMessage", generation.message), generation.generation_info or {}


def _is_plain(model: BaseChatModel) -> bool:
    from langchain_core.language_models import BaseChatModel

    return isinstance(model, BaseChatModel) and not (
        model.callbacks or model.rate_limiter or model.cache or model.output_version
    )


def _can_stream(model: BaseChatModel) -> bool:
    from langchain_core.language_models import BaseChatModel

    kind = type(model)
    return kind._astream is not BaseChatModel._astream or kind._stream is not BaseChatModel._stream


def _tool_piece(piece: Mapping[str, Any], calls: list[_Growing]) -> dict[str, Any]:
    """One piece in OpenAI's delta shape, also added to the call that it belongs to."""
    arguments = piece.get("args") or ""
    for position in reversed(range(len(calls))):  # what does not say its id continues the latest
        if _belongs(piece, known := calls[position]):
            known.call["function"]["arguments"] += arguments
            return {"index": position, "function": {"arguments": arguments}}
    call = _call(piece.get("id"), piece.get("name"), arguments)
    calls.append(_Growing(piece.get("index"), call))
    return {"index": len(calls) - 1, **call, "function": dict(call["function"])}


def _belongs(piece: Mapping[str, Any], known: _Growing) -> bool:
    # Some providers give every call the same index; then the ids tell them apart. Without an index each is whole.
    same_id = not piece.get("id") or not known.call["id"] or piece["id"] == known.call["id"]
    return piece.get("index") is not None and piece["index"] == known.index and same_id


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if not counted:
        return NO_USAGE
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"])


def _finish_reason(message: AIMessage, info: Mapping[str, Any]) -> FinishReason | None:
    said = {**info, **message.response_metadata} if info else message.response_metadata
    reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
    return _FINISH.get(str(reason).lower())
