"""Trends of quality: what they say of series that are made, checked with numpy."""

from __future__ import annotations

import random

import numpy
import pytest

from tilores_core.quality.overview import QualityTrendAnalyzer
from tilores_core.store.windows import COUNTS, DAY_MS, HOUR_MS, MEASURES, Window


def _series(seed: int, count: int, *, fall: float = 0.0, drop: float = 0.0) -> list[tuple[int, float]]:
    """Hourly values around 0.93; `fall` per day, `drop` from the middle on."""
    draw = random.Random(seed)
    return [
        (n * HOUR_MS, 0.93 - fall * n / 24 - drop * (n >= count // 2) + draw.gauss(0, 0.01)) for n in range(count)
    ]


@pytest.mark.parametrize("seed", range(8))
def test_figures_are_those_of_numpy(seed: int) -> None:
    points = _series(seed, 40 + 90 * seed, fall=0.002 * (seed % 3), drop=0.03 * (seed % 2))
    found = QualityTrendAnalyzer().analyze(points)
    times, values = numpy.array(points).T
    sums = numpy.abs(numpy.cumsum(values - values.mean()))[:-1]
    assert found.slope is not None
    assert found.change is not None
    assert [found.mean, found.variance, found.slope.slope] == pytest.approx(
        [values.mean(), values.var(ddof=1), numpy.polyfit(times / DAY_MS, values, 1)[0]], rel=1e-9
    )
    assert found.change.index == sums.argmax() + 1


def test_direction_follows_the_slope_per_day() -> None:
    falling = QualityTrendAnalyzer().analyze(_series(1, 240, fall=0.004))
    assert falling.direction == "falling"
    assert falling.slope is not None
    assert falling.slope.low < -0.004 < falling.slope.high
    assert QualityTrendAnalyzer().analyze(_series(5, 240)).direction == "steady"
    assert QualityTrendAnalyzer().analyze(_series(3, 240, fall=-0.004)).direction == "rising"


def test_change_point_is_where_the_level_fell() -> None:
    change = QualityTrendAnalyzer().analyze(_series(4, 100, drop=0.05)).change
    assert change is not None
    assert abs(change.index - 50) <= 1
    assert change.before - change.after == pytest.approx(0.05, abs=0.01)
    assert change.p_value < 1e-6


def test_short_and_constant_series_say_that_nothing_is_known() -> None:
    analyzer = QualityTrendAnalyzer()
    assert analyzer.analyze([(0, 0.9), (HOUR_MS, 0.8)]).direction == "unknown"
    constant = analyzer.analyze([(n * DAY_MS, 0.9) for n in range(6)])
    assert constant.direction == "steady"
    assert constant.variance == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="at least one"):
        analyzer.analyze([])
    with pytest.raises(ValueError, match="all times are the same"):
        analyzer.analyze([(0, 0.9)] * 5)


def _window(model: str, hour: int, score: float | None) -> Window:
    sums = dict.fromkeys([*COUNTS, *(f"{m}_{part}" for m in MEASURES for part in ("count", "sum", "squares"))], 0.0)
    if score is not None:
        sums |= {"overall_count": 1, "overall_sum": score, "overall_squares": score * score}
    return Window(start_ms=hour * HOUR_MS, model=model, spectrum="billing", prompt_version="", sums=sums)


def test_windows_become_one_trend_per_model_and_spectrum() -> None:
    windows = [_window("a", n, 0.9) for n in range(4)] + [_window("b", n, 0.9 - n / 10) for n in reversed(range(4))]
    trends = QualityTrendAnalyzer().trends([*windows, _window("c", 1, None)])
    assert list(trends) == [("a", "billing"), ("b", "billing")]
    assert trends["b", "billing"].direction == "falling"
    assert trends["b", "billing"].slope is not None
    assert trends["b", "billing"].slope.slope == pytest.approx(-2.4)
