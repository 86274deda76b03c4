"""Samples of live quality."""

from __future__ import annotations

from collections.abc import Iterator

from tilores_core.metrics import catalogue
from tilores_core.metrics.family import Sample
from tilores_core.metrics.meters import ModelLabels
from tilores_core.quality.live import LiveQuality


def quality_samples(quality: LiveQuality, labels: ModelLabels) -> Iterator[Sample]:
    """Samples of one web process."""
    for result, number in quality.counts.items():
        yield Sample(catalogue.QUALITY_ANSWERS, (result,), number)
    for (model, spectrum, score), (count, total) in quality.totals.items():
        named = (*labels.of(model), spectrum, score)
        yield Sample(catalogue.QUALITY_SCORES, named, count)
        yield Sample(catalogue.QUALITY_SUM, named, total)
    yield Sample(catalogue.QUALITY_CPU, (), quality.cpu_seconds)
    yield Sample(catalogue.QUALITY_WAITING, (), quality.waiting)
    yield Sample(catalogue.QUALITY_FAILURES, (), quality.failures)
    for result, number in quality.joined.items():
        yield Sample(catalogue.QUALITY_FEEDBACK, (result,), number)
