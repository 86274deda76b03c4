"""Every error of tilores-core, one tree.

    TiloresError
    ├── ConfigError                 settings or plugins.toml; start-up stops
    ├── PluginError                 one plugin; names it, its distribution and version
    │   ├── MissingDependencyError  the plugin is fine, a library it needs is not installed
    │   └── IncompatiblePluginError made for another version of the host
    ├── RequestError                the caller can mend it
    │   ├── InvalidRequestError     a field is wrong; `param` names it
    │   │   ├── UnsupportedParameterError   the chosen model cannot do that
    │   │   └── ContextTooLongError         the prompt does not fit the model
    │   ├── UnknownModelError
    │   ├── AuthenticationError     no key, or a wrong one
    │   ├── PermissionDeniedError   the key is good, the thing is not for it
    │   ├── PayloadTooLargeError
    │   └── RateLimitedError        too much from this key; `retry_after` seconds
    ├── OverloadedError             too much from everybody; `retry_after` seconds
    ├── DeadlineExceededError       the time for this request is over
    ├── SourceError                 the customer source failed
    │   └── SourceUnavailableError  … and may work again in a moment
    ├── ProviderError               a model provider failed
    │   ├── ProviderAuthError       its key is missing or refused
    │   ├── ProviderRateLimitedError
    │   │   └── ProviderQuotaError  … until somebody pays: asking again does not help
    │   ├── ProviderUnavailableError
    │   └── ContentRefusedError     the provider will not answer this
    ├── StoreError                  durable state: the database is wrong, full, or made by a newer version
    │   └── StoreUnavailableError   … or does not answer now; `retry_after` seconds
    └── CacheError                  a cache tier failed (callers never see it)

A message says what happened, to which thing, and, in `fix`, what to do about it. Nothing here carries a
customer's data or a secret, so that every message may be logged.
"""

from __future__ import annotations


class TiloresError(Exception):
    """Root of the tree. `fix` is one sentence a person can act on, or None."""

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


class UnsupportedParameterError(InvalidRequestError):
    """The chosen model cannot do what `param` asks for."""


class ContextTooLongError(InvalidRequestError):
    """Prompt and records do not fit the model's context window."""


class UnknownModelError(RequestError):
    """No active provider knows the model."""


class AuthenticationError(RequestError):
    """No key, or a wrong one."""


class PermissionDeniedError(RequestError):
    """The key is valid but not for this."""


class PayloadTooLargeError(RequestError):
    """The body is larger than the limit."""


class _RetryLater(TiloresError):
    def __init__(self, message: str, *, retry_after: float = 1.0, fix: str | None = None) -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after


class RateLimitedError(RequestError, _RetryLater):
    """This key asked too often; `retry_after` in seconds."""


class OverloadedError(_RetryLater):
    """The server is full; `retry_after` in seconds."""


class DeadlineExceededError(_RetryLater):
    """The time that this request had is over."""


class SourceError(TiloresError):
    """The customer source failed and asking again will not help."""


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
    """The provider asks us to slow down; `retry_after` in seconds when it said so."""

    def __init__(
        self, message: str, *, provider: str, retry_after: float | None = None, fix: str | None = None
    ) -> None:
        super().__init__(message, provider=provider, fix=fix)
        self.retry_after = retry_after


class ProviderQuotaError(ProviderRateLimitedError):
    """The account at the provider is used up; `retry_after` is None, as asking again does not help."""


class ProviderUnavailableError(ProviderError):
    """The provider does not answer, or not in time."""


class ContentRefusedError(ProviderError):
    """The provider refuses the content; another attempt will not help."""


class StoreError(TiloresError):
    """Durable state cannot be read or written, and asking again will not help."""


class StoreUnavailableError(StoreError, _RetryLater):
    """The database does not answer, or not in time; `retry_after` in seconds.

    A write that ends so may have been done all the same: the answer was lost, not necessarily the write.
    """


class CacheError(TiloresError):
    """A cache tier failed. The tiering counts it and goes on without the tier."""


class CacheStartingError(CacheError):
    """A cache tier is not there yet, and soon will be. A server goes on without it; a command waits a little."""
