"""One call of a LangChain chat model: our messages in, pieces and a completion out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

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
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
    "refusal": "content_filter",
}


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model said, whole. `finish_reason` is None when it never said that it was done."""

    text: str
    usage: Usage = NO_USAGE
    finish_reason: FinishReason | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


def to_langchain(system: str, messages: Sequence[Message]) -> list[BaseMessage]:
    """The prompt as LangChain messages: one system message (some providers take no more), then the conversation."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    added = [_text(m) for m in messages if m["role"] == "system"]
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


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part.get("text"), str))


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


async def invoke(model: BaseChatModel, prompt: list[BaseMessage]) -> Completion:
    """The whole answer at once."""
    message = await model.ainvoke(prompt)
    return Completion(
        text=str(message.text),
        usage=_usage(message),
        finish_reason=_finish_reason(message),
        tool_calls=tuple(
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": orjson.dumps(call["args"]).decode()},
            }
            for call in message.tool_calls
        ),
    )


async def stream(model: BaseChatModel, prompt: list[BaseMessage]) -> AsyncIterator[Delta | Completion]:
    """Pieces as the model makes them, then the completion."""
    texts: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    used = NO_USAGE
    finish: FinishReason | None = None
    async for chunk in model.astream(prompt):
        usage = _usage(chunk)
        used = Usage(
            input_tokens=used.input_tokens + usage.input_tokens,
            output_tokens=used.output_tokens + usage.output_tokens,
        )
        finish = _finish_reason(chunk) or finish
        text = str(chunk.text)
        pieces = tuple(_tool_piece(piece, calls) for piece in getattr(chunk, "tool_call_chunks", ()))
        if text or pieces:
            texts.append(text)
            yield Delta(text=text, tool_calls=pieces)
    yield Completion(text="".join(texts), usage=used, finish_reason=finish, tool_calls=tuple(calls.values()))


def _tool_piece(piece: Mapping[str, Any], calls: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """One piece in OpenAI's delta shape, also added to the call that it belongs to."""
    index = piece.get("index")
    index = index if isinstance(index, int) else len(calls)
    arguments = piece.get("args") or ""
    if index not in calls:
        calls[index] = {
            "id": piece.get("id"),
            "type": "function",
            "function": {"name": piece.get("name") or "", "arguments": arguments},
        }
        return {"index": index, **calls[index], "function": dict(calls[index]["function"])}
    calls[index]["function"]["arguments"] += arguments
    return {"index": index, "function": {"arguments": arguments}}


def _usage(message: AIMessage) -> Usage:
    counted = message.usage_metadata
    if not counted:
        return NO_USAGE
    return Usage(input_tokens=counted["input_tokens"], output_tokens=counted["output_tokens"])


def _finish_reason(message: AIMessage) -> FinishReason | None:
    said = message.response_metadata
    reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
    return _FINISH.get(str(reason).lower(), "stop") if reason else None
