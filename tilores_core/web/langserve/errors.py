"""Errors in the shape LangServe's clients expect.

Every body is a JSON object with `detail` (what the Python client appends to its error) and `message` (the only
key the JavaScript client shows).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

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
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceError,
    SourceUnavailableError,
    StoreError,
    StoreUnavailableError,
    TiloresError,
    UnknownModelError,
    UnsupportedParameterError,
)

ErrorReply: TypeAlias = tuple[int, dict[str, Any], dict[str, str]]

INTERNAL: Final = "Internal Server Error"

_STEP = re.compile(r"[^.\[\]]+")


class InvalidJsonError(InvalidRequestError):
    """The body is not JSON."""

    def __init__(self) -> None:
        super().__init__("Invalid JSON body")


class MissingFieldError(InvalidRequestError):
    """A field that must be there is not."""


class ConfigCountError(InvalidRequestError):
    """A batch came with a list of configs that is not as long as its list of inputs."""

    def __init__(self, configs: int, inputs: int) -> None:
        super().__init__(f"Number of configs ({configs}) must match number of inputs ({inputs})", param="config")


class ConfigHashError(InvalidRequestError):
    """The config in the path cannot be unpacked."""

    def __init__(self) -> None:
        super().__init__("Invalid config hash")


def error_reply(error: Exception) -> ErrorReply:
    """Status, JSON body and extra headers for any exception.

    Errors the caller can mend keep their text; all others show their kind only, so no
    internals, secret or customer's data can leak.
    """
    for kind, answer in _ANSWERS:
        if isinstance(error, kind):
            return answer(error)
    return _plain(500, INTERNAL)


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> ErrorReply:
    return status, {"detail": text, "message": text}, headers or {}


def _own_text(error: Any) -> str:
    return f"{error.message}; {error.fix}" if error.fix else str(error.message)


def _make_responder(status: int, headers: dict[str, str] | None = None) -> Callable[[Any], ErrorReply]:
    return lambda error: _plain(status, _own_text(error), headers)


def _field(kind: str, param: str | None = None) -> Callable[[Any], ErrorReply]:
    """422 that names the field: `param`, or the error's own."""

    def answer(error: Any) -> ErrorReply:
        text = _own_text(error)
        path = param or error.param
        detail = [{"type": kind, "loc": location(path), "msg": text}]
        return 422, {"detail": detail, "message": f"{path}: {text}" if path else text}, {}

    return answer


def _later(status: int, text: str | None = None) -> Callable[[Any], ErrorReply]:
    def answer(error: Any) -> ErrorReply:
        seconds = error.retry_after
        headers = {"Retry-After": str(max(1, math.ceil(seconds)))} if seconds is not None else {}
        return _plain(status, text or _own_text(error), headers)

    return answer


def location(param: str | None) -> list[str | int]:
    """`input.messages[2].content` as `["input", "messages", 2, "content"]`; without a field, the body."""
    if not param:
        return ["body"]
    return [int(step) if step.isdecimal() else step for step in _STEP.findall(param)]


def _invalid_json(error: Any) -> ErrorReply:
    return 422, {"detail": [error.message], "message": error.message}, {}


def _provider_unavailable(error: Any) -> ErrorReply:
    return _plain(503, "The model does not answer at the moment; try again later", {"Retry-After": "1"})


def _provider_auth(error: Any) -> ErrorReply:
    return _plain(503, "The model cannot be used: its provider's key is missing or was refused")


def _provider_quota(error: Any) -> ErrorReply:
    return _plain(503, "The model cannot be used: the account at its provider is out of credit")


def _refuse(error: Any) -> ErrorReply:
    text = f"{error.message}; change the question"  # the provider's own reason, which only the caller can mend
    return 422, {"detail": [{"type": "content_refused", "loc": ["input"], "msg": text}], "message": text}, {}


# The most specific kind first: the first that fits answers.
_ANSWERS: Final[tuple[tuple[type[TiloresError], Callable[[Any], ErrorReply]], ...]] = (
    (InvalidJsonError, _invalid_json),
    (ConfigHashError, _make_responder(400)),
    (ConfigCountError, lambda error: _plain(422, error.message)),
    (MissingFieldError, _field("missing")),
    (UnsupportedParameterError, _field("unsupported_parameter")),
    (ContextTooLongError, _field("context_too_long")),
    (InvalidRequestError, _field("value_error")),
    (UnknownModelError, _field("unknown_model", "config.configurable.model")),
    (AuthenticationError, _make_responder(401, {"WWW-Authenticate": "Bearer"})),
    (PermissionDeniedError, _make_responder(403)),
    (PayloadTooLargeError, _make_responder(413)),
    (RateLimitedError, _later(429)),
    (OverloadedError, _later(503)),
    (SourceUnavailableError, _later(503, "The customer data cannot be reached at the moment; try again later")),
    (SourceError, lambda error: _plain(503, "The customer data cannot be reached")),
    (StoreUnavailableError, _later(503, "The server's database cannot be reached at the moment; try again later")),
    (StoreError, lambda error: _plain(503, "The server's database cannot be used")),
    (ProviderQuotaError, _provider_quota),
    (ProviderRateLimitedError, _later(503, "The model is busy at the moment; try again later")),
    (ProviderUnavailableError, _provider_unavailable),
    (ProviderAuthError, _provider_auth),
    (ContentRefusedError, _refuse),
    (DeadlineExceededError, _later(504, "The answer took too long")),
)
