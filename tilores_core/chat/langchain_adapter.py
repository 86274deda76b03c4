"""LangChain chat models, asked as any other provider: our messages in, pieces of a completion out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, cast

import orjson

from tilores_core.contracts import CompletionPiece, Message, Usage
from tilores_core.llm.failures import MalformedReplyError
from tilores_core.llm.normalizer import served_by

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

EXTRA_CONTENT = "extra_content"
"""Where in a message's `additional_kwargs` a provider's class puts, and finds, what belongs to its tool calls
(signatures, thoughts), by their ids. It goes to the caller with the call and comes back with it."""


def to_langchain(messages: Sequence[Message]) -> list[BaseMessage]:
    """The prompt as LangChain messages. A message that has its native form is given in that."""
    from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage

    converted: list[BaseMessage] = []
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "user":
            converted.append(HumanMessage(content))  # type: ignore[arg-type]  # parts are plain dicts
        elif role == "assistant":
            converted.append(message.get("native") or _assistant(message, content))
        elif role == "tool":
            converted.append(ToolMessage(content, tool_call_id=message.get("tool_call_id", "")))  # type: ignore[arg-type]
        else:
            converted.append(SystemMessage(content))  # type: ignore[arg-type]
    return converted


def _assistant(message: Message, content: Any) -> AIMessage:
    from langchain_core.messages import AIMessage

    calls = message.get("tool_calls", ())
    extra = {call.get("id"): call[EXTRA_CONTENT] for call in calls if EXTRA_CONTENT in call}
    return AIMessage(
        content,
        tool_calls=[_parse_call(call) for call in calls],
        additional_kwargs={EXTRA_CONTENT: extra} if extra else {},
    )


def _parse_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    written = function.get("arguments") or "{}"
    try:
        # Not by orjson: it makes floats of integers that have more than 64 bits.
        arguments = json.loads(written)
    except ValueError:
        arguments = written
    if not isinstance(arguments, dict):  # LangChain takes nothing else, and the result refers to what was written
        arguments = {"arguments": written} if arguments else {}
    return {
        "name": function["name"],
        "args": arguments,
        "id": call.get("id"),
        "type": "tool_call",
    }


async def complete(
    model: BaseChatModel, prompt: list[BaseMessage], *, stream: bool
) -> AsyncGenerator[CompletionPiece]:
    """The answer of a LangChain chat model; one piece without `stream`."""
    if stream:
        async with aclosing(_pieces(model, prompt)) as pieces:
            async for piece in pieces:
                yield piece
        return
    message, info = await _generate(model, prompt)
    extra = message.additional_kwargs.get(EXTRA_CONTENT) or {}
    calls = [
        *((call["id"], call["name"], _write_arguments(call["args"])) for call in message.tool_calls),
        # Their arguments are not a JSON object: for the caller to judge, as in a stream.
        *((call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls),
    ]
    yield CompletionPiece(
        text=str(message.text),
        usage=_usage(message),
        finish_reason=_end_reason(message, info) or None,
        tool_calls=[
            _with_extra({"index": at, "id": call_id, "function": {"name": name, "arguments": arguments}}, extra)
            for at, (call_id, name, arguments) in enumerate(calls)
        ],
        native=message if message.tool_calls and not message.invalid_tool_calls else None,
        served_by=served_by(message.response_metadata),
    )


async def _pieces(model: BaseChatModel, prompt: list[BaseMessage]) -> AsyncGenerator[CompletionPiece]:
    chunks: list[AIMessage] = []
    used: Usage | None = None
    called = False
    async with aclosing(_chunks(model, prompt)) as stream:
        async for chunk, info in stream:
            chunks.append(chunk)
            used = _add_usage(used, _usage(chunk))
            calls = getattr(chunk, "tool_call_chunks", ())
            called = called or bool(calls)
            extra = chunk.additional_kwargs.get(EXTRA_CONTENT) or {}
            text, reason = str(chunk.text), _end_reason(chunk, info)
            yield CompletionPiece(
                text=text,
                tool_calls=[_call_piece(call, extra) for call in calls] if calls else (),
                usage=used,
                finish_reason=reason or None,
                thinking=bool(chunk.content or chunk.additional_kwargs),
                served_by=served_by(chunk.response_metadata) if reason else None,
            )
    if not chunks:  # status 200 and no event at all: some proxy's page
        raise MalformedReplyError
    if called:
        yield CompletionPiece(native=_join_chunks(chunks))


def _call_piece(piece: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": piece.get("name"), "arguments": piece.get("args")}
    return _with_extra({"index": piece.get("index"), "id": piece.get("id"), "function": function}, extra)


def _with_extra(call: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    if (own := extra.get(call["id"])) is not None:
        call[EXTRA_CONTENT] = own
    return call


def _add_usage(known: Usage | None, counted: Usage | None) -> Usage | None:
    """LangChain's chunks add up; but what a provider repeats in every chunk is a total."""
    if known is None or counted is None:
        return counted or known
    total = counted.input_tokens >= known.input_tokens > 0 and counted.output_tokens >= known.output_tokens
    return counted if total else known + counted


def _write_arguments(arguments: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:  # integers of more than 64 bits
        return json.dumps(arguments)


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


@contextmanager
def untraced() -> Iterator[None]:
    """Keep LangChain from adding the tracer of its own to the calls inside, which would send all that is in them.

    The environment or an outer trace may ask for one. What is sent is decided in `tracing`, and one tree is enough;
    so a handler that does nothing takes the place of LangChain's.
    """
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.tracers.context import tracing_v2_callback_var as automatic_tracer

    before = automatic_tracer.get()
    automatic_tracer.set(cast("Any", BaseCallbackHandler()))
    try:
        yield
    finally:
        automatic_tracer.set(before)


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


def _join_chunks(chunks: Sequence[AIMessage]) -> AIMessage | None:
    """The message that the pieces make; None when they make none."""
    from langchain_core.messages import AIMessageChunk, message_chunk_to_message
    from langchain_core.messages.ai import add_ai_message_chunks

    pieces = [chunk for chunk in chunks if isinstance(chunk, AIMessageChunk)]
    if len(pieces) < len(chunks):
        return None
    message = cast("AIMessage", message_chunk_to_message(add_ai_message_chunks(pieces[0], *pieces[1:])))
    return None if message.invalid_tool_calls else message


def _usage(message: AIMessage) -> Usage | None:
    counted = message.usage_metadata
    if not counted:
        return None
    given: Mapping[str, Any] = counted.get("input_token_details") or {}
    said: Mapping[str, Any] = counted.get("output_token_details") or {}
    return Usage(
        input_tokens=counted["input_tokens"],
        output_tokens=counted["output_tokens"],
        cached_tokens=given.get("cache_read") or 0,
        reasoning_tokens=said.get("reasoning") or 0,
    )


def _end_reason(message: AIMessage, info: Mapping[str, Any]) -> str:
    """Why the model stopped, in its own words; empty while it does not say."""
    said = message.response_metadata
    if info or said:
        for key in ("finish_reason", "stop_reason", "done_reason"):
            if reason := said.get(key) or info.get(key):
                return str(reason)
    return ""
