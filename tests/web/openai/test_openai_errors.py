from __future__ import annotations

from collections.abc import Iterator

import pytest

from tilores_core import errors
from tilores_core.web.openai.errors import error_reply, method_not_allowed, route_not_found

INVALID = "invalid_request_error"
RETRY_1 = {"Retry-After": "1"}
NO_RETRY = {"x-should-retry": "false"}

TABLE = [
    (errors.InvalidRequestError("x", param="messages[0].role"), 400, INVALID, "messages[0].role", None, {}),
    (errors.UnsupportedParameterError("x", param="seed"), 400, INVALID, "seed", None, {}),
    (errors.ContextTooLongError("x", param="messages"), 400, INVALID, "messages", "context_length_exceeded", {}),
    (errors.UnknownModelError("x"), 404, INVALID, "model", "model_not_found", {}),
    (errors.AuthenticationError("x"), 401, INVALID, None, "invalid_api_key", {"WWW-Authenticate": "Bearer"}),
    (errors.PermissionDeniedError("x"), 403, INVALID, None, None, {}),
    (errors.PayloadTooLargeError("x"), 413, INVALID, None, None, {}),
    (errors.UnsupportedEncodingError("x", param="Content-Encoding"), 415, INVALID, "Content-Encoding", None, {}),
    (
        errors.RateLimitedError("x", retry_after=2.1),
        429,
        "rate_limit_error",
        None,
        "rate_limit_exceeded",
        {"Retry-After": "3"},
    ),
    (errors.OverloadedError("x", retry_after=0), 503, "server_error", None, "service_unavailable", RETRY_1),
    (errors.DeadlineExceededError("x"), 503, "server_error", None, "service_unavailable", RETRY_1),
    (errors.SourceUnavailableError("x"), 503, "server_error", None, "service_unavailable", RETRY_1),
    (errors.SourceError("x"), 503, "server_error", None, "service_unavailable", RETRY_1 | NO_RETRY),
    (errors.ProviderError("x", provider="p"), 503, "server_error", None, "service_unavailable", RETRY_1),
    (errors.ProviderUnavailableError("x", provider="p"), 503, "server_error", None, "service_unavailable", RETRY_1),
    (
        errors.ProviderRateLimitedError("x", provider="p", retry_after=7),
        503,
        "server_error",
        None,
        "service_unavailable",
        {"Retry-After": "7"},
    ),
    (
        errors.ProviderRateLimitedError("x", provider="p"),
        503,
        "server_error",
        None,
        "service_unavailable",
        RETRY_1,
    ),
    (
        errors.ProviderAuthError("x", provider="p"),
        503,
        "server_error",
        None,
        "service_unavailable",
        RETRY_1 | NO_RETRY,
    ),
    (
        errors.ProviderQuotaError("x", provider="p"),
        503,
        "server_error",
        None,
        "service_unavailable",
        RETRY_1 | NO_RETRY,
    ),
    (errors.StoreError("x"), 503, "server_error", None, "service_unavailable", RETRY_1 | NO_RETRY),
    (
        errors.StoreUnavailableError("x", retry_after=4),
        503,
        "server_error",
        None,
        "service_unavailable",
        {"Retry-After": "4"},
    ),
    (errors.ContentRefusedError("x", provider="p"), 400, INVALID, None, "content_filter", {}),
    (errors.ConfigError("x"), 500, "server_error", None, None, NO_RETRY),
    (errors.PluginError("x", plugin="p"), 500, "server_error", None, None, NO_RETRY),
    (errors.CacheError("x"), 500, "server_error", None, None, NO_RETRY),
    (errors.CacheStartingError("x"), 500, "server_error", None, None, NO_RETRY),
    (RuntimeError("x"), 500, "server_error", None, None, NO_RETRY),
    (errors.InvalidRequestError(""), 400, INVALID, None, None, {}),
]


@pytest.mark.parametrize(
    ("error", "status", "kind", "param", "code", "headers"), TABLE, ids=lambda value: type(value).__name__
)
def test_every_kind(
    error: Exception, status: int, kind: str, param: str | None, code: str | None, headers: dict[str, str]
) -> None:
    got, body, sent = error_reply(error)
    assert (got, sent) == (status, headers)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert (body["error"]["type"], body["error"]["param"], body["error"]["code"]) == (kind, param, code)


def _kinds(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def test_no_kind_is_forgotten() -> None:
    tested = {type(error) for error, *_ in TABLE}
    bases = {errors.TiloresError, errors.RequestError, errors._RetryLater}
    fatal = {errors.MissingDependencyError, errors.IncompatiblePluginError}
    elsewhere: set[type[Exception]] = {errors.AlertChannelError, errors.AlertRefusedError}  # on no chat route
    elsewhere |= {errors.DeployError, errors.DeploymentRefusedError, errors.BudgetSpentError}
    elsewhere |= {errors.ConflictError, errors.UnknownNameError, errors.NewerSchemaError, errors.UnstorableTextError}
    ours = {kind for kind in _kinds(errors.TiloresError) if kind.__module__ == errors.__name__}
    assert ours - bases - fatal - elsewhere <= tested


def test_the_message_is_one_line_with_the_mend() -> None:
    message = error_reply(errors.RateLimitedError("too many requests", fix="ask later"))[1]["error"]["message"]
    assert message == "too many requests (ask later)"


@pytest.mark.parametrize("error", [RuntimeError("secret 4711"), errors.ConfigError("secret 4711"), KeyError("4711")])
def test_faults_of_ours_are_not_quoted(error: Exception) -> None:
    assert "4711" not in error_reply(error)[1]["error"]["message"]


def test_upstream_addresses_are_not_shown() -> None:
    error = errors.ProviderUnavailableError("no answer from https://api.example.test/v1?k=1 in time", provider="p")
    assert error_reply(error)[1]["error"]["message"] == "no answer from (address) in time"


def test_unknown_route_and_wrong_method() -> None:
    status, body, headers = route_not_found("POST", "/v1/embeddings")
    assert (status, headers) == (404, {})
    assert body["error"] == {
        "message": "there is no POST /v1/embeddings (this server has /v1/chat/completions and /v1/models)",
        "type": INVALID,
        "param": None,
        "code": None,
    }
    status, body, headers = method_not_allowed("GET", "/v1/chat/completions", ["POST"])
    assert (status, headers) == (405, {"Allow": "POST"})
    assert body["error"]["type"] == INVALID
    assert len(route_not_found("GET", "/" + "x" * 5000)[1]["error"]["message"]) < 300
