"""Is quality getting better or worse: slope, change point and variance of means, per model and spectrum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tilores_core.statistics import ChangePoint, Moments, Slope, change_point, slope
from tilores_core.store.windows import DAY_MS, Window

Direction = Literal["rising", "falling", "steady", "unknown"]
_FEWEST: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A series of means. `slope` and its interval are per day; None with fewer than three values.

    `direction`: `steady` when the slope's interval holds 0. `change`: the most likely change of level, None with
    fewer than four values; its p-value says whether there was one.
    """

    count: int
    mean: float
    variance: float
    direction: Direction
    slope: Slope | None = None
    change: ChangePoint | None = None


class QualityTrendAnalyzer:
    """Trends of windows of live scores, or of any series.

        windows = await store.windows.query(since, until, step_ms=HOUR_MS, by=("model", "spectrum"))
        trends = QualityTrendAnalyzer().trends(windows)

    `alpha`: of the slope's interval.
    """

    def __init__(self, *, alpha: float = 0.05) -> None:
        self._alpha = alpha

    def trends(self, windows: Iterable[Window], measure: str = "overall") -> dict[tuple[str, str], Trend]:
        """The trend of each model and spectrum, from windows in any order; those without a value are left out."""
        series: defaultdict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
        for window in windows:
            moments = window.moments(measure)
            if moments.count:
                series[window.model, window.spectrum].append((window.start_ms, moments.mean))
        return {cell: self.analyze(sorted(points)) for cell, points in sorted(series.items())}

    def analyze(self, points: Sequence[tuple[int, float]]) -> Trend:
        """The trend of values by time (ms, ascending). Raises `ValueError` for none, or for equal times."""
        if not points:
            raise ValueError("a trend needs at least one value")
        days = [(at - points[0][0]) / DAY_MS for at, _ in points]
        values = [value for _, value in points]
        moments = Moments.of(values)
        if len(values) < _FEWEST:
            return Trend(count=len(values), mean=moments.mean, variance=moments.variance, direction="unknown")
        found = slope(values, days, alpha=self._alpha)
        return Trend(
            count=len(values),
            mean=moments.mean,
            variance=moments.variance,
            direction="steady" if found.low <= 0 <= found.high else "rising" if found.slope > 0 else "falling",
            slope=found,
            change=change_point(values),
        )
