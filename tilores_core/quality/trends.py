"""Is quality getting better or worse: slope, change point and variance of means, per model and spectrum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

from tilores_core.statistics import ChangePoint, Moments, Slope, change_point, slope
from tilores_core.statistics.series import change_p_value, line
from tilores_core.store.windows import DAY_MS, Window

Direction = Literal["rising", "falling", "steady", "unknown"]
_FEWEST: Final = 3
_LONG: Final = 500
"""From so many values on numpy is worth its import."""


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

    `alpha`: of the slope's interval. `use_numpy`: None for long series where it is installed; the results are the
    same.
    """

    def __init__(self, *, alpha: float = 0.05, use_numpy: bool | None = None) -> None:
        self._alpha = alpha
        self._use_numpy = use_numpy

    @cached_property
    def _is_installed(self) -> bool:
        return find_spec("numpy") is not None

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
        numpy = self._use_numpy if self._use_numpy is not None else len(values) >= _LONG and self._is_installed
        moments = Moments.of(values)
        mean, variance = _numpy_moments(values) if numpy else (moments.mean, moments.variance)
        if len(values) < _FEWEST:
            return Trend(count=len(values), mean=mean, variance=variance, direction="unknown")
        found = _numpy_slope(values, days, self._alpha) if numpy else slope(values, days, alpha=self._alpha)
        return Trend(
            count=len(values),
            mean=mean,
            variance=variance,
            direction="steady" if found.low <= 0 <= found.high else "rising" if found.slope > 0 else "falling",
            slope=found,
            change=_numpy_change_point(values) if numpy else change_point(values),
        )


def _numpy() -> Any:
    return import_module("numpy")


def _numpy_moments(values: Sequence[float]) -> tuple[float, float]:
    array = _numpy().asarray(values)
    return float(array.mean()), float(array.var(ddof=1)) if len(values) > 1 else 0.0


def _numpy_slope(values: Sequence[float], times: Sequence[float], alpha: float) -> Slope:
    np = _numpy()
    x, y = np.asarray(times), np.asarray(values)
    x, y = x - x.mean(), y - y.mean()
    squares_x = float(x @ x)
    if squares_x == 0:
        raise ValueError("all times are the same")
    rise = float(x @ y) / squares_x
    rest = y - rise * x
    return line(len(values), rise, squares_x, float(rest @ rest), alpha)


def _numpy_change_point(values: Sequence[float]) -> ChangePoint | None:
    n = len(values)
    if n < 4:
        return None
    np = _numpy()
    array = np.asarray(values)
    sums = np.abs(np.cumsum(array - array.mean()))[:-1]
    # The first of those that are equal but for rounding, as in pure Python.
    index = int(np.argmax(sums >= sums.max() * (1 - 1e-12))) + 1
    steps = np.diff(array)
    p_value = change_p_value(n, float(sums[index - 1]), float(steps @ steps))
    return ChangePoint(index, float(array[:index].mean()), float(array[index:].mean()), p_value)
