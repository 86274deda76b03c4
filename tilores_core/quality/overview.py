"""Live quality at a glance: figures and the watch of each model, spectrum and prompt version, and whether they get
better or worse."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from tilores_core.quality.thresholds import CellWatch
from tilores_core.settings import QualityTable
from tilores_core.statistics import ChangePoint, Moments, Slope, change_point, slope
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import DAY_MS, HOUR_MS, WINDOW_MS, Window

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
    """

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
        found = slope(values, days)
        return Trend(
            count=len(values),
            mean=moments.mean,
            variance=moments.variance,
            direction="steady" if found.low <= 0 <= found.high else "rising" if found.slope > 0 else "falling",
            slope=found,
            change=change_point(values),
        )


_MEASURES: Final = ("overall", "groundedness", "abstention", "format", "feedback")


async def quality_overview(store: LazyStore, table: QualityTable, *, now_ms: int, hours: int) -> dict[str, Any]:
    """Return `cells` with figures of the last `hours`, and `trends` per model and spectrum. Raises `StoreError`.

    A cell's `rating` is by its mean: excellent, target, warning, critical, or below; `breached` is what the
    always-valid tests say, None while every level holds.
    """
    opened = await store.get()
    since = now_ms - hours * HOUR_MS
    windows = await opened.windows.query(since, now_ms + 1, now_ms=now_ms)
    states = await opened.quality.get_all()
    step = WINDOW_MS if hours <= 6 else HOUR_MS if hours <= 7 * 24 else DAY_MS
    series = await opened.windows.query(
        since, now_ms + 1, now_ms=now_ms, step_ms=step, by=("model", "spectrum"), measures=("overall",)
    )
    return {
        "hours": hours,
        "levels": {name: getattr(table, name) for name in ("excellent", "target", "warning", "critical")},
        "cells": [_cell(window, table, states.get(window.cell)) for window in windows],
        "trends": [
            {
                "model": model,
                "spectrum": spectrum,
                "direction": trend.direction,
                "per_day": None if trend.slope is None else _round(trend.slope.slope),
                "low": None if trend.slope is None else _round(trend.slope.low),
                "high": None if trend.slope is None else _round(trend.slope.high),
                "variance": _round(trend.variance),
                "changed": trend.change is not None and trend.change.p_value < 0.01,
            }
            for (model, spectrum), trend in QualityTrendAnalyzer().trends(series).items()
        ],
    }


def rating(mean: float, table: QualityTable) -> str:
    """The highest level that a mean reaches."""
    for name in ("excellent", "target", "warning", "critical"):
        if mean >= getattr(table, name):
            return name
    return "below"


def _cell(window: Window, table: QualityTable, state: Mapping[str, Any] | None) -> dict[str, Any]:
    overall, means = window.moments("overall"), {name: window.mean(name) for name in _MEASURES}
    watch = None if state is None else CellWatch.from_state(state, table)
    return {
        **window.cell._asdict(),
        "turns": int(window.sums["turns"]),
        "scored": int(overall.count),
        "scores": {name: _round(mean) for name, mean in means.items() if mean is not None},
        "standard_error": _round(math.sqrt(overall.variance / overall.count)) if overall.count > 1 else None,
        "rating": rating(overall.mean, table) if overall.count else None,
        "achievement": _round(window.share("reached", "windows")),
        "cache_share": _round(window.share("hits", "turns")),
        "error_share": _round(window.share("errors", "turns")),
        "latency_seconds": _round(window.mean("latency")),
        "cost": _round(window.sums["cost_sum"]),
        "breached": watch.level if watch is not None else None,
        "degraded": watch is not None and watch.degraded,
        "unsteady": watch is not None and watch.unsteady,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
