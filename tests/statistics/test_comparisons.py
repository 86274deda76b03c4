"""Tests at a planned sample size against SciPy, statsmodels and a published table.

Both libraries are imported where they are used: every process of the suite imports this module, and one runs it.
"""

from __future__ import annotations

import math
import random

import pytest
import scipy

from tilores_core.statistics import (
    change_point,
    cohens_kappa,
    mcnemar_exact,
    paired_t,
    sample_size,
    slope,
)

_RANDOM = random.Random(7)
_FIRST = [_RANDOM.gauss(0.8, 0.1) for _ in range(40)]
_SECOND = [value + _RANDOM.gauss(0.03, 0.05) for value in _FIRST]


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, float(expected), rel_tol=1e-9, abs_tol=1e-12)


def test_paired_t_equals_scipy() -> None:
    ours, theirs = paired_t(_FIRST, _SECOND), scipy.stats.ttest_rel(_SECOND, _FIRST)
    interval = theirs.confidence_interval(0.95)
    assert _close(ours.p_value, theirs.pvalue)
    assert _close(ours.low, interval.low)
    assert _close(ours.high, interval.high)


def test_means_without_any_spread_are_compared_exactly() -> None:
    same = [0.5, 0.5, 0.5]
    assert paired_t(same, same).p_value == 1.0
    assert paired_t(same, [0.7, 0.7, 0.7]).p_value == 0.0


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 3), (1, 9), (40, 22), (300, 371)])
def test_mcnemar_exact_equals_statsmodels(only_first: int, only_second: int) -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    theirs = mcnemar([[5, only_first], [only_second, 5]], exact=True).pvalue if only_first + only_second else 1.0
    assert _close(mcnemar_exact(only_first, only_second), theirs)


@pytest.mark.parametrize(
    ("first", "second", "needed", "for_more"),
    [(0.85, 0.87, 4_724, 6_324), (0.85, 0.88, 2_036, 2_725), (0.85, 0.90, 686, 918), (0.90, 0.92, 3_213, 4_301)],
)
def test_sample_size_equals_published_table(first: float, second: float, needed: int, for_more: int) -> None:
    assert sample_size(first, second) == needed
    assert sample_size(first, second, power=0.9) == for_more


def test_cohens_kappa_equals_statsmodels() -> None:
    from statsmodels.stats import inter_rater

    first = [_RANDOM.choice("abc") for _ in range(200)]
    second = [label if _RANDOM.random() < 0.7 else _RANDOM.choice("abc") for label in first]
    table, _ = inter_rater.to_table(
        list(zip(["abc".index(a) for a in first], ["abc".index(b) for b in second], strict=True))
    )
    assert _close(cohens_kappa(first, second), inter_rater.cohens_kappa(table).kappa)
    assert cohens_kappa([1, 1], [1, 1]) == 1.0


def test_slope_equals_scipy() -> None:
    times = [0.0, 1.0, 2.5, 3.0, 4.0, 7.0, 8.5]
    values = [0.91, 0.9, 0.92, 0.88, 0.87, 0.86, 0.83]
    ours, theirs = slope(values, times), scipy.stats.linregress(times, values)
    assert _close(ours.slope, theirs.slope)
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
