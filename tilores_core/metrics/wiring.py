"""Which parts of the server are asked at a scrape. A later part is added here, or calls `Metrics.watch` itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.metrics import catalogue
from tilores_core.metrics.families import Sample
from tilores_core.metrics.meter import Metrics
from tilores_core.metrics.parts import cache_samples, queue_samples


def watch_parts(
    metrics: Metrics,
    *,
    cache: TieredCache,
    engine: ChatEngine,
    tracers: Callable[[], Mapping[str, Any]],
) -> None:
    """`tracers`: what `Tracing.report` says."""

    async def cached() -> Iterable[Sample]:
        return cache_samples(await cache.stats())

    metrics.watch(cached)
    metrics.watch(lambda: metrics.models.breakers(engine.routes()))
    metrics.watch(lambda: _engine_samples(engine))
    metrics.watch(lambda: _tracer_samples(tracers()))


def _engine_samples(engine: ChatEngine) -> Iterator[Sample]:
    yield Sample(catalogue.CACHE_EVENTS, ("answers", "coalesced"), engine.coalesced)
    observers = engine.observers
    yield from queue_samples(
        "observers", waiting=observers.waiting, dropped=observers.dropped, failed=observers.failed
    )
    if engine.guard.mode != "off":
        counts = engine.guard.counts
        yield Sample(catalogue.GROUNDING, ("checked",), counts.checked)
        yield Sample(catalogue.GROUNDING, ("flagged",), counts.flagged)
        yield Sample(catalogue.GROUNDING, ("blocked",), counts.blocked)


def _tracer_samples(report: Mapping[str, Any]) -> Iterator[Sample]:
    if report["tracers"]:
        yield from queue_samples(
            "tracing", waiting=report["waiting"], dropped=report["dropped"], failed=report["failed"]
        )
    for name, told in report["tracers"].items():
        yield from queue_samples(
            f"tracer/{name}", waiting=told["waiting"], dropped=told["dropped"], failed=told["failures"]
        )
