"""OpenAI's chat completions, and what any server compatible with them speaks."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from itertools import count as counter
from typing import Any, ClassVar

import orjson

from tilores_core.testing.fake_upstream.dialects.base import (
    Dialect,
    Response,
    Stream,
    data,
    json_response,
    seconds,
    sizes,
)
from tilores_core.testing.fake_upstream.dialects.openai_request import read_chat
from tilores_core.testing.fake_upstream.values import Asked, Problem, Request, Said, ToolCall

_REASONING = re.compile(r"^(?:o\d|gpt-5)")


class OpenAI(Dialect):
    """The differences of the others are methods of their own here."""

    name = "openai"
    base_path = "/v1"
    chat_paths: ClassVar[tuple[str, ...]] = ("/v1/chat/completions",)

    def __init__(self, *, key: str, models: Mapping[str, int | None] | None) -> None:
        super().__init__(key=key, models=models)
        self._numbers = counter(1)

    # --- reading

    def asks(self, request: Request) -> bool:
        return request.method == "POST" and request.path in self.chat_paths

    def authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Problem("key")
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise Problem("key", given=given)

    def read(self, request: Request) -> Asked:
        body = request.json()
        model = self.needs_model(body.get("model"))
        self.check(body, model)
        asked = read_chat(body, model)
        self.needs_room(model, asked.words)
        return asked

    def check(self, body: Mapping[str, Any], model: str) -> None:
        """What this provider refuses beyond the rest."""
        if _REASONING.match(model) and body.get("max_tokens") is not None:
            raise Problem(
                "field",
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
                param="max_tokens",
            )

    def other(self, request: Request) -> Mapping[str, Any]:
        if request.method == "GET" and request.path.endswith("/models"):
            made = [
                {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": self.name}
                for name in self.list_models()
            ]
            return {"object": "list", "data": made}
        return super().other(request)

    # --- whole answers

    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": said.text if said.pieces or not said.tool_calls else None,
            **self.message_extras(said),
        }
        if said.tool_calls:
            message["tool_calls"] = [self.tool_call(call, number) for number, call in enumerate(said.tool_calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
        return {
            **self._frame(asked, "chat.completion"),
            "choices": [self.choice(choice)],
            "usage": self.usage(asked, said),
            **self.extras(),
        }

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {"refusal": None, "annotations": []}

    def tool_call(self, call: ToolCall, number: int) -> dict[str, Any]:
        function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
        return {"id": call.id, "type": "function", "function": function}

    def choice(self, choice: dict[str, Any]) -> dict[str, Any]:
        return choice

    def extras(self) -> Mapping[str, Any]:
        return {"service_tier": "default", "system_fingerprint": "fp_fake"}

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        return {
            "prompt_tokens": said.input_tokens,
            "completion_tokens": said.output_tokens,
            "total_tokens": said.total_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    # --- streamed answers

    def stream(self, asked: Asked, said: Said) -> Stream:
        frame = {**self._frame(asked, "chat.completion.chunk"), **self.extras(), **self.chunk_extras(asked)}

        def chunk(delta: Mapping[str, Any], finish: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return data({**frame, "choices": [self.choice(choice)], **more})

        first = {"role": "assistant", "content": None if said.tool_calls and not said.pieces else "", "refusal": None}
        thinking = [chunk(delta) for delta in self.reasoning_deltas(said)]
        calls = [chunk({"tool_calls": [piece]}) for piece in self.tool_call_deltas(said)]
        return Stream(
            head=[chunk(first, **self.on_first()), *thinking],
            pieces=[chunk(self.text_delta(piece)) for piece in said.pieces],
            calls=calls,
            finish=[chunk(self.last_delta(), said.finish, **self.on_finish(asked, said))],
            tail=self.usage_chunks(frame, asked, said),
            mark=[b"data: [DONE]\n\n"],
            waiting=self.waiting(),
        )

    def chunk_extras(self, asked: Asked) -> Mapping[str, Any]:
        return {"usage": None} if asked.usage_wanted else {}

    def text_delta(self, piece: str) -> Mapping[str, Any]:
        return {"content": piece}

    def last_delta(self) -> Mapping[str, Any]:
        return {}

    def reasoning_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return []

    def tool_call_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        """The name once and whole, then the arguments in two pieces."""
        made: list[Mapping[str, Any]] = []
        for number, call in enumerate(said.tool_calls):
            whole = self.tool_call(call, number)
            arguments = whole["function"]["arguments"]
            middle = len(arguments) // 2
            made.append({"index": number, **whole, "function": {"name": call.name, "arguments": ""}})
            made += [
                {"index": number, "function": {"arguments": part}}
                for part in (arguments[:middle], arguments[middle:])
            ]
        return made

    def on_first(self) -> Mapping[str, Any]:
        return {}

    def on_finish(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        return {}

    def usage_chunks(self, frame: Mapping[str, Any], asked: Asked, said: Said) -> list[bytes]:
        return [data({**frame, "choices": [], "usage": self.usage(asked, said)})] if asked.usage_wanted else []

    def waiting(self) -> bytes:
        return b""

    # --- refusals

    def problem(self, problem: Problem, *, streamed: bool = False) -> Response:
        return json_response(self.status(problem), self.error(problem), self._error_headers(problem))

    def error(self, problem: Problem) -> Mapping[str, Any]:
        """The body of the refusal."""
        message, kind, param, code = self.worded(problem)
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def worded(self, problem: Problem) -> tuple[str, str, str | None, str | None]:
        """Message, type, param and code."""
        invalid = "invalid_request_error"
        match problem.kind:
            case "key" if problem.given:
                text = f"Incorrect API key provided: {_masked(problem.given)}. You can find your API key at "
                return f"{text}https://platform.openai.com/account/api-keys.", invalid, None, "invalid_api_key"
            case "key":
                return "You didn't provide an API key.", invalid, None, None
            case "model":
                text = f"The model `{problem.model}` does not exist or you do not have access to it."
                return text, invalid, None, "model_not_found"
            case "context":
                words, limit = sizes(problem)
                text = f"This model's maximum context length is {limit} tokens. However, your messages resulted in "
                return (
                    f"{text}{words} tokens. Please reduce the length of the messages.",
                    invalid,
                    "messages",
                    "context_length_exceeded",
                )
            case "content":
                text = "Invalid prompt: your prompt was flagged as potentially violating our usage policy."
                return text, invalid, None, "invalid_prompt"
            case "quota":
                text = "You exceeded your current quota, please check your plan and billing details."
                return text, "insufficient_quota", None, "insufficient_quota"
            case "rate":
                text = f"Rate limit reached for {problem.model} on requests per min (RPM): Limit 500, Used 500."
                return text, "requests", None, "rate_limit_exceeded"
            case "permission":
                return "You are not allowed to use this model.", invalid, None, "unsupported_country_region_territory"
            case "server":
                text = "The server had an error while processing your request. Sorry about that!"
                return text, "server_error", None, None
            case "overloaded":
                text = "The engine is currently overloaded, please try again later."
                return text, "service_unavailable", None, None
            case _:
                return problem.message or "Bad request.", invalid, problem.param, None

    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        return data(self.error(problem))

    def headers(self) -> Mapping[str, str]:
        return {
            "x-request-id": f"req_fake{next(self._numbers):08d}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "1",
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-tokens": "199000",
            "x-ratelimit-reset-tokens": "30ms",
        }

    def _error_headers(self, problem: Problem) -> Mapping[str, str]:
        made = dict(self.headers())
        if problem.retry_after is not None:
            made["retry-after"] = seconds(problem.retry_after)
        if problem.kind == "rate" and "x-ratelimit-remaining-requests" in made:
            made["x-ratelimit-remaining-requests"] = "0"
        return made

    def _frame(self, asked: Asked, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-fake_upstream{next(self._numbers):08d}",
            "object": kind,
            "created": int(time.time()),
            "model": asked.model,
        }


class Compatible(OpenAI):
    """A server such as vLLM or llama.cpp: no account, no rate limits, few extras."""

    name = "openai-compatible"

    def check(self, body: Mapping[str, Any], model: str) -> None:
        """Takes anything."""

    def authenticate(self, request: Request) -> None:
        if self.key:
            super().authenticate(request)

    def extras(self) -> Mapping[str, Any]:
        return {}

    def message_extras(self, said: Said) -> Mapping[str, Any]:
        return {"reasoning_content": said.reasoning} if said.reasoning else {}

    def reasoning_deltas(self, said: Said) -> list[Mapping[str, Any]]:
        return [{"reasoning_content": said.reasoning}] if said.reasoning else []

    def usage(self, asked: Asked, said: Said) -> dict[str, Any]:
        counted = super().usage(asked, said)
        return {name: counted[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}

    def headers(self) -> Mapping[str, str]:
        return {}


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "*" * len(key)
