"""OpenRouter: comments while it waits, the provider's name and reason, cost in the usage, errors with a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tilores_core.testing.fake_upstream.dialects.base import count, data, sizes
from tilores_core.testing.fake_upstream.dialects.openai import OpenAI
from tilores_core.testing.fake_upstream.values import Asked, Problem, Said

_PROVIDER = "Fake"
_PRICE = 1e-6  # US dollars a token


class OpenRouter(OpenAI):
    name = "openrouter"
    statuses: ClassVar[Mapping[str, int]] = {"quota": 402, "model": 400, "content": 403}
    base_path = "/api/v1"
    chat_paths: ClassVar[tuple[str, ...]] = ("/api/v1/chat/completions",)

    def check(self, body: Mapping[str, Any], model: str) -> None:
        """It takes what any provider behind it takes."""

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {"refusal": None, "reasoning": said.reasoning or None}

    def text_delta(self, piece: str) -> Mapping[str, Any]:
        return {"role": "assistant", "content": piece}

    def last_delta(self) -> Mapping[str, Any]:
        return {"role": "assistant", "content": ""}

    def reasoning_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return [{"role": "assistant", "content": "", "reasoning": said.reasoning}] if said.reasoning else []

    def choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**choice, "native_finish_reason": choice["finish_reason"]}

    def extras(self) -> Mapping[str, Any]:
        return {"provider": _PROVIDER, "system_fingerprint": None}

    def chunk_extras(self, asked: Asked) -> Mapping[str, Any]:
        return {}

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        return {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.total_tokens,
            "cost": round(said.total_tokens * _PRICE, 9),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0},
            "cost_details": {"upstream_inference_cost": None},
            "completion_tokens_details": {"reasoning_tokens": count(said.reasoning)},
        }

    def usage_chunks(self, frame: Mapping[str, Any], asked: Asked, said: Said) -> list[bytes]:
        """Always sent, and with a choice that says nothing."""
        choice = {"index": 0, "delta": self.last_delta(), "finish_reason": None, "logprobs": None}
        return [data({**frame, "choices": [self.choice(choice)], "usage": self.usage(asked, said)})]

    def waiting(self) -> bytes:
        return b": OPENROUTER PROCESSING\n\n"

    def headers(self) -> Mapping[str, str]:
        return {"x-generation-id": "gen-fake_upstream"}

    def error(self, problem: Problem) -> Mapping[str, Any]:
        return {"error": self._error(problem), "user_id": "user_fake"}

    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        frame = {**self._frame(asked, "chat.completion.chunk"), "provider": _PROVIDER}
        return data({**frame, "error": self._error(problem), "choices": [choice]})

    def _error(self, problem: Problem) -> dict[str, Any]:
        made: dict[str, Any] = {"message": self._message(problem), "code": self.status(problem)}
        if problem.kind == "content":
            made["metadata"] = {
                "reasons": ["violence"],
                "flagged_input": problem.given[:100],
                "provider_name": _PROVIDER,
                "model_slug": problem.model,
            }
        elif problem.kind in ("rate", "overloaded", "context"):
            made["metadata"] = {"raw": self._message(problem), "provider_name": _PROVIDER}
        return made

    def _message(self, problem: Problem) -> str:
        match problem.kind:
            case "key":
                return "User not found." if problem.given else "No auth credentials found"
            case "model":
                return f"{problem.model} is not a valid model ID"
            case "context":
                words, limit = sizes(problem)
                text = (
                    f"This endpoint's maximum context length is {limit} tokens. However, you requested about {words} "
                )
                return f"{text}tokens. Please reduce the length of either one."
            case "content":
                return f"{problem.model} requires moderation on {_PROVIDER}. Your input was flagged for violence."
            case "quota":
                return "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
            case "rate":
                return f"{problem.model} is temporarily rate-limited upstream. Please retry shortly."
            case "overloaded":
                return "Provider returned error"
            case "server":
                return "Internal Server Error"
            case _:
                return problem.message or "Input validation error"
