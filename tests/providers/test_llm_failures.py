"""What an SDK raises, and what becomes of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from tilores_core import (
    ContentRefusedError,
    ContextTooLongError,
    InvalidRequestError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    UnknownModelError,
    UnsupportedParameterError,
)
from tilores_core.llm import error_of, parse_retry_after

PROMPT = "Edwina Hawthorne owes 4711 dollars"


class StatusError(Exception):
    """As the SDKs of OpenAI, Anthropic and Groq have it."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None, message: str = "") -> None:
        super().__init__(message or f"Error code: {status} - {body}")
        self.status_code = status
        self.body = body
        self.response = httpx.Response(status, headers=headers, request=httpx.Request("POST", "http://x"))


def mapped(error: Exception) -> Exception:
    return error_of(error, provider="acme", title="Acme", key_variable="ACME_API_KEY")


def openai(message: str = PROMPT, **body: Any) -> dict[str, Any]:
    return {"message": message, "type": "invalid_request_error", "param": None, "code": None, **body}


CASES: list[tuple[int, Any, type[Exception]]] = [
    *((400, body, ContextTooLongError) for body in (
        {"error": "Input validation error: `inputs` must have less than 8192 tokens. Given: 9000"},
        {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072"},
        openai("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
        {"message": "Input is too long for requested model."},
        openai("Range of input length should be [1, 30720]"),
        openai("Prompt exceeds max length", code="1261"),
        openai("Your request exceeded model token limit: 131072"),
    )),
    *((400, body, ContentRefusedError) for body in (
        openai("Output data may contain inappropriate content.", code="data_inspection_failed"),
        openai("the output text may contain sensitive information", code="OutputTextSensitiveContentDetected"),
        openai("x", code="1301"),
        {"error": {"code": None, "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        {"error": {"code": None, "inner_error": {"code": "ResponsibleAIPolicyViolation"}}},
        openai("Provider returned error", metadata={"raw": '{"error": {"code": "content_filter"}}'}),
    )),
    (400, openai("Provider returned error", metadata={"raw": '{"message": "maximum context length is 9"}'}),
     ContextTooLongError),
    (500, openai("the request exceeds the available context size"), ContextTooLongError),
    (413, "<html>too large</html>", ContextTooLongError),
    (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines."},
     ContentRefusedError),
    (403, {"code": "exhausted", "error": "Your new team doesn't have any credits yet."}, ProviderQuotaError),
    (400, {"code": "Arrearage", "message": "make sure your account is in good standing"}, ProviderQuotaError),
    (400, {"__type": "ThrottlingException", "message": "Too many requests"}, ProviderRateLimitedError),
    *((400, openai(code=code), ProviderUnavailableError) for code in ("json_validate_failed", "output_parse_failed")),
    (424, {"error": "Request failed during generation", "error_type": "generation"}, ProviderUnavailableError),
    (403, openai("Country, region, or territory not supported", code="unsupported_country"), ProviderError),
    (498, openai("Flex tier capacity exceeded"), ProviderUnavailableError),
    (401, openai(code="invalid_api_key"), ProviderAuthError),
    (403, openai(type="permission_error"), ProviderAuthError),
    (400, openai("API key not valid. Please pass a valid API key."), ProviderAuthError),
    (402, openai(), ProviderQuotaError),
    (429, openai(code="insufficient_quota", type="insufficient_quota"), ProviderQuotaError),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
     ProviderQuotaError),
    (429, openai(code="rate_limit_exceeded"), ProviderRateLimitedError),
    (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota"}},
     ProviderRateLimitedError),
    (413, {"error": {"code": "rate_limit_exceeded", "message": "Request too large for model, tokens per minute"}},
     ProviderRateLimitedError),
    (404, openai(code="model_not_found"), UnknownModelError),
    *((404, body, UnknownModelError) for body in (
        openai("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
        {"object": "error", "message": "The model `x` does not exist.", "code": 404},
    )),
    *((400, openai(text, code=code), UnknownModelError) for text, code in (
        ("Invalid model name passed in model=x.", "400"), ("none", "1211"), ("x is not a valid model ID", 400),
    )),
    # What is not about the request: an address that is wrong, an account, what stands before the server.
    *((404, body, ProviderError) for body in (
        "page not found", {"detail": "Not Found"}, openai("Resource not found", code="404"), None,
        openai("No endpoints found matching your data policy.", code=404),
        openai("No allowed providers are available for the selected model.", code=404),
    )),
    *((status, None, ProviderError) for status in (405, 407, 410, 415, 421, 431)),
    *((status, None, ProviderUnavailableError) for status in (423, 460, 494)),
    (400, openai(code="html_page"), ProviderError),
    (412, openai("suspended, possibly due to reaching the monthly spending limit"), ProviderQuotaError),
    (400, openai("You have reached your specified API usage limits."), ProviderQuotaError),
    (400, openai("Budget has been exceeded!", type="budget_exceeded"), ProviderQuotaError),
    (400, {"code": "invalid argument", "error": "Incorrect API key provided: x***."}, ProviderAuthError),
    *((400, body, ProviderUnavailableError) for body in (
        {"status": 400, "detail": "DEGRADED function cannot be invoked"}, {"error": "Model unloaded."},
        openai("Error from provider: Upstream request failed", code="invalid_request_error"),
        openai("EngineCore encountered an issue. See stack trace", type="BadRequestError"),
        {"detail": "An error occurred (ThrottlingException) when calling the Converse operation: Too many requests"},
    )),
    (400, {"message": "Too many tokens, please wait before trying again."}, ProviderRateLimitedError),
    (400, openai("Model Not Exist"), UnknownModelError),
    (400, {"error": {"message": "nobody/nothing is not a valid model ID", "code": 400}}, UnknownModelError),
    (400, openai(code="context_length_exceeded", param="messages"), ContextTooLongError),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens"}},
     ContextTooLongError),
    (400, {"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number of tokens"}},
     ContextTooLongError),
    (400, openai("too large for this model's context window", param="max_tokens"), InvalidRequestError),
    (400, openai(code="content_filter"), ContentRefusedError),
    (400, openai("Content Exists Risk"), ContentRefusedError),
    (403, {"error": {"code": 403, "message": "requires moderation", "metadata": {"reasons": ["violence"]}}},
     ContentRefusedError),
    (400, openai(code="unsupported_value", param="temperature"), UnsupportedParameterError),
    (400, openai(param="tools[0].function.name"), InvalidRequestError),
    (422, {"detail": [{"loc": ["body", "top_p"], "msg": PROMPT}]}, InvalidRequestError),
    (500, openai(type="server_error"), ProviderUnavailableError),
    (503, "<html>busy</html>", ProviderUnavailableError),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": PROMPT}}, ProviderUnavailableError),
    (408, None, ProviderUnavailableError),
    (400, openai(code="tool_use_failed"), ProviderUnavailableError),
    (308, None, ProviderError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind"), CASES)
def test_a_status_and_a_body_are_one_of_our_errors(status: int, body: Any, kind: type[Exception]) -> None:
    error = mapped(StatusError(status, body))
    assert type(error) is kind
    if kind is not ContentRefusedError:
        assert PROMPT not in str(error)
        assert "4711" not in str(error)


def test_the_parameter_is_named() -> None:
    error = mapped(StatusError(400, openai(code="unsupported_parameter", param="temperature")))
    assert isinstance(error, UnsupportedParameterError)
    assert error.param == "temperature"


def test_a_parameter_that_is_no_path_is_not_repeated() -> None:
    error = mapped(StatusError(400, openai(param=PROMPT)))
    assert isinstance(error, InvalidRequestError)
    assert error.param is None


def test_the_reason_of_a_refusal_is_its_first_line_and_short() -> None:
    error = mapped(StatusError(400, openai(f"{'why ' * 100}\nsecond line", code="content_filter")))
    assert isinstance(error, ContentRefusedError)
    assert "why why" in error.message
    assert "second" not in error.message
    assert len(error.message) < 260


def test_what_moderation_objected_to_is_named() -> None:
    body = {
        "message": "requires moderation",
        "code": 403,
        "metadata": {"reasons": ["violence"], "flagged_input": PROMPT},
    }
    error = mapped(StatusError(403, body))
    assert "violence" in str(error)
    assert PROMPT not in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e12"}, 86_400.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    error = mapped(StatusError(429, openai(), headers))
    assert isinstance(error, ProviderRateLimitedError)
    assert error.retry_after == seconds


def test_how_long_to_wait_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (parse_retry_after({"retry-after": later}) or 0) <= 30
    assert parse_retry_after({"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}) == 0


def test_how_long_to_wait_until_a_date_without_a_zone_is_read_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30)).replace("+0000", "-0000")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert 25 < (parse_retry_after({"retry-after": later}) or 0) <= 30
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_empty_account_is_not_worth_a_retry() -> None:
    error = mapped(StatusError(429, openai(code="insufficient_quota"), {"retry-after": "1"}))
    assert isinstance(error, ProviderQuotaError)
    assert error.retry_after is None


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError("peer"),
        httpx.ReadTimeout("slow"),
        httpx.ConnectError("refused"),
        httpx.RemoteProtocolError("cut"),
        httpx.ReadError("cut"),
    ],
)
def test_no_answer_at_all_is_unavailable(error: Exception) -> None:
    assert type(mapped(error)) is ProviderUnavailableError


def test_no_json_is_unavailable() -> None:
    with pytest.raises(ValueError, match="Expecting value") as caught:
        httpx.Response(200, text="<html>").json()
    assert type(mapped(caught.value)) is ProviderUnavailableError


def test_the_cause_counts_where_the_exception_says_nothing() -> None:
    class WrappedError(Exception):
        pass

    try:
        try:
            raise StatusError(429, openai(), {"retry-after": "4"})
        except StatusError as cause:
            raise WrappedError(PROMPT) from cause
    except WrappedError as error:
        found = mapped(error)
    assert isinstance(found, ProviderRateLimitedError)
    assert found.retry_after == 4


def test_anything_else_is_a_provider_error_without_its_text() -> None:
    error = mapped(RuntimeError(PROMPT))
    assert type(error) is ProviderError
    assert PROMPT not in str(error)
    assert error.provider == "acme"


def test_the_variable_of_the_key_is_named() -> None:
    assert "ACME_API_KEY" in str(mapped(StatusError(401, None)))
