"""Errors of both protocols as a table, made by asking the code that answers them."""

from __future__ import annotations

from typing import Any

from tilores_core import errors
from tilores_core.errors import TiloresError
from tilores_core.web.langserve.errors import error_reply as langserve_reply
from tilores_core.web.openai.errors import error_reply as openai_reply

CASES: tuple[tuple[str, Exception], ...] = (
    ("a field is wrong, or a limit on messages is passed", errors.InvalidRequestError("text", param="messages")),
    ("the model cannot do what a parameter asks", errors.UnsupportedParameterError("text", param="tools")),
    ("the conversation does not fit the model", errors.ContextTooLongError("text", param="messages")),
    ("the provider refuses the content", errors.ContentRefusedError("text", provider="p")),
    ("no key, or a wrong one", errors.AuthenticationError("text")),
    ("the key may not do that", errors.PermissionDeniedError("text")),
    ("there is no such model", errors.UnknownModelError("text")),
    ("the body is larger than `max_body_bytes`", errors.PayloadTooLargeError("text")),
    ("the body is compressed, and not by gzip or deflate", errors.UnsupportedEncodingError("text")),
    ("more than `TILORES_RATE_LIMIT` with this key", errors.RateLimitedError("text", retry_after=1)),
    ("more than `max_concurrent` at once", errors.OverloadedError("text", retry_after=1)),
    ("the customer source does not answer", errors.SourceUnavailableError("text", retry_after=1)),
    ("the customer source failed", errors.SourceError("text")),
    ("the model's provider is busy", errors.ProviderRateLimitedError("text", provider="p", retry_after=1)),
    ("our account at the model's provider is used up", errors.ProviderQuotaError("text", provider="p")),
    ("the model's provider does not answer", errors.ProviderUnavailableError("text", provider="p")),
    ("the model's provider refuses our key", errors.ProviderAuthError("text", provider="p")),
    ("longer than `deadline_seconds`", errors.DeadlineExceededError("text", retry_after=1)),
    ("a fault of the server", RuntimeError("text")),
)
# Start-up or the inside: no request meets them.
NOT_ANSWERED = frozenset(
    {
        "TiloresError",
        "ConfigError",
        "PluginError",
        "MissingDependencyError",
        "IncompatiblePluginError",
        "RequestError",
        "ProviderError",
        "CacheError",
        "CacheStartingError",
        "AlertChannelError",
        "DeployError",
        "BudgetSpentError",
        "AlertRefusedError",
        "StoreError",
        "NewerSchemaError",
        "StoreUnavailableError",
        "UnstorableTextError",
        "DeploymentRefusedError",
        "UnknownNameError",
        "ConflictError",
    }
)


def error_table() -> str:
    lines = ["| what | `/chat` | `/v1` | `code` there | `Retry-After` |", "| --- | --- | --- | --- | --- |"]
    for what, error in CASES:
        chat_status, _, chat_headers = langserve_reply(error)
        status, body, headers = openai_reply(error)
        code = body["error"]["code"]
        lines.append(
            f"| {what} | {chat_status} | {status} | {f'`{code}`' if code else ''} | "
            f"{_where(chat_headers, headers)} |".replace("|  |", "| |")
        )
    return "\n".join(lines)


def unnamed_errors() -> set[str]:
    """Public errors that the table does not have and should."""
    known = {type(error).__name__ for _, error in CASES} | NOT_ANSWERED
    ours: set[Any] = {value for value in vars(errors).values() if isinstance(value, type)}
    public = {kind.__name__ for kind in ours if issubclass(kind, TiloresError) and not kind.__name__.startswith("_")}
    return public - known


def _where(chat: dict[str, str], v1: dict[str, str]) -> str:
    places = [name for name, headers in (("`/chat`", chat), ("`/v1`", v1)) if "Retry-After" in headers]
    return "yes" if len(places) == 2 else ", ".join(places)
