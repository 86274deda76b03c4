"""One call of a LangChain chat model: our messages in, pieces and a completion out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from tilores_core.chat.messages import text_of
from tilores_core.contracts import Delta, FinishReason, Message, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

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
    nobody here knows; `ended` tells these apart: without a reason the answer was cut off. `message` is there beside
    `tool_calls`: what the provider must see again with the tools' results (signatures, thoughts)."""

    text: str
    usage: Usage = NO_USAGE
    finish_reason: FinishReason | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    ended: bool = True
    message: AIMessage | None = None


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


def _written(arguments: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(arguments)


async def invoke(model: BaseChatModel, prompt: list[BaseMessage]) -> Completion:
    """The whole answer at once."""
    message, info = await _generate(model, prompt)
    reason = _end_reason(message, info)
    return Completion(
        text=str(message.text),
        usage=_usage(message),
        finish_reason=_FINISH.get(reason),
        ended=bool(reason),
        tool_calls=(
            *(_call(call["id"], call["name"], _written(call["args"])) for call in message.tool_calls),
            # Their arguments are no JSON object: for the caller to judge, as in a stream.
            *(_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls),
        ),
        message=message if message.tool_calls else None,
    )


class Gathered:
    """What has come of an answer so far."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[_Growing] = []
        self._chunks: list[AIMessage] = []
        self._used = NO_USAGE
        self._reason = ""

    @property
    def ended(self) -> bool:
        """Has the model said why it stopped? Then the answer is there, whatever may still come."""
        return bool(self._reason)

    def add(self, chunk: AIMessage, info: Mapping[str, Any]) -> Delta | None:
        """The piece for the caller in a chunk, if there is one."""
        if chunk.usage_metadata:
            usage = _usage(chunk)
            self._used = Usage(
                input_tokens=self._used.input_tokens + usage.input_tokens,
                output_tokens=self._used.output_tokens + usage.output_tokens,
            )
        self._reason = _end_reason(chunk, info) or self._reason
        self._chunks.append(chunk)
        text = str(chunk.text)
        calls = tuple(_tool_piece(piece, self._calls) for piece in getattr(chunk, "tool_call_chunks", ()))
        if not text and not calls:
            return None
        self._texts.append(text)
        return Delta(text=text, tool_calls=calls)

    def completion(self) -> Completion:
        return Completion(
            text="".join(self._texts),
            usage=self._used,
            finish_reason=_FINISH.get(self._reason),
            tool_calls=tuple(known.call for known in self._calls),
            ended=self.ended,
            message=_joined(self._chunks) if self._calls else None,
        )


async def stream(
    model: BaseChatModel,
    prompt: list[BaseMessage],
    *,
    gathered: Gathered | None = None,
    alive: Callable[[], None] | None = None,
) -> AsyncGenerator[Delta | Completion]:
    """Pieces as the model makes them, then the completion; `gathered` holds what came when it breaks off.

    `alive` is called for all that holds anything, also what no piece is made of (the model thinks).
    """
    gathered = gathered or Gathered()
    async with aclosing(_chunks(model, prompt)) as chunks:
        async for chunk, info in chunks:
            delta = gathered.add(chunk, info)
            if alive is not None and (
                delta is not None or chunk.content or chunk.additional_kwargs or gathered.ended
            ):
                alive()
            if delta is not None:
                yield delta
    yield gathered.completion()


# LangChain's public calls wrap what a provider implements (`_agenerate`, `_astream`) in callbacks, tracers, a cache
# and a rate limiter, all of which are ours here. Measured, the wrapping costs 0.25 ms of CPU a call and more than
# all the rest of an uncached turn; so a model that uses none of it is asked through what it implements.


async def _generate(model: BaseChatModel, prompt: list[BaseMessage]) -> tuple[AIMessage, Mapping[str, Any]]:
    """The message, and what the provider said beside it."""
    if not _is_plain(model):
        with untraced():
            return await model.ainvoke(prompt), {}
    generation = (await model._agenerate(prompt)).generations[0]
    return cast("AIMessage", generation.message), generation.generation_info or {}


async def _chunks(
    model: BaseChatModel, prompt: list[BaseMessage]
) -> AsyncGenerator[tuple[AIMessage, Mapping[str, Any]]]:
    if not _is_plain(model) or not can_stream(model):
        # Generators both, whatever LangChain calls them: closed here, so that nothing goes on behind the caller.
        with untraced():
            async with aclosing(cast("AsyncGenerator[AIMessage]", model.astream(prompt))) as whole:
                async for chunk in whole:
                    yield chunk, {}
        return
    async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", model._astream(prompt))) as generations:
        async for generation in generations:
            yield cast("AIMessage", generation.message), generation.generation_info or {}


def untraced() -> AbstractContextManager[None]:
    """LangChain sends every call to LangSmith by itself when LANGSMITH_TRACING is set, with all that is in it. What
    may be sent is decided in `tracing`, and one tree is enough."""
    from langsmith import tracing_context

    return tracing_context(enabled=False)


def _is_plain(model: BaseChatModel) -> bool:
    from langchain_core.language_models import BaseChatModel

    return isinstance(model, BaseChatModel) and not (
        model.callbacks or model.rate_limiter or model.cache or model.output_version
    )


def can_stream(model: BaseChatModel) -> bool:
    """Does it say its answer in pieces? Of a model with something bound to it, the model inside tells."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.runnables import RunnableBinding

    inner: Any = model
    while isinstance(inner, RunnableBinding):
        inner = inner.bound
    if not isinstance(inner, BaseChatModel):
        return True
    kind = type(inner)
    overrides = kind._astream is not BaseChatModel._astream or kind._stream is not BaseChatModel._stream
    return overrides and not inner.disable_streaming


def _joined(chunks: Sequence[AIMessage]) -> AIMessage | None:
    """The message that the pieces make; None when they make none."""
    from langchain_core.messages import AIMessageChunk, message_chunk_to_message
    from langchain_core.messages.ai import add_ai_message_chunks

    pieces = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
    if len(pieces) < len(chunks):
        return None
    return cast("AIMessage", message_chunk_to_message(add_ai_message_chunks(pieces[0], *pieces[1:])))


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


def _end_reason(message: AIMessage, info: Mapping[str, Any]) -> str:
    """Why the model stopped, in its own words and lower case; empty while it does not say."""
    said = message.response_metadata
    if info or said:
        for key in ("finish_reason", "stop_reason", "done_reason"):
            if reason := said.get(key) or info.get(key):
                return str(reason).lower()
    return ""
