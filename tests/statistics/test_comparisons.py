"""Tests at a planned sample size against SciPy, statsmodels and a published table.

Both libraries are imported where they are used: every process of the suite imports this module, and one runs it.
"""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import scipy

from tilores_core.statistics import (
    Moments,
    change_point,
    cohens_kappa,
    expected_loss,
    mcnemar_exact,
    newcombe,
    paired_t,
    power,
    probability_better,
    sample_size,
    slope,
    two_proportions,
    welch_t,
    wilson,
)

_RANDOM = random.Random(7)
_FIRST = [_RANDOM.gauss(0.8, 0.1) for _ in range(40)]
_SECOND = [value + _RANDOM.gauss(0.03, 0.05) for value in _FIRST]


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, float(expected), rel_tol=1e-9, abs_tol=1e-12)


def test_paired_t_equals_scipy() -> None:
    ours, theirs = paired_t(_FIRST, _SECOND), scipy.stats.ttest_rel(_SECOND, _FIRST)
    interval = theirs.confidence_interval(0.95)
    assert _close(ours.statistic, theirs.statistic)
    assert _close(ours.p_value, theirs.pvalue)
    assert _close(ours.low, interval.low)
    assert _close(ours.high, interval.high)


def test_welch_t_equals_scipy_and_statsmodels() -> None:
    from statsmodels.stats import weightstats

    ours = welch_t(Moments.of(_FIRST), Moments.of(_SECOND[:25]))
    theirs = scipy.stats.ttest_ind(_SECOND[:25], _FIRST, equal_var=False)
    assert _close(ours.statistic, theirs.statistic)
    assert _close(ours.p_value, theirs.pvalue)
    assert _close(ours.df, theirs.df)
    means = weightstats.CompareMeans(weightstats.DescrStatsW(_SECOND[:25]), weightstats.DescrStatsW(_FIRST))
    low, high = means.tconfint_diff(usevar="unequal")
    assert _close(ours.low, low)
    assert _close(ours.high, high)


def test_means_without_any_spread_are_compared_exactly() -> None:
    same = Moments.of([0.5, 0.5, 0.5])
    assert welch_t(same, same).p_value == 1.0
    assert welch_t(same, Moments.of([0.7, 0.7])).p_value == 0.0


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 3), (1, 9), (40, 22), (300, 371)])
def test_mcnemar_exact_equals_statsmodels(only_first: int, only_second: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    theirs = mcnemar([[5, only_first], [only_second, 5]], exact=True).pvalue if only_first + only_second else 1.0
    assert _close(mcnemar_exact(only_first, only_second), theirs)


@pytest.mark.parametrize(("s1", "n1", "s2", "n2"), [(0, 10, 1, 12), (80, 100, 92, 110), (850, 1_000, 871, 1_000)])
def test_proportions_equal_statsmodels(s1: int, n1: int, s2: int, n2: int) -> None:
    from statsmodels.stats import proportion

    for ours, theirs in zip(wilson(s1, n1), proportion.proportion_confint(s1, n1, method="wilson"), strict=True):
        assert _close(ours, theirs)
    interval = proportion.confint_proportions_2indep(s2, n2, s1, n1, method="newcomb", compare="diff")
    for ours, theirs in zip(newcombe(s1, n1, s2, n2), interval, strict=True):
        assert _close(ours, theirs)
    z, p_value = proportion.proportions_ztest([s2, s1], [n2, n1])
    assert _close(two_proportions(s1, n1, s2, n2).statistic, z)
    assert _close(two_proportions(s1, n1, s2, n2).p_value, p_value)


def test_nothing_observed_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert newcombe(0, 0, 1, 1) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("first", "second", "needed", "for_more"),
    [(0.85, 0.87, 4_724, 6_324), (0.85, 0.88, 2_036, 2_725), (0.85, 0.90, 686, 918), (0.90, 0.92, 3_213, 4_301)],
)
def test_sample_size_equals_published_table_and_inverts_power(
    first: float, second: float, needed: int, for_more: int
) -> None:
    assert sample_size(first, second) == needed
    assert sample_size(first, second, power=0.9) == for_more
    assert power(first, second, needed - 1) < 0.8 <= power(first, second, needed)


def test_cohens_kappa_equals_statsmodels() -> None:
    from statsmodels.stats import inter_rater

    first = [_RANDOM.choice("abc") for _ in range(200)]
    second = [label if _RANDOM.random() < 0.7 else _RANDOM.choice("abc") for label in first]
    table, _ = inter_rater.to_table(
        list(zip(["abc".index(a) for a in first], ["abc".index(b) for b in second], strict=True))
    )
    assert _close(cohens_kappa(first, second), inter_rater.cohens_kappa(table).kappa)
    assert cohens_kappa([1, 1], [1, 1]) == 1.0


def test_probability_better_equals_closed_sum() -> None:
    def closed(a: tuple[int, int], b: tuple[int, int]) -> float:  # Miller 2015, for whole parameters
        return math.fsum(
            math.exp(_log_beta(a[0] + i, b[1] + a[1]) - math.log(b[1] + i) - _log_beta(1 + i, b[1]) - _log_beta(*a))
            for i in range(b[0])
        )

    for a, b in [
        ((1, 1), (1, 1)),
        ((2, 9), (4, 7)),
        ((851, 151), (881, 121)),
        ((41, 3), (900, 102)),
        ((9, 2), (9, 2)),
    ]:
        assert math.isclose(probability_better(a, b), closed(a, b), rel_tol=1e-9)
        assert math.isclose(probability_better(a, b) + probability_better(b, a), 1, rel_tol=1e-9)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def test_expected_loss_equals_scipy_integral() -> None:
    for a, b in [((3, 5), (6, 4)), ((81, 21), (85, 17))]:
        density_a, density_b = scipy.stats.beta(*a), scipy.stats.beta(*b)

        def lost(y: float, x: float, first: Any = density_a, second: Any = density_b) -> float:
            return float((x - y) * first.pdf(x) * second.pdf(y))

        loss, _ = scipy.integrate.dblquad(lost, 0, 1, 0, lambda x: x, epsabs=1e-11)
        assert math.isclose(expected_loss(a, b), loss, rel_tol=1e-9, abs_tol=1e-11)


def test_slope_equals_scipy() -> None:
    times = [0.0, 1.0, 2.5, 3.0, 4.0, 7.0, 8.5]
    values = [0.91, 0.9, 0.92, 0.88, 0.87, 0.86, 0.83]
    ours, theirs = slope(values, times), scipy.stats.linregress(times, values)
    assert _close(ours.slope, theirs.slope)
    assert _close(ours.intercept, theirs.intercept)
    assert _close(ours.p_value, theirs.pvalue)
    half = scipy.stats.t.ppf(0.975, len(times) - 2) * theirs.stderr
    assert _close(ours.high - ours.low, 2 * half)


def test_change_point_finds_level_and_stays_quiet_without_one() -> None:
    changed = [_RANDOM.gauss(0.92, 0.02) for _ in range(30)] + [_RANDOM.gauss(0.86, 0.02) for _ in range(20)]
    found = change_point(changed)
    assert found is not None
    assert abs(found.index - 30) <= 1
    assert found.p_value < 1e-4
    quiet = [change_point([_RANDOM.gauss(0.9, 0.02) for _ in range(60)]) for _ in range(400)]
    assert sum(point is not None and point.p_value < 0.05 for point in quiet) <= 400 * 0.08
    assert change_point([0.9, 0.8, 0.9]) is None
    constant = change_point([0.9] * 10)
    assert constant is not None
    assert constant.p_value == 1.0
