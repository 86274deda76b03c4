"""What is known of the instance's health; looking at it asks the instance nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilores_core import PluginContext
from tilores_plugins.sources.tilores.limiter import Limiter

_LATENCIES = 100


@dataclass(slots=True)
class Status:
    """Kept by the source as it works. Times on `time.monotonic()`; `token_until` 0 when there is no token."""

    in_use: bool = False
    token_until: float = 0.0
    token_error: str | None = None
    last_error: str | None = None
    last_error_at: float = 0.0
    last_answer_at: float = 0.0
    schema_hash: str | None = None
    schema_from: str | None = None
    calls: int = 0
    errors: int = 0
    slow: int = 0
    limiter: Limiter | None = None
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))

    def record_success(self, seconds: float) -> None:
        self.calls += 1
        self.last_answer_at = time.monotonic()
        self.latencies.append(seconds)

    def record_failure(self, message: str) -> None:
        """Note a failure. `message` holds neither a secret nor a customer's data."""
        self.calls += 1
        self.errors += 1
        self.last_error = message
        self.last_error_at = time.monotonic()

    def report(self) -> dict[str, Any]:
        """Return `status` and details, as a health check gives them."""
        if not self.in_use:
            return {"status": "off", "reason": "[use] source names another source"}
        now = time.monotonic()
        recovered = self.last_answer_at >= self.last_error_at
        token_left = max(0.0, self.token_until - now)
        if self.token_error is not None and not token_left:
            state = "failed"
        else:
            state = "ok" if recovered and self.token_error is None else "degraded"
        latencies = sorted(self.latencies)
        return {
            "status": state,
            "token": {"seconds_left": round(token_left), "error": self.token_error},
            "last_error": self.last_error,
            "last_error_seconds_ago": round(now - self.last_error_at) if self.last_error else None,
            "latency_ms": round(latencies[len(latencies) // 2] * 1000) if latencies else None,
            "calls": self.calls,
            "errors": self.errors,
            "slow": self.slow,
            "in_flight": self.limiter.in_flight if self.limiter else 0,
            "waiting": self.limiter.waiting if self.limiter else 0,
            "schema": {"hash": self.schema_hash, "from": self.schema_from},
        }

    async def check(self) -> Mapping[str, Any]:
        """The health check: what the source has noted, without a call of its own."""
        return self.report()


def build(context: PluginContext) -> Callable[[], Awaitable[Mapping[str, Any]]]:
    return context.state.get(Status).check
