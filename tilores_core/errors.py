"""Every error of tilores-core, one tree.

    TiloresError
    ├── ConfigError                 settings or plugins.toml; start-up stops
    ├── PluginError                 one plugin; names it, its distribution and version
    │   ├── MissingDependencyError  a library that the plugin needs is not installed
    │   └── IncompatiblePluginError made for another version of the host
    ├── RequestError                the caller can correct it
    │   ├── InvalidRequestError     a field is wrong; `param` names it
    │   │   ├── UnknownNameError            nothing has the name that it gives
    │   │   ├── ConflictError               it does not fit what is there by now
    │   │   ├── UnsupportedParameterError   the chosen model cannot do that
    │   │   ├── UnsupportedEncodingError    the body is compressed in another way than by gzip
    │   │   └── ContextTooLongError         the prompt does not fit the model
    │   ├── UnknownModelError
    │   ├── AuthenticationError     no key, or a wrong one
    │   ├── PermissionDeniedError   the key is valid, and may not do this
    │   ├── PayloadTooLargeError
    │   ├── RateLimitedError        too many requests with this key; `retry_after` seconds
    │   └── DeploymentRefusedError  a prompt version did not pass its checks
    ├── OverloadedError             too many requests altogether; `retry_after` seconds
    ├── DeadlineExceededError       the request took too long
    ├── SourceError                 the customer source failed
    │   └── SourceUnavailableError  … a retry may help
    ├── ProviderError               a model provider failed
    │   ├── ProviderAuthError       its key is missing or refused
    │   ├── ProviderRateLimitedError
    │   │   └── ProviderQuotaError  … the account is used up: a retry does not help
    │   ├── ProviderUnavailableError
    │   └── ContentRefusedError     the provider refuses this content
    ├── AlertChannelError           an alert channel takes nothing now; `retry_after` seconds where it says so
    │   └── AlertRefusedError       … it refuses this notice
    ├── DeployError                 a platform to deploy to refuses, fails or does not answer
    ├── StoreError                  durable state: the database is wrong, full, or made by a newer version
    │   ├── NewerSchemaError        … a newer version of the program has migrated it
    │   └── StoreUnavailableError   … the database does not answer now; `retry_after` seconds
    ├── BudgetSpentError            the next call would be more than a budget allows
    └── CacheError                  a cache tier failed (callers never see it)
        └── CacheStartingError      … it has just started and does not answer yet

A message says what happened, to which thing, and, in `fix`, what to do about it. Nothing here carries a
customer's data or a secret, so that every message may be logged.
"""

from __future__ import annotations

from typing import Any


class TiloresError(Exception):
    """Root of the tree. `fix` is one sentence that says what to do, or None."""

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix:  {self.fix}" if self.fix else self.message


class ConfigError(TiloresError):
    """A setting is wrong. `where` names the file and key, or the variable."""

    def __init__(self, message: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(f"{where}: {message}" if where else message, fix=fix)
        self.where = where


class PluginError(TiloresError):
    """One plugin cannot be used."""

    def __init__(
        self,
        message: str,
        *,
        plugin: str,
        distribution: str | None = None,
        version: str | None = None,
        fix: str | None = None,
    ) -> None:
        origin = f" ({distribution} {version})" if distribution else ""
        super().__init__(f"plugin '{plugin}'{origin}: {message}", fix=fix)
        self.plugin = plugin
        self.distribution = distribution
        self.version = version


class MissingDependencyError(PluginError):
    """A library that the plugin needs is not installed; `fix` holds the command."""


class IncompatiblePluginError(PluginError):
    """The plugin's distribution asks for another version of tilores-core."""


class RequestError(TiloresError):
    """The request cannot be served as it is; another one can."""


class InvalidRequestError(RequestError):
    """A field of the request is wrong. `param` is its path, e.g. `messages[0].role`."""

    def __init__(self, message: str, *, param: str | None = None, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.param = param


class UnsupportedEncodingError(InvalidRequestError):
    """The body is compressed in a way that is not understood here."""


class UnknownNameError(InvalidRequestError):
    """What the request names is not there; `fix` says what is, or where to look."""


class ConflictError(InvalidRequestError):
    """What is asked for does not fit the present state; `fix` says how to look at it."""


class UnsupportedParameterError(InvalidRequestError):
    """The chosen model cannot do what `param` asks for."""


class ContextTooLongError(InvalidRequestError):
    """Prompt and records do not fit the model's context window."""


class UnknownModelError(RequestError):
    """No active provider knows the model."""


class AuthenticationError(RequestError):
    """No key, or a wrong one."""


class PermissionDeniedError(RequestError):
    """The key is valid and may not do this."""


class PayloadTooLargeError(RequestError):
    """The body is larger than the limit."""


class _RetryLater(TiloresError):
    def __init__(self, message: str, *, retry_after: float = 1.0, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after


class RateLimitedError(RequestError, _RetryLater):
    """Too many requests with this key; `retry_after` in seconds."""


class DeploymentRefusedError(RequestError):
    """A prompt version did not pass its checks. `checks`: all that were made, see `tilores_core.release.Check`."""

    def __init__(self, message: str, *, checks: tuple[Any, ...] = (), fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.checks = checks


class OverloadedError(_RetryLater):
    """The server has as many requests as it can take; `retry_after` in seconds."""


class DeadlineExceededError(_RetryLater):
    """The request took longer than its deadline."""


class SourceError(TiloresError):
    """The customer source failed and a retry will not help."""


class SourceUnavailableError(SourceError, _RetryLater):
    """The customer source does not answer now; `retry_after` in seconds."""


class ProviderError(TiloresError):
    """A model provider failed. `provider` is its name."""

    def __init__(self, message: str, *, provider: str, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.provider = provider


class ProviderAuthError(ProviderError):
    """The provider's key is missing or was refused."""


class ProviderRateLimitedError(ProviderError):
    """The provider asks for fewer calls; `retry_after` in seconds where it says so."""

    def __init__(
        self, message: str, *, provider: str, retry_after: float | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message, provider=provider, fix=fix)
        self.retry_after = retry_after


class ProviderQuotaError(ProviderRateLimitedError):
    """The account at the provider is used up; `retry_after` is None, as a retry does not help."""


class ProviderUnavailableError(ProviderError):
    """The provider does not answer, or not in time."""


class ContentRefusedError(ProviderError):
    """The provider refuses the content; a retry will not help."""


class AlertChannelError(TiloresError):
    """An alert channel takes no notice now. `retry_after`: seconds to wait where its receiver says so, else None."""

    def __init__(self, message: str, *, retry_after: float | None = None, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after


class AlertRefusedError(AlertChannelError):
    """The receiver refuses this notice, not the others."""


class DeployError(TiloresError):
    """A platform to deploy to refuses, fails or does not answer."""


class BudgetSpentError(TiloresError):
    """The next call would go beyond what may be spent in calls, tokens, money or time. It was not made."""


class StoreError(TiloresError):
    """Durable state cannot be read or written, and a retry will not help."""


class NewerSchemaError(StoreError):
    """A newer version of this program has migrated the database: this one must not use it."""


class UnstorableTextError(StoreError):
    """A text that no column takes: too long, or with a zero byte."""


class StoreUnavailableError(StoreError, _RetryLater):
    """The database does not answer, or not in time; `retry_after` in seconds.

    `perhaps_done`: a write failed while it was committed. The reply was lost, not necessarily the write.
    """

    perhaps_done = False


class CacheError(TiloresError):
    """A cache tier failed. The cache counts it and continues without the tier."""


class CacheStartingError(CacheError):
    """A cache tier is starting. A server continues without it; a command waits a little."""


def is_perhaps_done(error: BaseException) -> bool:
    """Whether what was to be added may have been added: adding it again could count it twice."""
    return isinstance(error, StoreUnavailableError) and error.perhaps_done


def error_code(error: BaseException) -> str:
    """A short stable word for an error, for outcomes, metrics and logs: `SourceUnavailableError` gives
    `source_unavailable`. Errors that are not of this tree are `internal`, or `cancelled`."""
    name = type(error).__name__.removesuffix("Error")
    if not isinstance(error, TiloresError):
        return "cancelled" if name in ("Cancelled", "GeneratorExit") else "internal"
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
