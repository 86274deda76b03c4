"""What the tracer noted of the collector, and the health check that tells it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tilores_core import PluginContext


@dataclass(slots=True)
class Status:
    """Counts since the start; times on `time.monotonic()`. `rejected_spans`: what a collector left out of requests
    that it took (a partial success)."""

    in_use: bool = False
    requests: int = 0
    spans: int = 0
    rejected_spans: int = 0
    retries: int = 0
    failures: int = 0
    without_texts: int = 0
    last_error: str | None = None
    last_error_at: float = 0.0
    last_success_at: float = 0.0

    def record_success(self, spans: int, rejected: int) -> None:
        self.requests += 1
        self.spans += spans - rejected
        self.rejected_spans += rejected
        self.last_success_at = time.monotonic()

    def record_failure(self, error: str) -> None:
        """Note a failure. `error`: a sentence without addresses, headers or texts of the collector's."""
        self.failures += 1
        self.last_error = error
        self.last_error_at = time.monotonic()

    def report(self) -> dict[str, Any]:
        if not self.in_use:
            return {"status": "off", "reason": "[use] tracers does not name otel"}
        now = time.monotonic()
        failing = self.last_error is not None and self.last_error_at > self.last_success_at
        return {
            "status": "degraded" if failing else "ok",
            "requests": self.requests,
            "spans": self.spans,
            "rejected_spans": self.rejected_spans,
            "retries": self.retries,
            "failures": self.failures,
            "without_texts": self.without_texts,
            "last_error": self.last_error,
            "last_error_seconds_ago": round(now - self.last_error_at) if self.last_error else None,
        }

    async def check(self) -> Mapping[str, Any]:
        """The health check: what the tracer has noted, without a call of its own."""
        return self.report()


def build(context: PluginContext) -> Callable[[], Awaitable[Mapping[str, Any]]]:
    return context.state.get(Status).check
