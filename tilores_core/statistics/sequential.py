"""Always-valid statements, to be looked at as often as you like: a difference of means, a floor, a split of traffic.

`MeanSPRT` is a function of the moments of two arms; so it can be fed by single values as well as by windows, and no
look depends on how many came before. It is asymptotic: it holds from `minimum` values per arm on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tilores_core.statistics.comparisons import Difference
from tilores_core.statistics.moments import Moments


@dataclass(slots=True, kw_only=True)
class MeanSPRT:
    """The mixture sequential probability ratio test of a difference of means (Johari et al., arXiv 1512.04922).

    With the variance v of the estimated difference d (s1²/n1 + s2²/n2) and a normal mixture of standard deviation
    `tau` around the hypothesis: L = sqrt(v / (v + tau²)) exp(tau² d² / (2 v (v + tau²))); the p-value is the smallest
    1 / L so far. `tau`: near the difference that matters. `null`: the difference that is tested against (0, or minus
    the margin of non-inferiority). The interval is the test turned around: where L stays below 1 / `alpha`.
    """

    tau: float = 0.04
    alpha: float = 0.05
    null: float = 0.0
    minimum: float = 50.0
    p_value: float = 1.0

    def look(self, control: Moments, treatment: Moments) -> Difference:
        """What all values so far say, valid at every look: the p-value never rises again. Before there is enough: an
        infinite interval and a p-value of 1."""
        difference = treatment.mean - control.mean
        is_little = min(control.count, treatment.count) < max(self.minimum, 2)
        v = 0.0 if is_little else control.variance / control.count + treatment.variance / treatment.count
        if not v:  # too little of either arm, or nothing has varied yet
            return Difference(difference, -math.inf, math.inf, self.p_value)
        tau2 = self.tau * self.tau
        away = difference - self.null
        log_ratio = math.log(v / (v + tau2)) / 2 + tau2 * away * away / (2 * v * (v + tau2))
        self.p_value = min(self.p_value, math.exp(-max(log_ratio, 0.0)))
        half = math.sqrt(2 * v * (v + tau2) / tau2 * (math.log((v + tau2) / v) / 2 - math.log(self.alpha)))
        return Difference(difference, difference - half, difference + half, self.p_value)


_MEMORY: Final = 50.0
_MEMORY_PER_VARIANCE: Final = 2000.0
_MEAN_WEIGHT: Final = 40.0
_VARIANCE_WEIGHT: Final = 3.0
_PRIOR_DROP: Final = 0.05
_PRIOR_VARIANCE: Final = 0.04
_HELD: Final = 0.03
_RESERVE: Final = 0.05
_SPENT: Final = 0.1


@dataclass(slots=True, kw_only=True)
class FloorTest:
    """An e-process against "each score's mean is at least `floor`", for scores in [0, 1].

    Betting (Waudby-Smith and Ramdas, arXiv 2010.09686, section 4): the capital is multiplied by 1 + bet (floor -
    score), and the bet was fixed before the score. While the floor holds, the capital reaches 1 / `alpha` with
    probability `alpha` at most, however long the stream is and however often it is looked at (Ville's inequality).

    The bet is Kelly's, (floor - mean) / variance, at most half of what keeps the capital positive. Mean and variance
    are exponentially weighted over the last 50 scores, or 2,000 times the variance when that is more (the last 250 of
    0 and 1 at 85 %); so noisier scores are looked at for longer. The first guess is a mean of 5 points below the
    floor, with the weight of 40 scores, and a variance of 0.04, with the weight of 3. The mean is held 3 points above
    the floor at most, so that a long good past delays the alarm little. A twentieth of the capital is kept back and
    put in bit by bit, 1 / (k (k + 1)) of it each time that nine tenths of what was put in are lost: so a fall is
    noticed after any past.
    """

    floor: float
    alpha: float = 0.05
    count: int = 0
    mean: float = -1.0
    variance: float = _PRIOR_VARIANCE
    active: float = 1 - _RESERVE
    reserve: float = _RESERVE
    put_in: float = 1 - _RESERVE
    restarts: int = 0
    highest: float = 1.0
    """The largest capital so far: 1 / `highest` is an always-valid p-value."""

    def __post_init__(self) -> None:
        if not (0 < self.floor < 1 and 0 < self.alpha < 1):
            raise ValueError(f"floor and alpha must lie between 0 and 1, not {self.floor} and {self.alpha}")
        if self.mean < 0:
            self.mean = max(0.0, self.floor - _PRIOR_DROP)

    def add(self, score: float) -> None:
        """Raises `ValueError` for a score outside [0, 1]."""
        if not 0 <= score <= 1:
            raise ValueError(f"a score must lie in [0, 1], not {score}")
        if (gap := self.floor - self.mean) > 0:
            bet = min(gap / (self.variance + gap * gap), 0.5 / (1 - self.floor))
            self.active *= 1 + bet * (self.floor - score)
            if self.active < _SPENT * self.put_in:
                self._put_in()
            self.highest = max(self.highest, self.capital)
        self.count += 1
        memory = max(_MEMORY, _MEMORY_PER_VARIANCE * self.variance)
        away, weight = score - self.mean, 1 / min(self.count + _VARIANCE_WEIGHT, memory)
        self.variance = (1 - weight) * (self.variance + weight * away * away)
        self.mean = min(self.mean + away / min(self.count + _MEAN_WEIGHT, memory), self.floor + _HELD)

    @property
    def capital(self) -> float:
        """The evidence now: its expectation is 1 at most while the floor holds."""
        return self.active + self.reserve

    @property
    def breached(self) -> bool:
        """Whether the floor was breached at any time; a new test is begun to look again."""
        return self.highest * self.alpha >= 1

    def _put_in(self) -> None:
        self.restarts += 1
        share = _RESERVE / (self.restarts * (self.restarts + 1))
        self.reserve -= share
        self.active += share
        self.put_in = self.active


def ratio_mismatch_p(counts: Sequence[int], shares: Sequence[float], *, concentration: float = 100.0) -> float:
    """The p-value that what was assigned to each arm so far was not split by these shares (Lindon and Malek, arXiv
    2011.03567); the smallest of all looks is always valid.

    It is the inverse of the Bayes factor of a Dirichlet-multinomial alternative with parameters `concentration` ·
    shares against these shares, at most 1. A concentration of 100 expects mismatches of about 5 points. Raises
    `ValueError` for shares that are not above 0 or do not add up to 1, or another number of counts.
    """
    if len(shares) < 2 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"at least two shares above 0 that add up to 1, not {shares}")
    log_factor = math.lgamma(concentration) - math.lgamma(concentration + sum(counts))
    for share, count in zip(shares, counts, strict=True):
        prior = share * concentration
        log_factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return math.exp(-max(log_factor, 0.0))
