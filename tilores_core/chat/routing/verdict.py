"""What a model's failure allows: the same once more, another one, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tilores_core.errors import (
    ContentRefusedError,
    ContextTooLongError,
    OverloadedError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RequestError,
    UnknownModelError,
)


class SilentModelError(ProviderUnavailableError):
    """It said nothing for too long; asking it again would cost as much again."""


class BrokenOffError(ProviderUnavailableError):
    """Its answer ended in the middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from a failed attempt.

    `again`: the same model may be asked once more, after `wait` seconds if it said so. `elsewhere`: another may be
    asked, with `larger` only one with a larger context window. `counts`: against the model's breaker, which opens at
    once when `certain`.
    """

    again: bool = False
    elsewhere: bool = True
    larger: bool = False
    wait: float | None = None
    counts: bool = True
    certain: bool = False


_FINAL = Verdict(elsewhere=False, counts=False)
_UNABLE = Verdict(counts=False)
_TOO_LONG = Verdict(counts=False, larger=True)
_KEY = Verdict(certain=True)
_ONCE_MORE = Verdict(again=True)
_FAILED = Verdict()


def judge(error: Exception, *, timed_out: bool, is_fallback: bool, offered: bool = False) -> Verdict:
    """Decide what a failed call means for the next one. `timed_out`: the SDK gave up waiting. `is_fallback`: the
    model is not the one that was asked for, so that what it cannot take says nothing of the request. `offered`: it is
    one of the operator's, so that its name is right."""
    match error:
        case ContentRefusedError():
            return _FINAL  # another model might answer: but to whom is not for us to choose
        case ProviderAuthError() | ProviderQuotaError():
            return _KEY  # somebody must mend it; until then every call would fail alike
        case ProviderRateLimitedError():
            return Verdict(again=True, wait=error.retry_after)
        case SilentModelError():
            return _FAILED
        case ProviderUnavailableError():
            return _FAILED if timed_out else _ONCE_MORE
        case ProviderError():
            return _FAILED
        case OverloadedError():
            return _UNABLE
        case ContextTooLongError():
            return _TOO_LONG
        case UnknownModelError():
            return _UNABLE if is_fallback or offered else _FINAL
        case RequestError():
            return _UNABLE if is_fallback else _FINAL
    return _FINAL
