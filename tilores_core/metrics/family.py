"""What a metric is, how values of several processes become one, and the text that Prometheus reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from prometheus_client import Metric

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric. `name` as in a query, a counter's with its `_total`; a histogram's without `_bucket`.

    `bounds`: upper ends of a histogram's buckets, without the last, which is infinite. `merge`: how the values of
    several workers are combined; `max` where all report the same thing, such as the memory of a shared cache tier.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    merge: Literal["sum", "max"] = "sum"


class Sample(NamedTuple):
    """A value of a family: a number; for a histogram the counts of its buckets and, last, the sum."""

    family: Family
    labels: Labels
    value: float | list[float]


def samples_of(family: Family, counted: Mapping[Any, float]) -> Iterator[Sample]:
    """A sample for each label, or tuple of labels."""
    for labels, number in counted.items():
        yield Sample(family, labels if isinstance(labels, tuple) else (labels,), number)


Values = dict[str, dict[Labels, "float | list[float]"]]
"""Values by a family's name and by its labels' values."""


def values_of(samples: Iterable[Sample]) -> Values:
    """Samples by family and labels. Those with the same labels are added up."""
    found: Values = {}
    for family, labels, value in samples:
        _add(found.setdefault(family.name, {}), family, labels, value)
    return found


def join(families: Mapping[str, Family], parts: Iterable[Values]) -> Values:
    """The values of several workers combined. Families that this version does not know are left out."""
    whole: Values = {}
    for part in parts:
        for name, by_labels in part.items():
            family = families.get(name)
            if family is None:
                continue
            into = whole.setdefault(name, {})
            for labels, value in by_labels.items():
                _add(into, family, labels, value)
    return whole


def without_gauges(families: Mapping[str, Family], values: Values) -> Values:
    """The values that remain valid for a process that has ended."""
    return {name: found for name, found in values.items() if name in families and families[name].kind != "gauge"}


def _add(into: dict[Labels, float | list[float]], family: Family, labels: Labels, value: float | list[float]) -> None:
    held = into.get(labels)
    if held is None:
        into[labels] = list(value) if isinstance(value, list) else value
    elif isinstance(held, list):
        if isinstance(value, list) and len(value) == len(held):
            into[labels] = [a + b for a, b in zip(held, value, strict=True)]
    elif not isinstance(value, list):
        into[labels] = max(held, value) if family.merge == "max" else held + value


class Histogram:
    """Durations by bucket. `counts` has one more than `bounds`, for values above them all; `seconds` is the sum."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    @property
    def value(self) -> list[float]:
        """As a `Sample` holds it."""
        return [*self.counts, self.seconds]


# --- the text ---------------------------------------------------------------------------------------------

_OPENMETRICS = "application/openmetrics-text"


def exposition(families: Mapping[str, Family], values: Values, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type: OpenMetrics where `accept` asks for it, else the older text format.

    The library is imported at the first scrape.
    """
    from prometheus_client import exposition as plain
    from prometheus_client.openmetrics import exposition as openmetrics

    # The library's registry, as far as it is asked.
    whole: Any = SimpleNamespace(
        collect=lambda: (_metric(family, values.get(name, {})) for name, family in families.items())
    )
    if _OPENMETRICS in accept:
        text: bytes = openmetrics.generate_latest(whole)  # type: ignore[no-untyped-call]  # it has no annotations
        return text, openmetrics.CONTENT_TYPE_LATEST
    return plain.generate_latest(whole), plain.CONTENT_TYPE_PLAIN_0_0_4


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
