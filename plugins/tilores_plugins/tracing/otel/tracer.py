"""The tracer `otel`: batches of traces as OTLP requests, from the event loop, in small slices.

No TracerProvider is set and none of the SDK's queues is used: the host queues, samples and batches already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import uuid4

import structlog
from cachetools import LRUCache

from tilores_core import ConfigError, Feedback, PluginContext, Trace, __version__
from tilores_plugins.tracing.otel.conventions import Pair
from tilores_plugins.tracing.otel.encode import Request, feedback_span, spans_of
from tilores_plugins.tracing.otel.ids import Origin, origin_of
from tilores_plugins.tracing.otel.sender import Sender
from tilores_plugins.tracing.otel.settings import Settings
from tilores_plugins.tracing.otel.status import Status

log = structlog.get_logger(part="tracing")

_IN_A_ROW: Final = 5  # traces, about half a millisecond; then others may run
_RUNS_KEPT: Final = 10_000


class OtelTracer:
    """A `Tracer` that also takes feedback."""

    def __init__(self, settings: Settings, status: Status | None = None) -> None:
        self._settings = settings
        self._status = status or Status()
        self._resource = _resource(settings)
        self._sender = Sender(settings, self._status)
        self._origins: LRUCache[str, Origin] = LRUCache(_RUNS_KEPT)
        self._told_of_rejections = False
        self._status.in_use = True

    async def record(self, traces: Sequence[Trace]) -> None:
        """Raises `CollectorUnavailableError`, or `CollectorRefusedError`: the same batch would be refused again."""
        until = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        async for request in self._requests(traces):
            await self._send(request, until)

    async def feedback(self, feedback: Feedback) -> None:
        until = asyncio.get_running_loop().time() + self._settings.timeout_seconds
        origin = self._origins.get(feedback.run_id) or origin_of(feedback.run_id, None)
        request = Request(self._resource)
        request.add(feedback_span(feedback, origin), 0)
        await self._send(request, until)

    async def aclose(self) -> None:
        await self._sender.aclose()

    async def _send(self, request: Request, until: float) -> None:
        await self._sender.send(request.body(), len(request), until)
        rejected = self._status.rejected_spans
        if rejected and not self._told_of_rejections:
            self._told_of_rejections = True
            log.warning("otel.spans_rejected", tracer="otel", rejected=rejected)

    async def _requests(self, traces: Sequence[Trace]) -> AsyncIterator[Request]:
        """The traces in requests that are not too large."""
        most = self._settings.max_bytes
        request = Request(self._resource)
        for number, trace in enumerate(traces, 1):
            origin = origin_of(trace.id, trace.traceparent)
            if origin.parent_id:
                self._origins[trace.id] = origin
            spans = spans_of(trace, origin)
            size = spans.ByteSize()
            if size > most:
                self._status.without_texts += 1
                spans = spans_of(trace, origin, texts=False)
                size = spans.ByteSize()
            if len(request) and request.bytes + size > most:
                yield request
                request = Request(self._resource)
            request.add(spans, size)
            if number % _IN_A_ROW == 0:
                await asyncio.sleep(0)
        if len(request):
            yield request


def _resource(settings: Settings) -> tuple[Pair, ...]:
    attributes = {
        "service.version": __version__,
        "service.instance.id": str(uuid4()),
        **settings.resource_attributes,
    }
    if "service_name" in settings.model_fields_set or "service.name" not in attributes:
        attributes["service.name"] = settings.service_name
    return tuple(attributes.items())


def build(context: PluginContext) -> OtelTracer:
    """Raises `ConfigError` when the certificate cannot be read."""
    try:
        return OtelTracer(context.settings, context.state.get(Status))
    except OSError as error:
        raise ConfigError(
            f"the authorities in `certificate` cannot be read: {type(error).__name__}",
            where="[plugins.otel]",
            fix="name a file with certificates in PEM form, or remove the key",
        ) from None
