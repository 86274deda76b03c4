"""Every error as a reply of the OpenAI protocol: status, body, headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import Any

from tilores_core.errors import (
    AuthenticationError,
    ContentRefusedError,
    ContextTooLongError,
    DeadlineExceededError,
    InvalidRequestError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    RateLimitedError,
    SourceError,
    SourceUnavailableError,
    StoreError,
    StoreUnavailableError,
    TiloresError,
    UnknownModelError,
    UnsupportedEncodingError,
)

ErrorReply = tuple[int, dict[str, Any], dict[str, str]]

_INVALID = "invalid_request_error"
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_NO_RETRY = {"x-should-retry": "false"}
_LONGEST_PATH = 200


def error_reply(error: Exception) -> ErrorReply:
    """Status, body and headers for any error. One that is not of our tree is not quoted: it may hold anything."""
    if isinstance(error, InvalidRequestError):
        code = "context_length_exceeded" if isinstance(error, ContextTooLongError) else None
        status = 415 if isinstance(error, UnsupportedEncodingError) else 400
        return status, _body(_say(error), _INVALID, error.param, code), {}
    if isinstance(error, UnknownModelError):
        return 404, _body(_say(error), _INVALID, "model", "model_not_found"), {}
    if isinstance(error, AuthenticationError):
        return 401, _body(_say(error), _INVALID, None, "invalid_api_key"), {"WWW-Authenticate": "Bearer"}
    if isinstance(error, PermissionDeniedError):
        return 403, _body(_say(error), _INVALID), {}
    if isinstance(error, PayloadTooLargeError):
        return 413, _body(_say(error), _INVALID), {}
    if isinstance(error, RateLimitedError):
        body = _body(_say(error), "rate_limit_error", None, "rate_limit_exceeded")
        return 429, body, _retry_after(error.retry_after)
    if isinstance(error, ContentRefusedError):
        return 400, _body(_say(error), _INVALID, None, "content_filter"), {}
    if isinstance(error, (OverloadedError, DeadlineExceededError, SourceError, ProviderError, StoreError)):
        return _unavailable(error)
    # A fault of ours happens again when the same request comes again.
    return 500, _body("the server failed to answer; its log has the cause", "server_error"), dict(_NO_RETRY)


def route_not_found(method: str, path: str) -> ErrorReply:
    """For anything under `/v1` that is not there."""
    there = "this server has /v1/chat/completions and /v1/models"
    return 404, _body(f"there is no {method} {path[:_LONGEST_PATH]} ({there})", _INVALID), {}


def nothing_there(text: str) -> ErrorReply:
    """For a route whose capability is not available."""
    return 404, _body(text, _INVALID), {}


def method_not_allowed(method: str, path: str, allowed: Sequence[str]) -> ErrorReply:
    """For a path that is there, but not for this method."""
    methods = ", ".join(allowed)
    return 405, _body(f"{path[:_LONGEST_PATH]} does not take {method}, use {methods}", _INVALID), {"Allow": methods}


def _unavailable(
    error: OverloadedError | DeadlineExceededError | SourceError | ProviderError | StoreError,
) -> ErrorReply:
    """503 for all that may pass. A deadline too, not 504: the SDKs treat both alike, while proxies in front of us

    replace the body of a 504 with a page of their own, and the reader of the message gets nothing.
    """
    headers = _retry_after(getattr(error, "retry_after", None) or 1.0)
    passing = isinstance(error, (SourceUnavailableError, StoreUnavailableError))
    # An empty account is ours and not the caller's, so that it is no 429.
    if isinstance(error, (ProviderAuthError, ProviderQuotaError, SourceError, StoreError)) and not passing:
        headers |= _NO_RETRY
    # Third parties write these messages, and an upstream's address must not leak.
    message = _ADDRESS.sub("(address)", _say(error))
    return 503, _body(message, "server_error", None, "service_unavailable"), headers


def _say(error: TiloresError) -> str:
    """One line, since AnythingLLM and Open WebUI show it as it is."""
    return f"{error.message} ({error.fix})" if error.fix else error.message or "the request failed"


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, ceil(seconds)))}


def _body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
