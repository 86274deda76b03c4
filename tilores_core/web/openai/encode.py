"""An answer as the body of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tilores_core.contracts import Answer, CustomerOutcome, FinishReason, Usage


def completion_body(
    answer: Answer, *, completion_id: str, created: int, latency_ms: float | None = None, functions: bool = False
) -> dict[str, Any]:
    """The body of a completion that is not streamed. `created` is in seconds since the epoch. `functions`: a tool
    call as the older protocol has it, which knows only one."""
    return completion_template(
        answer,
        completion_id=completion_id,
        created=created,
        tier=answer.cache_tier,
        age_s=round(answer.age, 3),
        stale=answer.stale,
        latency_ms=latency_ms,
        cost=answer.cost,
        functions=functions,
    )


def completion_template(
    answer: Answer,
    *,
    completion_id: Any,
    created: Any,
    tier: Any,
    age_s: Any,
    stale: Any,
    latency_ms: Any,
    cost: Any,
    functions: bool = False,
) -> dict[str, Any]:
    """The same body with everything that differs between two replies of one stored answer handed in.

    To store a template, pass marks as values and cut the bytes there. Each is used once, as a value.
    """
    calls = tool_calls(answer)
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if calls:
        message["content"] = answer.text or None
        message.update({"function_call": calls[0]["function"]} if functions else {"tool_calls": calls})
        message.update(answer.state or {})
    reason = finish_reason(answer, functions=functions)
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": usage_body(answer.usage),
        "system_fingerprint": None,
        "tilores": {
            "cache": tier,
            "age_s": age_s,
            "stale": stale,
            **_customer(answer.customer),
            "spectrum": answer.spectrum,
            "prompt_version": answer.prompt_version,
            "latency_ms": latency_ms,
            "cost": cost,
        },
    }


def stream_extension(answer: Answer) -> dict[str, Any]:
    """The `tilores` object of a stream's finish chunk: as in a plain reply, but without the latency."""
    return {
        "cache": answer.cache_tier,
        "age_s": round(answer.age, 3),
        "stale": answer.stale,
        **_customer(answer.customer),
        "spectrum": answer.spectrum,
        "prompt_version": answer.prompt_version,
        "cost": answer.cost,
    }


def usage_body(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }


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
