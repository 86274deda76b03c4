"""For a planned number of values: pairs, proportions, the agreement of two graders, and a short series over time.

They hold for one look. What is looked at again and again takes `MeanSPRT`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tilores_core.statistics.distributions import beta_cdf, kolmogorov_tail, normal_quantile, t_quantile, t_tail
from tilores_core.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two means (second minus first, treatment minus control), with its interval and a two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_t(first: Sequence[float], second: Sequence[float], *, alpha: float = 0.05) -> Difference:
    """Student's t test of the differences of pairs: two prompts on the same questions.

    Raises `ValueError` for different lengths, or fewer than two pairs.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"two lists of the same length, at least 2, not {len(first)} and {len(second)}")
    moments = Moments.of(b - a for a, b in zip(first, second, strict=True))
    difference, error, df = moments.mean, math.sqrt(moments.variance / moments.count), moments.count - 1
    if error == 0:  # all differences are the same
        return Difference(difference, difference, difference, 0.0 if difference else 1.0)
    half = t_quantile(1 - alpha / 2, df) * error
    return Difference(difference, difference - half, difference + half, 2 * t_tail(abs(difference) / error, df))


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided exact p-value of McNemar's test: the binomial test on the pairs where just one was right."""
    fewer, more = sorted((only_first, only_second))
    return min(1.0, 2 * beta_cdf(0.5, more, fewer + 1)) if more else 1.0


def sample_size(first: float, second: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many trials per arm a two-sided z test needs to tell two proportions apart (Fleiss 1981, uncorrected).

    Raises `ValueError` for equal proportions, or ones outside [0, 1].
    """
    if first == second or not (0 <= first <= 1 and 0 <= second <= 1):
        raise ValueError(f"two different proportions in [0, 1], not {first} and {second}")
    mean = (first + second) / 2
    # The standard deviation of a difference of two trials, when the proportions are equal and when they are not.
    null, own = math.sqrt(2 * mean * (1 - mean)), math.sqrt(first * (1 - first) + second * (1 - second))
    needed = (normal_quantile(1 - alpha / 2) * null + normal_quantile(power) * own) / (second - first)
    return math.ceil(needed * needed)


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa (1960): how far two graders agree beyond chance; 1 when both always give the same one label.

    Raises `ValueError` for different lengths, or nothing to compare.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"two lists of the same length, not {len(first)} and {len(second)}")
    total = len(first)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / total
    labels = set(first) | set(second)
    chance = sum(first.count(label) * second.count(label) for label in labels) / (total * total)
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)


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
