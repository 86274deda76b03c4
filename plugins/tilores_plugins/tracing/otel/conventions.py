"""A span in the words of OpenTelemetry's conventions for generative AI; what they have no word for is `tilores.…`.

Names are those of the semantic conventions 0.66b2, where `gen_ai.provider.name` has replaced `gen_ai.system`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from tilores_core import Feedback, Span, Trace

Value = str | int | float | bool | tuple[str, ...]
Pair = tuple[str, Value]

# The conventions' names of providers where they are not ours.
_PROVIDERS: Final = {"google": "gcp.gemini", "mistral": "mistral_ai"}
_OF_MODELS: Final = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "first_token": "gen_ai.response.time_to_first_chunk",
}


def name_of(span: Span) -> str:
    """`chat MODEL` for a call of a model; `execute_tool NAME` for a tool that ran here."""
    if span.kind == "model":
        return f"chat {_split(span)[1]}"
    if span.kind == "tool":
        return f"{'execute_tool' if _ran_here(span) else 'tool_call'} {span.name}"
    return span.name


def attributes_of(trace: Trace, span: Span, *, texts: bool = True) -> Iterator[Pair]:
    """All attributes of one span of the trace. `texts`: with inputs and outputs, where the span has any."""
    if span is trace.root:
        yield from _of_trace(trace)
    if span.kind == "request":
        yield from _of_request(span)
    elif span.kind == "model":
        yield from _of_model(span)
    elif span.kind == "tool":
        yield "gen_ai.tool.name", span.name
        yield "gen_ai.tool.type", "function"
        if _ran_here(span):
            yield "gen_ai.operation.name", "execute_tool"
    yield from _own(span)
    if span.error is not None:
        yield "error.type", span.error
    if texts:
        yield from _texts(trace, span)


def attributes_of_feedback(feedback: Feedback) -> Iterator[Pair]:
    yield "gen_ai.evaluation.name", feedback.key
    if feedback.score is not None:
        yield "gen_ai.evaluation.score.value", feedback.score
    if feedback.value is not None:
        yield "gen_ai.evaluation.score.label", str(feedback.value)
    if feedback.comment is not None:
        yield "gen_ai.evaluation.explanation", feedback.comment
    yield "tilores.run_id", feedback.run_id


def _of_trace(trace: Trace) -> Iterator[Pair]:
    yield "tilores.run_id", trace.id
    if trace.session_id is not None:
        yield "gen_ai.conversation.id", trace.session_id
    if trace.tags:
        yield "tilores.tags", tuple(trace.tags)
    for name, value in trace.metadata.items():
        yield f"tilores.{name}", value


def _of_request(span: Span) -> Iterator[Pair]:
    """The tokens of the models' calls are on their own spans alone under the conventions' names, so that a sum over
    all spans counts them once; here they are `tilores.input_tokens` and `tilores.output_tokens`."""
    yield "gen_ai.operation.name", "chat"
    provider, model = _split(span)
    first = next((child for child in span.children if child.kind == "model"), span)
    asked = _split(first)[1]
    if asked:
        yield "gen_ai.request.model", asked
    if model:
        yield "gen_ai.provider.name", provider
        if span.error is None:
            yield "gen_ai.response.model", model


def _of_model(span: Span) -> Iterator[Pair]:
    provider, model = _split(span)
    yield "gen_ai.operation.name", "chat"
    yield "gen_ai.provider.name", provider
    yield "gen_ai.request.model", model
    if span.error is None:
        yield "gen_ai.response.model", model


def _own(span: Span) -> Iterator[Pair]:
    model = span.kind == "model"
    told = ("model", "provider") if span.kind in ("request", "model") else ()
    for name, value in span.attributes.items():
        if name in told:
            continue
        if name == "finish_reason":
            yield "gen_ai.response.finish_reasons", (str(value),)
        elif model and name in _OF_MODELS:
            yield _OF_MODELS[name], value
        else:
            yield f"tilores.{name}", value


def _texts(trace: Trace, span: Span) -> Iterator[Pair]:
    if span.kind == "tool":
        if (inputs := span.inputs) is not None:
            only = isinstance(inputs, Mapping) and set(inputs) == {"arguments"}
            yield "gen_ai.tool.call.arguments", _json(inputs["arguments"] if only else inputs)
        if span.outputs is not None:
            yield "gen_ai.tool.call.result", _json(span.outputs)
        return
    if span.kind not in ("request", "model"):
        if span.inputs is not None:
            yield "tilores.inputs", _json(span.inputs)
        # The answer's text is the root's as well; once is enough.
        if span.outputs is not None and span.outputs is not trace.root.outputs:
            yield "tilores.outputs", _json(span.outputs)
        return
    if span.inputs is not None:
        messages = span.inputs.get("messages") if isinstance(span.inputs, Mapping) else None
        if isinstance(messages, list | tuple) and all(isinstance(one, Mapping) for one in messages):
            yield "gen_ai.input.messages", _json([_message(one) for one in messages])
        else:
            yield "tilores.inputs", _json(span.inputs)
    if isinstance(span.outputs, Mapping) and "role" in span.outputs:
        yield "gen_ai.output.messages", _json([_message(span.outputs) | {"finish_reason": _finish(span)}])
    elif span.outputs is not None:
        yield "tilores.outputs", _json(span.outputs)


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of the OpenAI shape as the conventions' schemas of messages want it."""
    role, content = str(message.get("role", "user")), message.get("content")
    parts: list[Any] = []
    if role == "tool":
        parts.append({"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content})
    elif isinstance(content, str):
        parts.append({"type": "text", "content": content})
    elif isinstance(content, list | tuple):
        parts += [_part(part) for part in content]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {} if isinstance(call, Mapping) else {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id") if isinstance(call, Mapping) else None,
                "name": function.get("name", ""),
                "arguments": function.get("arguments"),
            }
        )
    told = {"role": role, "parts": parts}
    return told if message.get("name") is None else {**told, "name": str(message["name"])}


def _part(part: Any) -> Any:
    if isinstance(part, Mapping) and part.get("type") == "text":
        return {"type": "text", "content": part.get("text", "")}
    return part if isinstance(part, Mapping) else {"type": "text", "content": str(part)}


def _finish(span: Span) -> str:
    for one in (span, *span.children):
        reason = one.attributes.get("finish_reason")
        if isinstance(reason, str):
            return "tool_call" if reason == "tool_calls" else reason
    return "error" if span.error is not None else "stop"


def _split(span: Span) -> tuple[str, str]:
    """Provider and model, by the conventions' names; empty when the span does not say."""
    full = str(span.attributes.get("model") or (span.name if span.kind == "model" else ""))
    before, colon, after = full.partition(":")
    provider = str(span.attributes.get("provider") or (before if colon else ""))
    return _PROVIDERS.get(provider, provider), after if colon else full


def _ran_here(span: Span) -> bool:
    return span.attributes.get("run_by") != "caller"


def _json(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
