"""An answer as the body of a chat completion, and the list of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tilores_core.contracts import Answer, CustomerOutcome, FinishReason, ModelInfo, Usage
from tilores_core.errors import UnknownModelError
from tilores_core.web.response_template import ReplyValues


def completion_template(answer: Answer, values: ReplyValues, *, functions: bool = False) -> dict[str, Any]:
    """The body of a completion that is not streamed. `functions`: a tool call as the older protocol has it, which
    knows only one.

    To store a template, pass markers as values and cut the bytes there. Each is used once, as a value.
    """
    calls = tool_calls(answer)
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if calls:
        message["content"] = answer.text or None
        message.update({"function_call": calls[0]["function"]} if functions else {"tool_calls": calls})
        message.update(answer.state or {})
    reason = finish_reason(answer, functions=functions)
    return {
        "id": values.id,
        "object": "chat.completion",
        "created": values.created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": usage_body(answer.usage),
        "system_fingerprint": None,
        "tilores": _extension(answer, values),
    }


def stream_extension(answer: Answer) -> dict[str, Any]:
    """The `tilores` object of a stream's finish chunk: as in a plain reply, but without the latency."""
    extension = _extension(answer, ReplyValues.of(answer, "", None))
    del extension["latency_ms"]
    return extension


def _extension(answer: Answer, values: ReplyValues) -> dict[str, Any]:
    return {
        "cache": values.tier,
        "age_s": values.age_s,
        "stale": values.stale,
        **_customer(answer.customer),
        "spectrum": answer.spectrum,
        "prompt_version": answer.prompt_version,
        "latency_ms": values.latency_ms,
        "cost": values.cost,
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        body["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return body


def finish_reason(answer: Answer, *, functions: bool = False) -> FinishReason | Literal["function_call"]:
    """Never `tool_calls` without any, which clients would wait for, and never `stop` with some."""
    if not answer.tool_calls:
        return "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
    if answer.finish_reason not in ("stop", "tool_calls"):
        return answer.finish_reason
    return "function_call" if functions else "tool_calls"


def tool_calls(answer: Answer) -> list[dict[str, Any]]:
    """The answer's tool calls with the keys of the protocol, and `extra_content`; one without an id gets one."""
    return [_tool_call(call, position) for position, call in enumerate(answer.tool_calls)]


def _tool_call(call: Mapping[str, Any], position: int) -> dict[str, Any]:
    function = call["function"]
    written = {
        "id": call.get("id") or f"call_{position}",
        "type": "function",
        "function": {"name": function["name"], "arguments": function.get("arguments") or ""},
    }
    if "extra_content" in call:
        written["extra_content"] = call["extra_content"]
    return written


def _customer(outcome: CustomerOutcome) -> dict[str, Any]:
    said: dict[str, Any] = {"customer_id": outcome.customer_id, "customer": outcome.kind}
    if outcome.choices:
        said["choices"] = [dict(choice.traits) for choice in outcome.choices]
        said["distinguished_by"] = list(outcome.distinguished_by)
    return said


# --- the list of models ----------------------------------------------------------------------------------------


def models_body(models: Sequence[tuple[str, ModelInfo]]) -> dict[str, Any]:
    """The body of `GET /v1/models`; `models` are pairs of provider name and model."""
    return {"object": "list", "data": [model_body(provider, info) for provider, info in models]}


def model_body(provider: str, info: ModelInfo) -> dict[str, Any]:
    """One model. What cannot be used now is listed too, and says what to do about it.

    `name` is the label that Open WebUI shows instead of the id; only models that need a remark have one.
    """
    identifier = f"{provider}:{info.id}"
    body: dict[str, Any] = {
        "id": identifier,
        "object": "model",
        "created": info.created,
        "owned_by": provider,
        "available": info.unavailable is None,
    }
    remarks = []
    if info.simulated:
        remarks.append("simulated")
    if info.unavailable is not None:
        remarks.append("unavailable")
        body["unavailable_reason"] = info.unavailable
    if remarks:
        body["name"] = f"{identifier} ({', '.join(remarks)})"
    return body


def find_model(models: Sequence[tuple[str, ModelInfo]], model_id: str) -> dict[str, Any]:
    """The body of `GET /v1/models/{id}`; `model_id` as the client means it, percent-decoded.

    A bare model works where only one provider has it. Raises `UnknownModelError` for one that is not listed.
    """
    bare = []
    for provider, info in models:
        if model_id == f"{provider}:{info.id}":
            return model_body(provider, info)
        if model_id == info.id:
            bare.append((provider, info))
    if len(bare) == 1:
        return model_body(*bare[0])
    raise UnknownModelError("there is no model of that name", fix="GET /v1/models lists the names")
