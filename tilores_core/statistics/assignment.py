"""What an experiment needs beside the lift: is traffic split as it should be, and less noise by a covariate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from tilores_core.statistics.moments import Moments


@dataclass(slots=True, kw_only=True)
class RatioMismatchTest:
    """The sequential test for a sample ratio mismatch (Lindon and Malek, arXiv 2011.03567).

    `shares`: what each arm should get; they add up to 1. The Bayes factor of a Dirichlet-multinomial alternative with
    parameters `concentration` · shares against these shares; its inverse is an always-valid p-value. A concentration
    of 100 expects mismatches of about 5 points. Raises `ValueError` for shares that are not above 0 or do not add up.
    """

    shares: tuple[float, ...]
    alpha: float = 0.001
    concentration: float = 100.0
    counts: list[int] = field(default_factory=list)
    p_value: float = 1.0

    def __post_init__(self) -> None:
        self.shares = tuple(self.shares)
        if len(self.shares) < 2 or min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"at least two shares above 0 that add up to 1, not {self.shares}")
        self.counts = list(self.counts) or [0] * len(self.shares)

    def add(self, arm: int, count: int = 1) -> None:
        """Count an assignment, or several, to the arm with this index."""
        self.counts[arm] += count
        self._look()

    def update(self, counts: Sequence[int]) -> None:
        """Take the counts of all arms since the beginning. Raises `ValueError` for another number of arms."""
        if len(counts) != len(self.shares):
            raise ValueError(f"{len(self.shares)} counts, not {len(counts)}")
        self.counts = list(counts)
        self._look()

    @property
    def mismatch(self) -> bool:
        return self.p_value <= self.alpha

    def _look(self) -> None:
        total = sum(self.counts)
        log_factor = math.lgamma(self.concentration) - math.lgamma(self.concentration + total)
        for share, count in zip(self.shares, self.counts, strict=True):
            prior = share * self.concentration
            log_factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
        self.p_value = min(self.p_value, math.exp(-max(log_factor, 0.0)))


@dataclass(slots=True)
class Cuped:
    """The moments of an outcome and a covariate of one arm, for CUPED (Deng et al. 2013).

    The covariate must be known before the assignment, or not depend on it. `adjust_arms` gives what is compared.
    """

    count: float = 0.0
    outcome: float = 0.0
    covariate: float = 0.0
    outcome_squares: float = 0.0
    covariate_squares: float = 0.0
    products: float = 0.0

    def add(self, outcome: float, covariate: float) -> None:
        self.count += 1
        away_y, away_x = outcome - self.outcome, covariate - self.covariate
        self.outcome += away_y / self.count
        self.covariate += away_x / self.count
        self.outcome_squares += away_y * (outcome - self.outcome)
        self.covariate_squares += away_x * (covariate - self.covariate)
        self.products += away_x * (outcome - self.outcome)


def adjust_arms(*arms: Cuped) -> tuple[Moments, ...]:
    """The moments of y - theta (x - mean x) per arm, with one theta and one mean of the covariate over all arms.

    theta = sum of the arms' cov(x, y) over the sum of their var(x); the variance falls by 1 - correlation².
    """
    squares = sum(arm.covariate_squares for arm in arms)
    theta = sum(arm.products for arm in arms) / squares if squares else 0.0
    count = sum(arm.count for arm in arms)
    mean = sum(arm.covariate * arm.count for arm in arms) / count if count else 0.0
    return tuple(
        Moments(
            arm.count,
            arm.outcome - theta * (arm.covariate - mean),
            max(0.0, arm.outcome_squares - 2 * theta * arm.products + theta * theta * arm.covariate_squares),
        )
        for arm in arms
    )
