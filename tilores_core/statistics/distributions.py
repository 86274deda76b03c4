"""Distribution functions and quantiles, in pure Python, to about 1e-12 of SciPy's.

The regularised incomplete beta function by the continued fraction of Numerical Recipes (3rd ed., 6.4), by Lentz's
method. For large parameters the factors in front are computed from Stirling's series, because differences of
`math.lgamma` would lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final

_NORMAL: Final = NormalDist()
_TINY: Final = 1e-300
_EPSILON: Final = 1e-15
_LARGE: Final = 10.0
"""From here on Stirling's series is exact to the last digit."""
_STIRLING: Final = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def normal_quantile(probability: float) -> float:
    """The z with P(Z <= z) = `probability`, which must lie between 0 and 1 (`ValueError`)."""
    return _NORMAL.inv_cdf(probability)


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) of Beta(a, b): the regularised incomplete beta function."""
    _positive(a, b)
    if x <= 0:
        return 0.0
    return 1.0 if x >= 1 else _incomplete_beta(a, b, x, 1 - x)


def t_tail(t: float, df: float) -> float:
    """P(T > t) for t >= 0, exact far into the tail."""
    _positive(df)
    if math.isinf(t):
        return 0.0
    square = t * t
    if square == 0:
        return 0.5
    return _incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square)) / 2


def t_quantile(probability: float, df: float) -> float:
    """The t with P(T <= t) = `probability`, which must lie between 0 and 1 (`ValueError`)."""
    if not 0 < probability < 1:
        raise ValueError(f"a probability must lie between 0 and 1, not {probability}")
    tail = min(probability, 1 - probability)
    high = 1.0
    while t_tail(high, df) > tail:
        high *= 2
    t = _bisect(lambda value: -t_tail(value, df), -tail, 0.0, high)
    return t if probability > 0.5 else -t


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """P(X <= successes) of Binomial(trials, probability)."""
    if successes < 0:
        return 0.0
    if successes >= trials or probability <= 0:
        return 1.0
    return (
        0.0 if probability >= 1 else _incomplete_beta(trials - successes, successes + 1, 1 - probability, probability)
    )


def kolmogorov_tail(x: float) -> float:
    """P(K > x) of the Kolmogorov distribution: the largest distance of a Brownian bridge from zero."""
    if x < 0.2:
        return 1.0
    if x < 1.18:  # here the other series needs fewer terms
        scale = math.pi**2 / (8 * x * x)
        terms = sum(math.exp(-((2 * k - 1) ** 2) * scale) for k in range(1, 20))
        return 1 - math.sqrt(2 * math.pi) / x * terms
    return 2 * sum((-1.0) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 20))


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function B(a, b)."""
    small, large = min(a, b), max(a, b)
    if large < _LARGE:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    total = small + large
    if small < _LARGE:
        ratio = -(large - 0.5) * math.log1p(small / large) - small * math.log(total) + small
        return math.lgamma(small) + ratio + _stirling(large) - _stirling(total)
    powers = -small * math.log1p(large / small) - large * math.log1p(small / large)
    return powers + math.log(2 * math.pi * total / (small * large)) / 2 + _stirling_of_beta(a, b)


def _stirling(x: float) -> float:
    """What Stirling's formula leaves out of log Γ(x), for x >= 10."""
    square = x * x
    result, power = 0.0, x
    for coefficient in _STIRLING:
        result += coefficient / power
        power *= square
    return result


def _stirling_of_beta(a: float, b: float) -> float:
    return _stirling(a) + _stirling(b) - _stirling(a + b)


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """I_x(a, b) with y = 1 - x, given apart because one of them may be tiny."""
    if x <= 0 or y <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta_below(b, a, y, x)
    return _incomplete_beta_below(a, b, x, y)


def _incomplete_beta_below(a: float, b: float, x: float, y: float) -> float:
    return math.exp(_log_beta_factor(a, b, x, y)) / a / _beta_fraction(a, b, x)


def _log_beta_factor(a: float, b: float, x: float, y: float) -> float:
    """log(x^a y^b / B(a, b)), without the cancellation that the three terms would have."""
    if a >= _LARGE and b >= _LARGE:
        away = x * b - y * a
        powers = a * _log1p(away / a, x * (a + b) / a) + b * _log1p(-away / b, y * (a + b) / b)
        return powers + math.log(a * b / (2 * math.pi * (a + b))) / 2 - _stirling_of_beta(a, b)
    log_x = math.log1p(-y) if y < 0.5 else math.log(x)
    log_y = math.log1p(-x) if x < 0.5 else math.log(y)
    return a * log_x + b * log_y - log_beta(a, b)


def _log1p(difference: float, value: float) -> float:
    """log(value), where difference = value - 1 is known more exactly."""
    return math.log1p(difference) if abs(difference) < 0.5 else math.log(max(value, _TINY))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction; about sqrt(max(a, b)) terms."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d)
        c = _away_from_zero(1 + even / c)
        result *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d)
        c = _away_from_zero(1 + odd / c)
        step = d * c
        result *= step
        if abs(step - 1) < _EPSILON:
            break
    return 1 / result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _bisect(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    for _ in range(200):  # enough for 1e-60, where doubles usually end earlier
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if rising(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _positive(*values: float) -> None:
    for value in values:
        if not value > 0:
            raise ValueError(f"a parameter of the distribution must be above 0, not {value}")
