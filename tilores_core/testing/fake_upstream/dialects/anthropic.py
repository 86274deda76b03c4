"""Anthropic's messages: named events, content in blocks, usage in the delta that finishes."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from itertools import count as counter
from typing import Any, ClassVar, Final

import orjson

from tilores_core.testing.fake_upstream.dialects.anthropic_request import read_messages
from tilores_core.testing.fake_upstream.dialects.base import (
    Dialect,
    Response,
    Stream,
    dump,
    json_response,
    seconds,
    sizes,
)
from tilores_core.testing.fake_upstream.values import Asked, Problem, Request, Said, ToolCall

_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_RESET = "2030-01-01T00:00:00Z"


class Anthropic(Dialect):
    name = "anthropic"
    protocol = "anthropic"
    statuses: ClassVar[Mapping[str, int]] = {"overloaded": 529, "quota": 400}
    malformed_event = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"te\n\n'

    def __init__(self, *, key: str, models: Mapping[str, int | None] | None) -> None:
        super().__init__(key=key, models=models)
        self._numbers = counter(1)

    # --- reading

    def asks(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/v1/messages"

    def authenticate(self, request: Request) -> None:
        # Either will do; the SDK says the second since its version 2.
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise Problem("key", given=given)

    def read(self, request: Request) -> Asked:
        if "anthropic-version" not in request.headers:
            raise Problem("field", "anthropic-version: header is required", param="anthropic-version")
        body = request.json()
        model = self.needs_model(body.get("model"))
        asked = read_messages(body, model)
        self.needs_room(model, asked.words)
        return asked

    def other(self, request: Request) -> Mapping[str, Any]:
        if request.method == "GET" and request.path == "/v1/models":
            made = [
                {"type": "model", "id": name, "display_name": name, "created_at": _RESET}
                for name in self.list_models()
            ]
            return {"data": made, "has_more": False, "first_id": made[0]["id"], "last_id": made[-1]["id"]}
        return super().other(request)

    # --- answering

    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        content: list[dict[str, Any]] = []
        if said.reasoning:
            content.append({"type": "thinking", "thinking": said.reasoning, "signature": "fake_upstream"})
        if said.pieces:
            content.append({"type": "text", "text": said.text})
        content += [{**_tool_use(call), "input": call.arguments} for call in said.tool_calls]
        return {**self._message(asked, said), "content": content, **_end_reason(said), "usage": _usage(said)}

    def stream(self, asked: Asked, said: Said) -> Stream:
        started = self._message(asked, said) | {"content": [], "stop_reason": None, "stop_sequence": None}
        head = [_event("message_start", message={**started, "usage": {**_usage(said), "output_tokens": 1}})]
        index = 0
        if said.reasoning:
            head += _thinking(said.reasoning)
            index = 1
        pieces: list[bytes] = []
        closing = b""
        if said.pieces or not said.tool_calls:
            head.append(_event("content_block_start", index=index, content_block={"type": "text", "text": ""}))
            pieces = [_delta(index, {"type": "text_delta", "text": piece}) for piece in said.pieces]
            closing = _event("content_block_stop", index=index)
            index += 1
        head.append(_event("ping"))
        calls = [_call(call, index + number) for number, call in enumerate(said.tool_calls)]
        if calls:
            calls[0], closing = closing + calls[0], b""
        usage = {**_usage(said), "output_tokens": said.output_tokens}
        return Stream(
            head=head,
            pieces=pieces,
            calls=calls,
            finish=[closing, _event("message_delta", delta=_end_reason(said), usage=usage)],
            unfinished=[closing],
            mark=[_event("message_stop")],
        )

    def _message(self, asked: Asked, said: Said) -> dict[str, Any]:
        number = next(self._numbers)
        return {"id": f"msg_fake{number:08d}", "type": "message", "role": "assistant", "model": asked.model}

    # --- refusals

    def problem(self, problem: Problem, *, streamed: bool = False) -> Response:
        headers = dict(self.headers())
        if problem.retry_after is not None:
            headers["retry-after"] = seconds(problem.retry_after)
        if problem.kind == "rate":
            headers["anthropic-ratelimit-requests-remaining"] = "0"
        if problem.kind in ("rate", "server", "overloaded"):
            headers["x-should-retry"] = "true"
        return json_response(self.status(problem), self._error(problem), headers)

    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        return b"event: error\ndata: " + orjson.dumps(self._error(problem)) + b"\n\n"

    def headers(self) -> Mapping[str, str]:
        return {
            "request-id": f"req_fake{next(self._numbers):08d}",
            "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
            "anthropic-ratelimit-requests-limit": "4000",
            "anthropic-ratelimit-requests-remaining": "3999",
            "anthropic-ratelimit-requests-reset": _RESET,
            "anthropic-ratelimit-tokens-limit": "480000",
            "anthropic-ratelimit-tokens-remaining": "480000",
            "anthropic-ratelimit-tokens-reset": _RESET,
        }

    @staticmethod
    def _error(problem: Problem) -> Mapping[str, Any]:
        kind, message = _worded(problem)
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}


def _worded(problem: Problem) -> tuple[str, str]:
    match problem.kind:
        case "key":
            return "authentication_error", "invalid x-api-key" if problem.given else "x-api-key header is required"
        case "model":
            return "not_found_error", f"model: {problem.model}"
        case "route":
            return "not_found_error", "Not found"
        case "context":
            words, limit = sizes(problem)
            return "invalid_request_error", f"prompt is too long: {words} tokens > {limit} maximum"
        case "content":
            return "invalid_request_error", "Output blocked by content filtering policy"
        case "quota":
            text = (
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
            )
            return "invalid_request_error", text
        case "rate":
            text = "This request would exceed your organization's rate limit of 50 requests per minute."
            return "rate_limit_error", text
        case "permission":
            return "permission_error", "Your API key does not have permission to use the specified resource."
        case "server":
            return "api_error", "Internal server error"
        case "overloaded":
            return "overloaded_error", "Overloaded"
        case _:
            return "invalid_request_error", problem.message or "Bad request."


def _usage(said: Said) -> dict[str, Any]:
    return {
        "input_tokens": said.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": said.output_tokens,
        "service_tier": "standard",
    }


def _end_reason(said: Said) -> dict[str, Any]:
    if said.stopped_by is not None and said.finish == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": said.stopped_by}
    return {"stop_reason": None if said.finish is None else _REASONS[said.finish], "stop_sequence": None}


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dump({"type": kind, **fields}))


def _delta(index: int, delta: Mapping[str, Any]) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _thinking(text: str) -> Sequence[bytes]:
    block = {"type": "thinking", "thinking": "", "signature": ""}
    return [
        _event("content_block_start", index=0, content_block=block),
        _delta(0, {"type": "thinking_delta", "thinking": text}),
        _delta(0, {"type": "signature_delta", "signature": "fake_upstream"}),
        _event("content_block_stop", index=0),
    ]


def _tool_use(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name}


def _call(call: ToolCall, index: int) -> bytes:
    arguments = orjson.dumps(call.arguments).decode()
    middle = len(arguments) // 2
    parts = ("", arguments[:middle], arguments[middle:])
    return b"".join(
        [
            _event("content_block_start", index=index, content_block={**_tool_use(call), "input": {}}),
            *(_delta(index, {"type": "input_json_delta", "partial_json": part}) for part in parts),
            _event("content_block_stop", index=index),
        ]
    )
