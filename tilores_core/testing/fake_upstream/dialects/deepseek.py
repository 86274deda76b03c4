"""DeepSeek: thinking in `reasoning_content`, context-cache counts, usage on the chunk that finishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tilores_core.testing.fake_upstream.dialects.base import count, sizes
from tilores_core.testing.fake_upstream.dialects.openai import OpenAI
from tilores_core.testing.fake_upstream.values import Asked, Problem, Said


class DeepSeek(OpenAI):
    name = "deepseek"
    statuses: ClassVar[Mapping[str, int]] = {"quota": 402, "model": 400}
    chat_paths: ClassVar[tuple[str, ...]] = ("/v1/chat/completions", "/chat/completions", "/beta/chat/completions")

    def check(self, body: Mapping[str, Any], model: str) -> None:
        """Nothing that OpenAI would not refuse."""

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {"reasoning_content": said.reasoning} if said.reasoning else {}

    def reasoning_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return [{"content": None, "reasoning_content": said.reasoning}] if said.reasoning else []

    def last_delta(self) -> Mapping[str, Any]:
        return {"content": "", "role": None}

    def extras(self) -> Mapping[str, Any]:
        return {"system_fingerprint": "fp_fake_prod"}

    def chunk_extras(self, asked: Asked) -> Mapping[str, Any]:
        return {}

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        hit = said.input_tokens // 2
        return {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.total_tokens,
            "prompt_tokens_details": {"cached_tokens": hit},
            "completion_tokens_details": {"reasoning_tokens": count(said.reasoning)},
            "prompt_cache_hit_tokens": hit,
            "prompt_cache_miss_tokens": said.input_tokens - hit,
        }

    def on_finish(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        return {"usage": self.usage(asked, said)}

    def usage_chunks(self, frame: Mapping[str, Any], asked: Asked, said: Said) -> list[bytes]:
        return []

    def waiting(self) -> bytes:
        return b": keep-alive\n\n"

    def headers(self) -> Mapping[str, str]:
        return {"x-ds-trace-id": "0123456789abcdef0123456789abcdef"}

    def worded(self, problem: Problem) -> tuple[str, str, str | None, str | None]:
        invalid = "invalid_request_error"
        match problem.kind:
            case "key":
                shown = f"****{problem.given[-4:]}"
                text = f"Authentication Fails, Your api key: {shown} is invalid"
                return text, "authentication_error", None, invalid
            case "model":
                return "Model Not Exist", invalid, None, invalid
            case "context":
                words, limit = sizes(problem)
                text = (
                    f"This model's maximum context length is {limit} tokens. However, you requested {words} tokens."
                )
                return f"{text} Please reduce the length of the messages or completion.", invalid, None, invalid
            case "content":
                return "Content Exists Risk", invalid, None, invalid
            case "quota":
                return "Insufficient Balance", "unknown_error", None, invalid
            case "rate":
                text = "Rate limit reached, please pace your requests reasonably."
                return text, "rate_limit_error", None, "rate_limit_exceeded"
            case "overloaded":
                return "Service is too busy. Please try again later.", "service_unavailable_error", None, None
            case _:
                message, kind, param, _ = super().worded(problem)
                return message, kind, param, invalid if kind == invalid else None
