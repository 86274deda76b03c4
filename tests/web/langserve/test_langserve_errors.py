from __future__ import annotations

import pytest

from tilores_core import errors as e
from tilores_core.web.langserve.errors import error_reply, location

SECRET = "sk-123 at 10.0.0.7 for Edwina"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (e.AuthenticationError("a key is needed"), 401, None),
        (e.PermissionDeniedError("this key must give customer_id"), 403, None),
        (e.PayloadTooLargeError("too large"), 413, None),
        (e.RateLimitedError("slow down", retry_after=2.1), 429, "3"),
        (e.OverloadedError("full", retry_after=0), 503, "1"),
        (e.SourceUnavailableError(SECRET, retry_after=5), 503, "5"),
        (e.ProviderUnavailableError(SECRET, provider="demo"), 503, "1"),
        (e.ProviderRateLimitedError(SECRET, provider="demo", retry_after=7), 503, "7"),
        (e.ProviderRateLimitedError(SECRET, provider="demo"), 503, None),
        (e.ProviderAuthError(SECRET, provider="demo"), 503, None),
        (e.ProviderQuotaError(SECRET, provider="demo"), 503, None),
        (e.StoreError(SECRET), 503, None),
        (e.StoreUnavailableError(SECRET, retry_after=3), 503, "3"),
        (e.ContentRefusedError("it is about weapons", provider="demo"), 422, None),
        (e.DeadlineExceededError(SECRET), 504, "1"),
        (e.ProviderError(SECRET, provider="demo"), 500, None),
        (e.SourceError(SECRET), 503, None),
        (e.CacheError(SECRET), 500, None),
        (e.ConfigError(SECRET), 500, None),
        (ValueError(SECRET), 500, None),
        (TimeoutError(), 500, None),
    ],
)
def test_statuses(error: Exception, status: int, retry_after: str | None) -> None:
    answered, body, headers = error_reply(error)
    assert answered == status
    assert headers.get("Retry-After") == retry_after
    assert set(body) == {"detail", "message"}
    assert SECRET not in str(body)
    assert body["message"]


def test_an_empty_account_is_not_called_busy() -> None:
    assert "out of credit" in error_reply(e.ProviderQuotaError(SECRET, provider="demo"))[1]["message"]


def test_unknown_errors_say_nothing() -> None:
    assert error_reply(KeyError("x")) == (
        500,
        {"detail": "Internal Server Error", "message": "Internal Server Error"},
        {},
    )


def test_why_content_was_refused_is_told() -> None:
    _, body, _ = error_reply(e.ContentRefusedError("OpenAI refuses the content: violence", provider="openai"))
    assert body["message"] == "OpenAI refuses the content: violence; change the question"


def test_a_missing_key_is_asked_for() -> None:
    assert error_reply(e.AuthenticationError("no key", fix="send Authorization: Bearer …")) == (
        401,
        {
            "detail": "no key; send Authorization: Bearer …",
            "message": "no key; send Authorization: Bearer …",
        },
        {"WWW-Authenticate": "Bearer"},
    )


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (
            e.InvalidRequestError("unknown role", param="input.messages[2].role"),
            {"type": "value_error", "loc": ["input", "messages", 2, "role"], "msg": "unknown role"},
        ),
        (
            e.UnsupportedParameterError("no tools", param="tools", fix="use another model"),
            {"type": "unsupported_parameter", "loc": ["tools"], "msg": "no tools; use another model"},
        ),
        (e.ContextTooLongError("too long"), {"type": "context_too_long", "loc": ["body"], "msg": "too long"}),
        (
            e.UnknownModelError("no such model"),
            {"type": "unknown_model", "loc": ["config", "configurable", "model"], "msg": "no such model"},
        ),
    ],
)
def test_a_wrong_field_is_named(error: Exception, detail: dict[str, object]) -> None:
    status, body, _ = error_reply(error)
    assert (status, body["detail"]) == (422, [detail])
    assert str(detail["msg"]) in body["message"]


def test_location() -> None:
    assert location("inputs[0][1].content[3]") == ["inputs", 0, 1, "content", 3]
    assert location(None) == ["body"]
