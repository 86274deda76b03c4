"""Mean and variance of a stream, in three numbers that can be merged, and less noise by a covariate (CUPED)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def average(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0


@dataclass(slots=True)
class Moments:
    """Count, mean and variance of a series, in constant memory.

    `count`, `mean`, and `squares`: the sum of squared distances from the mean (Welford's algorithm).

    quality = Moments()
    quality.add(0.9)
    quality.merge(Moments.of_sums(count=12, total=10.8, squares=9.9))   # a window of the store
    """

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Moments:
        moments = cls()
        for value in values:
            moments.add(value)
        return moments

    @classmethod
    def of_sums(cls, *, count: float, total: float, squares: float) -> Moments:
        """From a count, a sum and a sum of squares. Rounding cannot make the variance negative."""
        if count <= 0:
            return cls()
        return cls(count, total / count, max(0.0, squares - total * total / count))

    @classmethod
    def of_rate(cls, count: float, hits: float) -> Moments:
        """Of values 0 and 1. The variance is that with one more of each, as for Agresti and Caffo (2000): all values
        the same do not mean that the rate is known for sure."""
        if count <= 0:
            return cls()
        rate = (hits + 1) / (count + 2)
        return cls(count, hits / count, count * rate * (1 - rate))

    def with_least_deviation(self, deviation: float) -> Moments:
        """With at least this standard deviation, where values that are all the same are possible."""
        least = deviation * deviation * max(0.0, self.count - 1)
        return Moments(self.count, self.mean, max(self.squares, least))

    def add(self, value: float) -> None:
        self.count += 1
        away = value - self.mean
        self.mean += away / self.count
        self.squares += away * (value - self.mean)

    def merge(self, other: Moments) -> None:
        """Add what `other` has seen (Chan, Golub and LeVeque 1983)."""
        if other.count <= 0:
            return
        count = self.count + other.count
        away = other.mean - self.mean
        self.mean += away * other.count / count
        self.squares += other.squares + away * away * self.count * other.count / count
        self.count = count

    @property
    def variance(self) -> float:
        """The sample's variance (n - 1); 0 with fewer than two values."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


def adjust_arms(*arms: tuple[Moments, Moments, float]) -> tuple[Moments, ...]:
    """The moments of y - theta (x - mean x) per arm, with one theta and one mean of the covariate x over all arms:
    CUPED (Deng et al. 2013).

    theta = sum of the arms' cov(x, y) over the sum of their var(x); the variance falls by 1 - correlation².

    `arms`: of each the moments of the outcome y and of x, and the sum of products of their distances from the means.
    The covariate must be known before the assignment, or not depend on it.
    """
    squares = sum(x.squares for _, x, _ in arms)
    theta = sum(products for _, _, products in arms) / squares if squares else 0.0
    count = sum(x.count for _, x, _ in arms)
    mean = sum(x.mean * x.count for _, x, _ in arms) / count if count else 0.0
    return tuple(
        Moments(
            y.count,
            y.mean - theta * (x.mean - mean),
            max(0.0, y.squares - 2 * theta * products + theta * theta * x.squares),
        )
        for y, x, products in arms
    )
