"""Values as text that Prometheus reads; the library that writes it is imported at the first scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from tilores_core.metrics.families import Family, Labels, Values

if TYPE_CHECKING:
    from prometheus_client import Metric

OPENMETRICS = "application/openmetrics-text"


def exposition(families: Mapping[str, Family], values: Values, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type: OpenMetrics where `accept` asks for it, else the older text format."""
    from prometheus_client import exposition as plain
    from prometheus_client.openmetrics import exposition as openmetrics

    whole = _Collected(families, values)
    if OPENMETRICS in accept:
        text: bytes = openmetrics.generate_latest(whole)  # type: ignore[no-untyped-call]  # it has no annotations
        return text, openmetrics.CONTENT_TYPE_LATEST
    return plain.generate_latest(whole), plain.CONTENT_TYPE_PLAIN_0_0_4


class _Collected:
    """What the library takes for a registry of its own."""

    def __init__(self, families: Mapping[str, Family], values: Values) -> None:
        self._families = families
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            yield _metric(family, self._values.get(name, {}))


def _metric(family: Family, values: Mapping[Labels, float | list[float]]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        ends = [*(f"{bound:g}" for bound in family.bounds), "+Inf"]
        for labels, value in sorted(values.items()):
            if isinstance(value, list) and len(value) == len(ends) + 1:
                buckets = list(zip(ends, accumulate(value[:-1]), strict=True))
                histogram.add_metric(labels, buckets, sum_value=value[-1])
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in sorted(values.items()):
        if not isinstance(value, list):
            metric.add_metric(labels, value)
    return metric
