"""Values that other parts count by themselves, read at a scrape, so that nothing is counted twice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from tilores_core.alerts.queue import AlertQueue
from tilores_core.cache.tiered import TieredCache
from tilores_core.chat.engine import ChatEngine
from tilores_core.contracts import SEVERITIES
from tilores_core.metrics import catalogue
from tilores_core.metrics.family import Sample, samples_of
from tilores_core.metrics.meter import Metrics
from tilores_core.metrics.meters import ModelLabels
from tilores_core.quality.live import LiveQuality
from tilores_core.release.experiments.analysis import Verdict
from tilores_core.release.orchestrator import ProductionIntegrationOrchestrator
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.store.topics import PRODUCTION
from tilores_core.tracing import Tracing

_RESULTS: Final = ("warmed", "failed", "kept")
_PER_NAMESPACE = {
    "hits": catalogue.CACHE_HITS,
    "misses": catalogue.CACHE_MISSES,
    "promotions": catalogue.CACHE_PROMOTIONS,
    "stores": catalogue.CACHE_STORES,
    "damaged": catalogue.CACHE_DAMAGED,
}
_PER_TIER = {
    "evictions": catalogue.CACHE_EVICTIONS,
    "expirations": catalogue.CACHE_EXPIRATIONS,
    "errors": catalogue.CACHE_ERRORS,
    "skipped": catalogue.CACHE_SKIPPED,
    "pending_invalidations": catalogue.CACHE_PENDING,
}
_MOST_LABELS: Final = 20
_BREAKERS = (("breaker", "read"), ("write_breaker", "write"))


def cache_samples(stats: Mapping[str, Any]) -> Iterator[Sample]:
    """Samples of `TieredCache.stats()`."""
    for tier, figures in stats["tiers"].items():
        for what, family in _PER_TIER.items():
            yield Sample(family, (tier,), figures[what])
        for namespace, counted in figures["namespaces"].items():
            for what, family in _PER_NAMESPACE.items():
                yield Sample(family, (tier, namespace), counted[what])
        yield from _size(tier, figures)
        for key, operation in _BREAKERS:
            if figures[key] is not None:
                yield Sample(catalogue.CACHE_BREAKER_OPEN, (tier, operation), float(figures[key] != "closed"))
                yield Sample(catalogue.CACHE_BREAKER_OPENED, (tier, operation), figures[f"{key}_opened"])
    for namespace, counted in stats["namespaces"].items():
        for event, number in counted.items():
            yield Sample(catalogue.CACHE_EVENTS, (namespace, event), number)
    yield from samples_of(catalogue.CACHE_INVALIDATIONS, stats["invalidations"])


def _size(tier: str, figures: Mapping[str, Any]) -> Iterator[Sample]:
    local = figures["breaker"] is None  # a tier in this process has no breaker
    if local and figures["entries"] is not None:
        yield Sample(catalogue.CACHE_ENTRIES, (tier,), figures["entries"])
    if figures["bytes"] is not None:
        yield Sample(catalogue.CACHE_BYTES if local else catalogue.CACHE_SHARED_BYTES, (tier,), figures["bytes"])


def queue_samples(queue: str, *, waiting: int, dropped: int, failed: int) -> Iterator[Sample]:
    """A queue behind the requests. `queue`: a name that code or plugins.toml gives, never a caller."""
    yield Sample(catalogue.QUEUE_DEPTH, (queue,), waiting)
    yield Sample(catalogue.QUEUE_DROPPED, (queue,), dropped)
    yield Sample(catalogue.QUEUE_FAILED, (queue,), failed)


def prewarm_samples(statistics: Mapping[str, Any]) -> Iterator[Sample]:
    """Samples of `Prewarming.statistics`."""
    yield Sample(catalogue.PREWARM_LEADING, (), float(bool(statistics["leading"])))
    for cause, figures in (("list", statistics["totals"]), ("call", statistics["calls"])):
        yield Sample(catalogue.PREWARM_CUSTOMERS, (cause,), figures["customers"])
        for result in _RESULTS:
            yield Sample(catalogue.PREWARM_ENTRIES, (cause, result), figures[result])
        for result, number in figures["skipped_because"].items():
            yield Sample(catalogue.PREWARM_ENTRIES, (cause, result), number)
    worth = statistics["worth"]
    yield Sample(catalogue.PREWARM_ANSWERS, (), worth["warmed_answers"])
    yield Sample(catalogue.PREWARM_USED, (), worth["used_answers"])
    yield Sample(catalogue.PREWARM_HITS, (), worth["hits"])
    yield from queue_samples("prewarm", waiting=statistics["calls"]["waiting"], dropped=0, failed=0)


def alert_samples(figures: Mapping[str, Any], counted: Mapping[tuple[str, str], int]) -> Iterator[Sample]:
    """Samples of `AutomatedAlertingSystem`. Channels are named by plugins.toml."""
    for severity in SEVERITIES:
        yield Sample(catalogue.ALERTS_OPEN, (severity,), figures["open"].get(severity, 0))
    yield from samples_of(catalogue.ALERTS_WAITING, figures["waiting"])
    yield from samples_of(catalogue.ALERT_MESSAGES, counted)


def alert_queue_samples(queue: AlertQueue) -> Iterator[Sample]:
    """Samples of a process that raises alerts."""
    yield Sample(catalogue.ALERTS_RAISED, (), queue.raised)
    yield from queue_samples("alerts", waiting=queue.waiting, dropped=queue.dropped, failed=queue.failed)


def watch_parts(metrics: Metrics, cache: TieredCache, engine: ChatEngine, tracing: Tracing) -> None:
    """Read these parts at every scrape. A later part is added here, or calls `Metrics.watch` itself."""

    async def cached() -> Iterable[Sample]:
        return cache_samples(await cache.stats())

    metrics.watch(cached)
    metrics.watch(lambda: metrics.models.breakers(engine.routes()))
    metrics.watch(lambda: _engine_samples(engine))
    metrics.watch(lambda: _tracer_samples(tracing.report()))


def _engine_samples(engine: ChatEngine) -> Iterator[Sample]:
    statistics = engine.statistics()
    yield Sample(catalogue.CACHE_EVENTS, ("answers", "coalesced"), statistics["coalesced"])
    yield from queue_samples("observers", **statistics["observers"])
    grounding = statistics["grounding"]
    if grounding["mode"] != "off":
        yield from samples_of(catalogue.GROUNDING, {one: grounding[one] for one in ("checked", "flagged", "blocked")})


def prompt_samples(prompts: ProductionPromptManager) -> Iterator[Sample]:
    """Labels are names that operators give; the first 20 by name are shown, `production` always."""
    labels = prompts.state.numbers
    for label in (PRODUCTION, *sorted(set(labels) - {PRODUCTION})[:_MOST_LABELS]):
        yield Sample(catalogue.PROMPT_VERSION, (label,), labels[label])
    yield Sample(catalogue.PROMPT_STALE, (), float(prompts.stale is not None))
    yield from samples_of(catalogue.PROMPT_DEPLOYMENTS, prompts.deployments)


def experiment_samples(release: ProductionIntegrationOrchestrator) -> Iterator[Sample]:
    """Of running experiments, whose names operators give; the first 20 by name are shown."""
    tester, assignment = release.tester, release.assignment
    named = sorted({experiment.plan.name for experiment in assignment.running} | set(tester.looked))[:_MOST_LABELS]
    counted = (
        *samples_of(catalogue.EXPERIMENT_ASSIGNMENTS, assignment.assigned),
        *samples_of(catalogue.EXPERIMENT_EXPOSURES, assignment.exposed),
        *samples_of(catalogue.EXPERIMENT_EXCLUSIONS, release.recorder.excluded),
    )
    yield from (sample for sample in counted if sample.labels[0] in named)
    for name in named:
        if (verdict := tester.looked.get(name)) is not None:
            yield from _verdict_samples(name, verdict)
    yield from samples_of(catalogue.EXPERIMENTS_ENDED, tester.ended)


def _verdict_samples(name: str, verdict: Verdict) -> Iterator[Sample]:
    yield Sample(catalogue.EXPERIMENT_DECISION, (name, verdict.action), 1.0)
    if min(verdict.scored.values()):
        lift = verdict.lift
        for bound, value in (("estimate", lift.difference), ("low", lift.low), ("high", lift.high)):
            if math.isfinite(value):
                yield Sample(catalogue.EXPERIMENT_LIFT, (name, bound), value)
        yield Sample(catalogue.EXPERIMENT_CONFIDENCE, (name,), verdict.confidence)


def _tracer_samples(report: Mapping[str, Any]) -> Iterator[Sample]:
    for name, told in report.items():
        yield from queue_samples(
            f"tracer/{name}", waiting=told["waiting"], dropped=told["dropped"], failed=told["failures"]
        )


def quality_samples(quality: LiveQuality, labels: ModelLabels) -> Iterator[Sample]:
    """Samples of live quality in one web process."""
    yield from samples_of(catalogue.QUALITY_ANSWERS, quality.counts)
    for (model, spectrum, score), (count, total) in quality.totals.items():
        named = (*labels.of(model), spectrum, score)
        yield Sample(catalogue.QUALITY_SCORES, named, count)
        yield Sample(catalogue.QUALITY_SUM, named, total)
    yield Sample(catalogue.QUALITY_CPU, (), quality.cpu_seconds)
    yield Sample(catalogue.QUALITY_WAITING, (), quality.waiting)
    yield Sample(catalogue.QUALITY_FAILURES, (), quality.failures)
    yield from samples_of(catalogue.QUALITY_FEEDBACK, quality.joined)
