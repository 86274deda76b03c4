"""Always-valid statements about a difference of means: look as often as you like.

`MeanSPRT` is a function of the moments of two arms; so it can be fed by single values as well as by windows, and no
look depends on how many came before. It is asymptotic: it holds from `minimum` values per arm on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tilores_core.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Look:
    """A difference (treatment minus control) with its interval, both valid at every look.

    Before there is enough: an infinite interval and a p-value of 1.
    """

    difference: float
    low: float
    high: float
    p_value: float


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

    def look(self, control: Moments, treatment: Moments) -> Look:
        """What all values so far say. The p-value never rises again."""
        difference = treatment.mean - control.mean
        v = _variance_of_difference(control, treatment, self.minimum)
        if v is None:
            return Look(difference, -math.inf, math.inf, self.p_value)
        tau2 = self.tau * self.tau
        away = difference - self.null
        log_ratio = math.log(v / (v + tau2)) / 2 + tau2 * away * away / (2 * v * (v + tau2))
        self.p_value = min(self.p_value, math.exp(-max(log_ratio, 0.0)))
        half = math.sqrt(2 * v * (v + tau2) / tau2 * (math.log((v + tau2) / v) / 2 - math.log(self.alpha)))
        return Look(difference, difference - half, difference + half, self.p_value)


def _variance_of_difference(control: Moments, treatment: Moments, minimum: float) -> float | None:
    """None while there is too little of either arm, or nothing has varied yet."""
    if min(control.count, treatment.count) < max(minimum, 2):
        return None
    return (control.variance / control.count + treatment.variance / treatment.count) or None
