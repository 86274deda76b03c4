"""Answers as LangServe's clients take them: flat message objects with a `type`, complete enough for both clients.

The Python client checks a whole object against its message class and silently leaves a dict when it does not fit;
the JavaScript client wants `content`, `type` and `additional_kwargs` to be there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tilores_core.contracts import Answer, CustomerOutcome, Message, Usage
from tilores_core.web.response_template import ReplyValues

# orjson makes a float of a whole number of more than 64 bits, and so another number.
_LONG_NUMBER: Final = re.compile(r"\d{19}", re.ASCII)
_TYPES: Final = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool"}


def invoke_body(answer: Answer, *, run_id: str, latency_ms: float) -> dict[str, Any]:
    """The body of `invoke`. `latency_ms` is this request's, in milliseconds."""
    return invoke_template(answer, ReplyValues.of(answer, run_id, round(latency_ms, 3)))


def batch_body(answers: Sequence[tuple[Answer, str, float]]) -> dict[str, Any]:
    """The body of `batch`, of (answer, run id, latency in milliseconds) in the order of the inputs."""
    run_ids = [run_id for _, run_id, _ in answers]
    return {
        "output": [reply(answer, run_id=run_id, latency_ms=latency) for answer, run_id, latency in answers],
        "metadata": {
            "responses": [{"run_id": run_id, "feedback_tokens": []} for run_id in run_ids],
            "run_ids": run_ids,
        },
    }


def reply(answer: Answer, *, run_id: str, latency_ms: float) -> dict[str, Any]:
    """The answer as one `ai` message."""
    return _reply(answer, ReplyValues.of(answer, run_id, round(latency_ms, 3)))


def invoke_template(answer: Answer, values: ReplyValues) -> dict[str, Any]:
    """Return `invoke_body` with these values, or with markers where the body is to be cut.

    The id occurs twice: inside the message's id (`run-…`) and as `metadata.run_id`; each of the others once, as a
    whole JSON value.
    """
    return {"output": _reply(answer, values), "metadata": {"run_id": values.id, "feedback_tokens": []}}


def response_metadata(answer: Answer, values: ReplyValues) -> dict[str, Any]:
    return {
        "model": answer.model,
        "cache": values.tier,
        "age_s": values.age_s,
        "stale": values.stale,
        "customer_id": answer.customer.customer_id,
        "customer": _customer(answer.customer),
        "spectrum": answer.spectrum,
        "prompt_version": answer.prompt_version,
        "latency_ms": values.latency_ms,
        "cost": values.cost,
        "finish_reason": answer.finish_reason,
    }


def _customer(outcome: CustomerOutcome) -> dict[str, Any]:
    if outcome.kind != "several":
        return {"kind": outcome.kind}
    return {
        "kind": "several",
        "choices": [{"traits": dict(choice.traits)} for choice in outcome.choices],
        "distinguished_by": list(outcome.distinguished_by),
    }


def _reply(answer: Answer, values: ReplyValues) -> dict[str, Any]:
    calls, invalid = tool_calls(answer.tool_calls)
    return {
        "content": answer.text,
        "additional_kwargs": provider_state(answer),
        "response_metadata": response_metadata(answer, values),
        "type": "ai",
        "name": None,
        "id": message_id(values.id),
        "tool_calls": calls,
        "invalid_tool_calls": invalid,
        "usage_metadata": usage_metadata(answer.usage),
    }


def provider_state(answer: Answer) -> dict[str, Any]:
    """What the provider must see again with the results of the tools that the answer calls, for `additional_kwargs`:
    clients send it back with the message."""
    if not answer.tool_calls:
        return {}
    extra = {call.get("id"): call["extra_content"] for call in answer.tool_calls if "extra_content" in call}
    return {**(answer.state or {}), **({"extra_content": extra} if extra else {})}


def message_id(run_id: str) -> str:
    return f"run-{run_id}"


def usage_metadata(usage: Usage) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        metadata["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens:
        metadata["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return metadata


def tool_calls(calls: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tool calls of the OpenAI shape in LangChain's, and those whose arguments are no JSON object, apart."""
    good: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for call in calls:
        function = call["function"]
        name, arguments, call_id = function["name"], function.get("arguments") or "{}", call.get("id")
        try:
            args = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            args = None
        if isinstance(args, dict):
            if _LONG_NUMBER.search(arguments):
                args = orjson.Fragment(json.dumps(json.loads(arguments)))
            good.append({"name": name, "args": args, "id": call_id, "type": "tool_call"})
        else:
            bad.append({"type": "invalid_tool_call", "id": call_id, "name": name, "args": arguments, "error": None})
    return good, bad


def message(value: Message) -> dict[str, Any]:
    """A message of a request as LangChain's JSON, for the streams that show what the model was asked."""
    role, content = value["role"], value.get("content")
    shown: dict[str, Any] = {
        "content": "" if content is None else content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": _TYPES[role],
        "name": value.get("name"),
        "id": None,
    }
    if role == "assistant":
        calls, invalid = tool_calls(value.get("tool_calls", ()))
        shown.update(tool_calls=calls, invalid_tool_calls=invalid, usage_metadata=None)
    elif role == "tool":
        shown.update(tool_call_id=value["tool_call_id"], artifact=None, status="success")
    return shown
