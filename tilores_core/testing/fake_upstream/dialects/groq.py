"""Groq: its own path, times in the usage, and the usage of a stream in `x_groq` of the chunk that finishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tilores_core.testing.fake_upstream.dialects.base import sizes
from tilores_core.testing.fake_upstream.dialects.openai import OpenAI
from tilores_core.testing.fake_upstream.values import Asked, Problem, Request, Said

_ID = "req_fake0000000000000000"


class Groq(OpenAI):
    name = "groq"
    base_path = ""  # the SDK appends /openai/v1 by itself
    chat_paths: ClassVar[tuple[str, ...]] = ("/openai/v1/chat/completions",)

    def check(self, body: Mapping[str, Any], model: str) -> None:
        for number, message in enumerate(body.get("messages") or []):
            if isinstance(message, dict) and "reasoning_content" in message:
                raise Problem("field", f"'messages.{number}' : property 'reasoning_content' is unsupported")

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {"reasoning": said.reasoning} if said.reasoning else {}

    def reasoning_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return [{"reasoning": said.reasoning}] if said.reasoning else []

    def tool_call_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        """Each call whole, in one chunk."""
        return [{"index": number, **self.tool_call(call, number)} for number, call in enumerate(said.tool_calls)]

    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        return {**super().whole(asked, said), "x_groq": {"id": _ID}}

    def extras(self) -> Mapping[str, Any]:
        return {"system_fingerprint": "fp_fake"}

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        return {
            "queue_time": 0.001,
            "prompt_tokens": said.input_tokens,
            "prompt_time": 0.002,
            "completion_tokens": said.output_tokens,
            "completion_time": 0.003,
            "total_tokens": said.total_tokens,
            "total_time": 0.005,
        }

    def on_first(self) -> Mapping[str, Any]:
        return {"x_groq": {"id": _ID}}

    def on_finish(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        return {"x_groq": {"id": _ID, "usage": self.usage(asked, said)}}

    def other(self, request: Request) -> Mapping[str, Any]:
        if request.path == "/openai/v1/models":
            return super().other(request)
        raise Problem(
            "route", f"Unknown request URL: {request.method} {request.path}. Please check the URL for typos."
        )

    def headers(self) -> Mapping[str, str]:
        return {
            "x-request-id": _ID,
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-reset-tokens": "7.66s",
        }

    def error(self, problem: Problem) -> Mapping[str, Any]:
        message, kind, param, code = self.worded(problem)
        made = {"message": message, "type": kind}
        return {"error": made | {name: value for name, value in (("param", param), ("code", code)) if value}}

    def worded(self, problem: Problem) -> tuple[str, str, str | None, str | None]:
        match problem.kind:
            case "key":
                return "Invalid API Key", "invalid_request_error", None, "invalid_api_key"
            case "context":
                words, limit = sizes(problem)
                text = "Please reduce the length of the messages or completion. "
                return (
                    f"{text}Current length is {words} while limit is {limit}",
                    "invalid_request_error",
                    "messages",
                    "context_length_exceeded",
                )
            case "content":
                text = "The request was flagged by the content policy of this model."
                return text, "invalid_request_error", None, "content_filter"
            case "rate" | "quota":
                text = f"Rate limit reached for model `{problem.model}` in organization `org_fake` service tier "
                return f"{text}`on_demand` on tokens per minute (TPM).", "tokens", None, "rate_limit_exceeded"
            case "server":
                return "Internal Server Error", "internal_server_error", None, None
            case "overloaded":
                text = f"{problem.model} is currently over capacity. Please try again and back off exponentially."
                return text, "internal_server_error", None, None
            case _:
                return super().worded(problem)
