"""Distributions against SciPy."""

from __future__ import annotations

import math

import pytest
import scipy

from tilores_core.statistics import distributions as ours

_SHAPES = (0.3, 0.5, 1.0, 2.5, 7.0, 12.0, 40.5, 300.0, 25_000.0, 1_000_000.0)


def _close(value: float, expected: float, *parameters: float) -> bool:
    tolerance = 1e-9 if max(parameters) <= 25_000 else 1e-7
    return math.isclose(value, float(expected), rel_tol=tolerance, abs_tol=1e-300)


@pytest.mark.parametrize("a", _SHAPES)
def test_beta_cdf_over_shapes_equals_scipy(a: float) -> None:
    for b in _SHAPES:
        mean, deviation = a / (a + b), math.sqrt(a * b / (a + b + 1)) / (a + b)
        for away in (-6, -3, -1, -0.1, 0, 0.1, 1, 3, 6):
            x = mean + away * deviation
            if 0 < x < 1:
                assert _close(ours.beta_cdf(x, a, b), scipy.special.betainc(a, b, x), a, b), (a, b, x)


@pytest.mark.parametrize("df", [1, 2, 3.7, 19, 20, 150, 4_321.5, 1e7])
def test_t_distribution_in_both_tails_equals_scipy(df: float) -> None:
    for t in (0, 1e-9, 1e-3, 0.5, 2, 8, 40):
        assert _close(ours.t_tail(t, df), scipy.stats.t.sf(t, df), df), t
    for probability in (1e-6, 0.025, 0.3, 0.5, 0.9, 0.995):
        assert _close(ours.t_quantile(probability, df), scipy.stats.t.ppf(probability, df), df)


def test_normal_quantile_and_kolmogorov_tail_equal_scipy() -> None:
    for probability in (1e-12, 0.025, 0.5, 0.999):
        assert math.isclose(
            ours.normal_quantile(probability), scipy.stats.norm.ppf(probability), rel_tol=1e-9, abs_tol=1e-12
        )
    for x in (0.1, 0.3, 0.8, 1.17, 1.19, 1.36, 3.0):
        assert math.isclose(ours.kolmogorov_tail(x), scipy.stats.kstwobign.sf(x), rel_tol=1e-9)


def test_parameters_outside_their_range_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        ours.beta_cdf(0.5, 0, 1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        ours.t_quantile(1.0, 3)
