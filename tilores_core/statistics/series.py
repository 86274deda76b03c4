"""A short series of means over time: does it rise or fall, and did it change at some point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tilores_core.statistics.distributions import kolmogorov_tail, t_quantile, t_tail


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a series: change per unit of x, its interval, and the p-value of no change."""

    slope: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """Where a series most likely changed its level: `index` is the first value of the new level."""

    index: int
    before: float
    after: float
    p_value: float


def slope(values: Sequence[float], times: Sequence[float] | None = None, *, alpha: float = 0.05) -> Slope:
    """The least-squares line through `values`, at `times` or 0, 1, 2, …

    Raises `ValueError` for fewer than three values, or times that are all the same.
    """
    xs = list(times) if times is not None else [float(index) for index in range(len(values))]
    n = len(values)
    if n < 3 or len(xs) != n:
        raise ValueError(f"at least three values with a time each, not {n} and {len(xs)}")
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(values) / n
    squares_x = math.fsum((x - mean_x) ** 2 for x in xs)
    if squares_x == 0:
        raise ValueError("all times are the same")
    products = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, values, strict=True))
    rise = products / squares_x
    squares = math.fsum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in zip(xs, values, strict=True))
    error = math.sqrt(squares / (n - 2) / squares_x)
    if error == 0:
        return Slope(rise, rise, rise, 0.0 if rise else 1.0)
    half = t_quantile(1 - alpha / 2, n - 2) * error
    return Slope(rise, rise - half, rise + half, 2 * t_tail(abs(rise) / error, n - 2))


def change_point(values: Sequence[float]) -> ChangePoint | None:
    """The most likely change of level, with the p-value that there is none; None for fewer than four values.

    The largest cumulative sum of distances from the mean; over s sqrt(n) it follows the Kolmogorov distribution when
    nothing changed (Page 1955; Csörgő and Horváth 1997). s² is half the mean squared step between neighbours (von
    Neumann 1941), which a change of level hardly raises.
    """
    n = len(values)
    if n < 4:
        return None
    mean = math.fsum(values) / n
    total, largest, index = 0.0, -1.0, 1
    for position in range(n - 1):
        total += values[position] - mean
        if abs(total) > largest * (1 + 1e-12):
            largest, index = abs(total), position + 1
    steps = math.fsum((values[i + 1] - values[i]) ** 2 for i in range(n - 1))
    before, after = math.fsum(values[:index]) / index, math.fsum(values[index:]) / (n - index)
    deviation = math.sqrt(steps / (2 * (n - 1)))
    p_value = min(1.0, kolmogorov_tail(largest / (deviation * math.sqrt(n)))) if deviation else 1.0  # nothing varies
    return ChangePoint(index, before, after, p_value)
