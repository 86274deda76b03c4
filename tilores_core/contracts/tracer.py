"""Traces: `Span`, `Trace`, `Feedback`, and the `Tracer` role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from tilores_core.contracts.source import empty_mapping

SpanKind = Literal["request", "customer", "prompt", "model", "tool", "answer", "alert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A step of a turn, or of the delivery of alerts. Times are seconds since the epoch.

    `attributes` never hold a customer's data or a secret.
    `inputs` and `outputs` are JSON values, already masked as `[tracing] capture` says; None when nothing may be sent.
    `error` is an error code.
    """

    kind: SpanKind
    name: str
    started: float
    ended: float
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=empty_mapping)
    inputs: Any = None
    outputs: Any = None
    error: str | None = None
    children: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One turn as tracers get it, or one attempt to deliver alerts, whose root is of the kind `alert`.

    `id` is the `run_id` that the caller was given, a UUID; `session_id` joins turns.

    `tags`: short labels, `name:value`. `traceparent`: the W3C header that came with the request, or None.
    """

    id: str
    root: Span
    session_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=empty_mapping)
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A user's score of an answer. `run_id` as the answer gave it; `key` says what is scored."""

    run_id: str
    key: str
    score: float | None = None
    value: str | float | bool | None = None
    comment: str | None = None


class Tracer(Protocol):
    """Somewhere traces go. Traces arrive masked and sampled, from a bounded queue per tracer.

    Called in the event loop, outside any request: it may take its time, and what it raises is counted.
    """

    async def record(self, traces: Sequence[Trace]) -> None:
        """Send a batch, oldest first.

        A batch that failed is passed once more; after an `InvalidRequestError` it is not.
        """

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsFeedback(Protocol):
    """A tracer that can attach a score to a trace that it recorded before."""

    async def feedback(self, feedback: Feedback) -> None: ...
