"""Google's generateContent, whole and streamed: no end mark, usage so far in every chunk, waits told in the body."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from itertools import accumulate, repeat
from typing import Any, ClassVar, Final

from tilores_core.testing.fake_upstream.dialects.base import (
    Dialect,
    Response,
    Stream,
    count,
    data,
    json_response,
    seconds,
    sizes,
)
from tilores_core.testing.fake_upstream.dialects.google_request import read_contents
from tilores_core.testing.fake_upstream.history import SIGNATURE
from tilores_core.testing.fake_upstream.values import Asked, Problem, Request, Said, ToolCall

_PATH = re.compile(r"^/v1(?:beta|alpha)?/models/(?P<model>[^:]+):(?P<method>generateContent|streamGenerateContent)$")
_REASONS: Final = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_RPC: Final = "type.googleapis.com/google.rpc"
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Google(Dialect):
    name = "google"
    protocol = "google"
    statuses: ClassVar[Mapping[str, int]] = {"key": 400}
    stream_type = "text/event-stream"
    malformed_event = b'data: {"candidates": [{"content": {"parts": [{"te\n\n'

    # --- reading

    def asks(self, request: Request) -> bool:
        return request.method == "POST" and _PATH.match(request.path) is not None

    def authenticate(self, request: Request) -> None:
        given = request.headers.get("x-goog-api-key") or request.query.get("key") or ""
        if not given:
            raise Problem("permission")
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            raise Problem("key", given=given)

    def read(self, request: Request) -> Asked:
        found = _PATH.match(request.path)
        assert found is not None
        model = self.needs_model(found["model"])
        asked = read_contents(request.json(), model, streamed=found["method"] == "streamGenerateContent")
        self.needs_room(model, asked.words)
        return asked

    def other(self, request: Request) -> Mapping[str, Any]:
        if request.method == "GET" and request.path.endswith("/models"):
            return {"models": [{"name": f"models/{name}", "version": "1"} for name in self.list_models()]}
        return super().other(request)

    # --- answering

    def whole(self, asked: Asked, said: Said) -> Mapping[str, Any]:
        parts: list[dict[str, Any]] = []
        if said.reasoning:
            parts.append({"text": said.reasoning, "thought": True})
        if said.pieces:
            parts.append({"text": said.text})
        parts += [_call(call, said) for call in said.tool_calls]
        return _body(asked, said, parts, said.output_tokens, finish=said.finish)

    def stream(self, asked: Asked, said: Said) -> Stream:
        thought = count(said.reasoning)
        head = [{"text": said.reasoning, "thought": True}] if said.reasoning else []
        so_far = accumulate(repeat(1, len(said.pieces)), initial=thought + 1)
        pieces = [
            data(_body(asked, said, [{"text": piece}], min(spent, said.output_tokens)))
            for piece, spent in zip(said.pieces, so_far, strict=False)
        ]
        return Stream(
            head=[data(_body(asked, said, head, thought))] if head else [],
            pieces=pieces,
            calls=[data(_body(asked, said, [_call(call, said)], said.output_tokens)) for call in said.tool_calls],
            finish=[data(_body(asked, said, [{"text": ""}], said.output_tokens, finish=said.finish))],
        )

    # --- refusals

    def problem(self, problem: Problem, *, streamed: bool = False) -> Response:
        if problem.kind == "content":
            return _blocked(problem, streamed=streamed)
        return json_response(self.status(problem), self._error(problem))

    def error_event(self, problem: Problem, asked: Asked) -> bytes:
        return data(self._error(problem))

    def _error(self, problem: Problem) -> Mapping[str, Any]:
        status = self.status(problem)
        made: dict[str, Any] = {
            "code": status,
            "message": _message(problem),
            "status": _STATUS.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL"),
        }
        if details := _details(problem):
            made["details"] = details
        return {"error": made}

    def headers(self) -> Mapping[str, str]:
        return {"server-timing": "gfet4t7; dur=1", "x-content-type-options": "nosniff"}


def _body(
    asked: Asked, said: Said, parts: list[dict[str, Any]], spent: int, *, finish: str | None = None
) -> dict[str, Any]:
    """A response with `parts`; `spent`: tokens up to here, those of thinking among them."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = _REASONS[finish]
    if finish == "content_filter":
        rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
        candidate["safetyRatings"] = [rating]
    thought = min(count(said.reasoning), spent)
    usage: dict[str, Any] = {
        "promptTokenCount": said.input_tokens,
        "candidatesTokenCount": spent - thought,
        "totalTokenCount": said.input_tokens + spent,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": said.input_tokens}],
    }
    if thought:
        usage["thoughtsTokenCount"] = thought
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": asked.model,
        "responseId": "fake00000000000000",
    }


def _call(call: ToolCall, said: Said) -> dict[str, Any]:
    made: dict[str, Any] = {"functionCall": {"name": call.name, "args": dict(call.arguments), "id": call.id}}
    return {**made, "thoughtSignature": SIGNATURE} if said.reasoning else made


def _blocked(problem: Problem, *, streamed: bool) -> Response:
    """Google refuses a prompt with status 200, a reason, and no candidate."""
    body = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10},
        "modelVersion": problem.model,
    }
    if not streamed:
        return json_response(200, body)
    return Response(status=200, headers={"content-type": "text/event-stream"}, body=data(body))


def _message(problem: Problem) -> str:
    match problem.kind:
        case "key":
            return "API key not valid. Please pass a valid API key."
        case "permission":
            return "Method doesn't allow unregistered callers (callers without established identity)."
        case "model":
            text = f"models/{problem.model} is not found for API version v1beta, or is not supported for "
            return f"{text}generateContent. Call ListModels to see the list of available models."
        case "context":
            words, limit = sizes(problem)
            return f"The input token count ({words}) exceeds the maximum number of tokens allowed ({limit})."
        case "rate" | "quota":
            text = "You exceeded your current quota, please check your plan and billing details."
            waited = "" if problem.retry_after is None else f"\nPlease retry in {seconds(problem.retry_after)}s."
            return text + waited
        case "server":
            return "An internal error has occurred. Please retry or report in Google AI Studio"
        case "overloaded":
            return "The model is overloaded. Please try again later."
        case _:
            return problem.message or "Request contains an invalid argument."


def _details(problem: Problem) -> list[dict[str, Any]]:
    if problem.kind == "key":
        about = {"service": "generativelanguage.googleapis.com"}
        reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": about}
        return [{"@type": f"{_RPC}.ErrorInfo", **reason}]
    if problem.kind not in ("rate", "quota"):
        return []
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": problem.model},
        "quotaValue": "10",
    }
    made: list[dict[str, Any]] = [{"@type": f"{_RPC}.QuotaFailure", "violations": [violation]}]
    if problem.retry_after is not None:
        made.append({"@type": f"{_RPC}.RetryInfo", "retryDelay": f"{seconds(problem.retry_after)}s"})
    return made
