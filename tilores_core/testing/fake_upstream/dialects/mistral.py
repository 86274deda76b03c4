"""Mistral: unknown fields are refused, tool calls come whole, usage on the chunk that finishes, errors of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tilores_core.testing.fake_upstream.dialects.base import sizes
from tilores_core.testing.fake_upstream.dialects.openai import OpenAI
from tilores_core.testing.fake_upstream.values import Asked, Problem, Said, ToolCall

_FIELDS: Final = """
    model messages temperature top_p max_tokens stream stop random_seed response_format tools tool_choice
    presence_penalty frequency_penalty n prediction parallel_tool_calls prompt_mode safe_prompt metadata
    reasoning_effort guardrails
""".split()  # noqa: SIM905 - a list literal would take one line for each
_CALL_ID = re.compile(r"^[a-zA-Z0-9]{9}$")


class Mistral(OpenAI):
    name = "mistral"
    statuses: ClassVar[Mapping[str, int]] = {"model": 400}

    def check(self, body: Mapping[str, Any], model: str) -> None:
        for name in body:
            if name not in _FIELDS:
                raise Problem("field", "Extra inputs are not permitted", param=name, status=422)
        for message in body.get("messages") or []:
            called = message.get("tool_call_id") if isinstance(message, dict) else None
            if called is not None and not _CALL_ID.match(called):
                text = "Tool call id has to be defined with a-z, A-Z, 0-9, with a length of 9."
                raise Problem("field", f"{text} ", param=None)

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {} if said.tool_calls else {"tool_calls": None}

    def tool_call(self, call: ToolCall, number: int) -> dict[str, Any]:
        made = super().tool_call(call, number)
        if not _CALL_ID.match(made["id"]):
            made["id"] = f"fakecal{number:02d}"
        return {**made, "index": number}

    def tool_call_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return [self.tool_call(call, number) for number, call in enumerate(said.tool_calls)]

    def choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        """No `logprobs`, and no finish reason for filtered content: Mistral has none."""
        return {name: value for name, value in choice.items() if name != "logprobs"}

    def extras(self) -> Mapping[str, Any]:
        return {}

    def chunk_extras(self, asked: Asked) -> Mapping[str, Any]:
        return {}

    def last_delta(self) -> Mapping[str, Any]:
        return {"content": ""}

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        return {
            "prompt_tokens": said.input_tokens,
            "total_tokens": said.total_tokens,
            "completion_tokens": said.output_tokens,
        }

    def on_finish(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        return {"usage": self.usage(asked, said)}

    def usage_chunks(self, frame: Mapping[str, Any], asked: Asked, said: Said) -> list[bytes]:
        return []

    def headers(self) -> Mapping[str, str]:
        return {
            "mistral-correlation-id": "00000000-0000-7000-8000-000000000000",
            "x-ratelimit-limit-req-minute": "720",
            "x-ratelimit-remaining-req-minute": "717",
            "x-ratelimit-limit-tokens-minute": "5000000",
            "x-ratelimit-remaining-tokens-minute": "4999911",
            "x-ratelimit-tokens-query-cost": "52",
        }

    def error(self, problem: Problem) -> Mapping[str, Any]:
        match problem.kind:
            case "key":
                return {"detail": "Unauthorized"}
            case "route":
                return {"message": "no Route matched with those values", "request_id": "fake_upstream"}
            case "field" if problem.status == 422:
                detail = {"type": "extra_forbidden", "loc": ["body", problem.param], "msg": problem.message}
                return _object({"detail": [detail]}, "invalid_request_error", None)
            case "model":
                return _object(f"Invalid model: {problem.model}", "invalid_model", "1500")
            case "context":
                words, limit = sizes(problem)
                text = f"Prompt contains {words} tokens, too large for model with {limit} maximum context length"
                return _object(text, "invalid_request_prompt", "3051")
            case "content":
                return _object("The request was blocked by the guardrails.", "content_policy_violation", None)
            case "rate" | "quota":
                return {**_object("Rate limit exceeded", "rate_limited", "1300"), "raw_status_code": 429}
            case "server":
                return _object("Internal server error", "internal_server_error", "3000")
            case "overloaded":
                return _object("Service unavailable.", "unreachable_backend", "1100")
            case _:
                return _object(problem.message or "Bad request.", "invalid_request_error", None)


def _object(message: Any, kind: str, code: str | None) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}
