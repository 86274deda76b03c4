"""Traces as OTLP messages, straight from spans.

The messages are OpenTelemetry's own; its SDK's spans are not made in between, which would take several times as long
(`benchmarks/tracing` measures both).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp

from tilores_core import Feedback, Span, Trace, __version__
from tilores_plugins.tracing.otel.conventions import Pair, Value, attributes_of, attributes_of_feedback, name_of
from tilores_plugins.tracing.otel.ids import Origin, span_id

SCOPE: Final = "tilores_core.tracing"

_LARGEST_INT: Final = 2**63 - 1
_LATEST: Final = 2**63 - 1  # nanoseconds since the epoch
_SAMPLED: Final = 0x01
_FLAGS: Final = _SAMPLED | otlp.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_FLAGS_BELOW_REMOTE: Final = _FLAGS | otlp.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_KINDS: Final = {"request": otlp.Span.SPAN_KIND_SERVER, "model": otlp.Span.SPAN_KIND_CLIENT}


def spans_of(trace: Trace, origin: Origin, *, texts: bool = True) -> otlp.ScopeSpans:
    """All spans of a trace; `texts`: with inputs and outputs."""
    spans = otlp.ScopeSpans()
    _add(spans, trace, trace.root, origin, (), origin.parent_id, texts=texts)
    return spans


def feedback_span(feedback: Feedback, origin: Origin) -> otlp.ScopeSpans:
    """A score: a span without length below the root of the run that it is for."""
    spans = otlp.ScopeSpans()
    now = _nanoseconds(time.time())
    place = ("feedback", feedback.key, feedback.score or 0, str(feedback.value), feedback.comment or "")
    one = spans.spans.add(
        trace_id=origin.trace_id,
        span_id=span_id(feedback.run_id, *map(str, place)),
        parent_span_id=span_id(feedback.run_id),
        name="gen_ai.evaluation.result",
        kind=otlp.Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=now,
        end_time_unix_nano=now,
        flags=_FLAGS,
    )
    _put_all(one, attributes_of_feedback(feedback))
    return spans


class Request:
    """One request to the collector. `resource`: attributes of all spans."""

    def __init__(self, resource: Iterable[Pair]) -> None:
        self._message = ExportTraceServiceRequest()
        all_spans = self._message.resource_spans.add()
        for name, value in resource:
            _put(all_spans.resource.attributes.add(key=_text(name)).value, value)
        self._spans = all_spans.scope_spans.add()
        self._spans.scope.name, self._spans.scope.version = SCOPE, __version__
        self.bytes = 0

    def add(self, spans: otlp.ScopeSpans, size: int) -> None:
        self._spans.MergeFrom(spans)
        self.bytes += size

    def __len__(self) -> int:
        return len(self._spans.spans)

    def body(self) -> bytes:
        return self._message.SerializeToString()


def _add(
    spans: otlp.ScopeSpans,
    trace: Trace,
    span: Span,
    origin: Origin,
    place: tuple[int, ...],
    parent_id: bytes,
    *,
    texts: bool,
) -> None:
    started = _nanoseconds(span.started)
    own_id = span_id(trace.id, *place)
    one = spans.spans.add(
        trace_id=origin.trace_id,
        span_id=own_id,
        parent_span_id=parent_id,
        name=_text(name_of(span)),
        kind=_KINDS.get(span.kind, otlp.Span.SPAN_KIND_INTERNAL),
        start_time_unix_nano=started,
        end_time_unix_nano=max(started, _nanoseconds(span.ended)),
        flags=_FLAGS_BELOW_REMOTE if parent_id and not place else _FLAGS,
    )
    _put_all(one, attributes_of(trace, span, texts=texts))
    if span.error is not None:
        one.status.code = otlp.Status.STATUS_CODE_ERROR
    for number, child in enumerate(span.children):
        _add(spans, trace, child, origin, (*place, number), own_id, texts=texts)


def _put_all(span: otlp.Span, pairs: Iterable[Pair]) -> None:
    attributes = span.attributes
    for name, value in pairs:
        _put(attributes.add(key=_text(name)).value, value)


def _put(into: AnyValue, value: Value) -> None:
    if isinstance(value, str):
        into.string_value = _text(value)
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int) and abs(value) <= _LARGEST_INT:
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, tuple):
        for one in value:
            into.array_value.values.add().string_value = _text(one)
    else:
        into.string_value = _text(str(value))


def _text(text: str) -> str:
    """The text, as UTF-8 can have it: half of a character's pair is not text."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def _nanoseconds(seconds: float) -> int:
    return min(max(0, int(seconds * 1e9)), _LATEST) if math.isfinite(seconds) else 0
