"""Which failures pass by themselves, and how long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tilores_core.errors import (
    DeadlineExceededError,
    OverloadedError,
    ProviderQuotaError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceUnavailableError,
)

_TRANSIENT: Final = (
    DeadlineExceededError,
    OverloadedError,
    ProviderRateLimitedError,
    ProviderUnavailableError,
    RateLimitedError,
    SourceUnavailableError,
)


def is_transient(error: Exception) -> bool:
    """Whether the same may work later. An account that is used up does not count: somebody has to pay first."""
    return isinstance(error, _TRANSIENT) and not isinstance(error, ProviderQuotaError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """At most `attempts` tries. Times in seconds; what another asks us to wait is waited for up to `longest_wait`."""

    attempts: int = 5
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 300.0

    def pause(self, error: Exception, failures: int) -> float:
        """How long after the `failures`-th failure: full jitter (any time up to base * 2^n), so that those who failed
        together do not come back together; after what the other side asked for, if it asked."""
        jitter = random.uniform(0.0, min(self.cap, self.base * 2 ** (failures - 1)))  # noqa: S311
        asked = getattr(error, "retry_after", None) or 0.0
        return min(asked, self.longest_wait) + jitter
