"""Errors in the shape LangServe's clients expect.

Every body is a JSON object with `detail` (what the Python client appends to its error) and `message` (the only
key the JavaScript client shows).
"""

from __future__ import annotations

import math
import re
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
    UnsupportedEncodingError,
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
    if isinstance(error, InvalidJsonError):
        return 422, {"detail": [error.message], "message": error.message}, {}
    if isinstance(error, ContentRefusedError):  # the provider's own reason, which only the caller can mend
        return _field("content_refused", "input", f"{error.message}; change the question", shows_path=False)
    for kind, status, text in _STATUS:
        if isinstance(error, kind):
            text = text or _own_text(error)
            return status, {"detail": text, "message": text}, _headers(error)
    for kind, name, param in _FIELDS:
        if isinstance(error, kind):
            return _field(name, param or getattr(error, "param", None), _own_text(error))
    return 500, {"detail": INTERNAL, "message": INTERNAL}, {}


def _own_text(error: TiloresError) -> str:
    return f"{error.message}; {error.fix}" if error.fix else error.message


def _headers(error: TiloresError) -> dict[str, str]:
    if isinstance(error, AuthenticationError):
        return {"WWW-Authenticate": "Bearer"}
    seconds = 1.0 if isinstance(error, ProviderUnavailableError) else getattr(error, "retry_after", None)
    return {"Retry-After": str(max(1, math.ceil(seconds)))} if seconds is not None else {}


def _field(kind: str, path: str | None, text: str, *, shows_path: bool = True) -> ErrorReply:
    """422 that names the field."""
    detail = [{"type": kind, "loc": location(path), "msg": text}]
    return 422, {"detail": detail, "message": f"{path}: {text}" if path and shows_path else text}, {}


def location(param: str | None) -> list[str | int]:
    """`input.messages[2].content` as `["input", "messages", 2, "content"]`; without a field, the body."""
    if not param:
        return ["body"]
    return [int(step) if step.isdecimal() else step for step in _STEP.findall(param)]


# Of both tables the first kind that fits counts. Without a text, it is the error's own.
_STATUS: Final[tuple[tuple[type[TiloresError], int, str], ...]] = (
    (ConfigHashError, 400, ""),
    (ConfigCountError, 422, ""),
    (AuthenticationError, 401, ""),
    (PermissionDeniedError, 403, ""),
    (PayloadTooLargeError, 413, ""),
    (UnsupportedEncodingError, 415, ""),
    (RateLimitedError, 429, ""),
    (OverloadedError, 503, ""),
    (SourceUnavailableError, 503, "The customer data cannot be reached at the moment; try again later"),
    (SourceError, 503, "The customer data cannot be reached"),
    (StoreUnavailableError, 503, "The server's database cannot be reached at the moment; try again later"),
    (StoreError, 503, "The server's database cannot be used"),
    (ProviderQuotaError, 503, "The model cannot be used: the account at its provider is out of credit"),
    (ProviderRateLimitedError, 503, "The model is busy at the moment; try again later"),
    (ProviderUnavailableError, 503, "The model does not answer at the moment; try again later"),
    (ProviderAuthError, 503, "The model cannot be used: its provider's key is missing or was refused"),
    (DeadlineExceededError, 504, "The answer took too long"),
)
_FIELDS: Final[tuple[tuple[type[TiloresError], str, str | None], ...]] = (
    (MissingFieldError, "missing", None),
    (UnsupportedParameterError, "unsupported_parameter", None),
    (ContextTooLongError, "context_too_long", None),
    (InvalidRequestError, "value_error", None),
    (UnknownModelError, "unknown_model", "config.configurable.model"),
)
