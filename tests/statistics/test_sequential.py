"""Always-valid tests: their formulas computed at once, a restart, and false alarms in small simulations.

The full simulations are in benchmarks/statistics.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import asdict

import pytest
import scipy

from tilores_core.statistics import (
    FloorTest,
    MeanSPRT,
    Moments,
    adjust_arms,
    ratio_mismatch_p,
)


def _close(value: float, expected: float) -> bool:
    return math.isclose(value, float(expected), rel_tol=1e-9, abs_tol=1e-12)


def _arms(n: int, seed: int = 3) -> tuple[list[float], list[float]]:
    draw = random.Random(seed)
    return [draw.gauss(0.8, 0.2) for _ in range(n)], [draw.gauss(0.83, 0.25) for _ in range(n)]


def test_moments_merge_and_sums_equal_single_pass() -> None:
    values, _ = _arms(50)
    whole, left = Moments.of(values), Moments.of(values[:20])
    left.merge(Moments.of_sums(count=30, total=sum(values[20:]), squares=sum(v * v for v in values[20:])))
    left.merge(Moments())
    assert _close(left.mean, whole.mean)
    assert _close(left.variance, whole.variance)
    assert Moments.of_sums(count=3, total=0.3, squares=0.03).variance < 1e-15
    assert Moments.of_sums(count=0, total=0, squares=0) == Moments()
    assert Moments().variance == 0.0


def test_msprt_with_equal_arms_equals_published_formula() -> None:
    control, treatment = _arms(200)
    first, second = Moments.of(control), Moments.of(treatment)
    n, tau, v = 200, 0.04, first.variance + second.variance
    d = second.mean - first.mean
    ratio = math.sqrt(v / (v + n * tau**2)) * math.exp(n**2 * tau**2 * d**2 / (2 * v * (v + n * tau**2)))
    test = MeanSPRT(tau=tau)
    look = test.look(first, second)
    assert _close(look.p_value, min(1.0, 1 / ratio))
    # The end of the interval is where the test of that difference is just not significant.
    assert _close(MeanSPRT(tau=tau, null=look.low).look(first, second).p_value, 0.05)
    assert test.look(first, Moments.of(treatment[:100])).p_value <= look.p_value, "a p-value never rises again"


def test_looks_with_too_few_values_say_nothing() -> None:
    few = Moments.of([0.9] * 49)
    look = MeanSPRT().look(few, few)
    assert (look.low, look.high, look.p_value) == (-math.inf, math.inf, 1.0)


def test_ratio_mismatch_equals_dirichlet_multinomial_bayes_factor() -> None:
    shares, counts = (0.5, 0.3, 0.2), [130, 61, 44]
    prior = [100 * share for share in shares]
    marginal = scipy.special.gammaln(100) - scipy.special.gammaln(100 + sum(counts))
    marginal += sum(
        scipy.special.gammaln(a + n) - scipy.special.gammaln(a) for a, n in zip(prior, counts, strict=True)
    )
    expected = sum(n * math.log(share) for n, share in zip(counts, shares, strict=True))
    assert _close(ratio_mismatch_p(counts, shares), min(1.0, math.exp(expected - marginal)))
    with pytest.raises(ValueError, match="argument"):
        ratio_mismatch_p([1, 2], shares)
    with pytest.raises(ValueError, match="add up to 1"):
        ratio_mismatch_p([1, 2], (0.5, 0.6))


def test_ratio_mismatch_of_five_points_is_noticed_and_none_is_not() -> None:
    draw = random.Random(5)
    noticed = false = 0
    for _ in range(40):
        wrong = right = 1.0
        ones = zeros = fair = 0
        for look in range(1, 46):
            ones += sum(draw.random() < 0.55 for _ in range(100))
            fair += sum(draw.random() < 0.5 for _ in range(100))
            zeros = look * 100 - ones
            wrong = min(wrong, ratio_mismatch_p([zeros, ones], (0.5, 0.5)))
            right = min(right, ratio_mismatch_p([look * 100 - fair, fair], (0.5, 0.5)))
        noticed += wrong <= 0.001
        false += right <= 0.001
    assert noticed == 40
    assert false == 0


def test_cuped_keeps_the_difference_and_takes_away_explained_variance() -> None:
    draw = random.Random(9)
    arms = []
    for lift in (0.0, 0.1):
        xs = [draw.gauss(0, 1) for _ in range(2000)]
        ys = [x * 0.8 + draw.gauss(0, 0.6) + lift for x in xs]
        outcome, covariate = Moments.of(ys), Moments.of(xs)
        products = sum((x - covariate.mean) * (y - outcome.mean) for x, y in zip(xs, ys, strict=True))
        arms.append((outcome, covariate, products))
    control, treatment = adjust_arms(*arms)
    assert abs(treatment.mean - control.mean - 0.1) < 0.05
    assert 0.30 < control.variance / arms[0][0].variance < 0.42, "1 - correlation² is 0.36"


def test_floor_over_any_past_keeps_capital_positive_and_rejects_scores_outside() -> None:
    test = FloorTest(floor=0.9)
    for score in [1.0] * 500 + [0.0] * 500 + [1.0] * 500:
        test.add(score)
        assert test.capital > 0
    assert test.breached, "what was breached stays so"
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        test.add(1.01)
    with pytest.raises(ValueError, match="between 0 and 1"):
        FloorTest(floor=1.0)


def _delay(test: FloorTest, draw: Callable[[], float], limit: int) -> int | None:
    for index in range(limit):
        test.add(draw())
        if test.breached:
            return index + 1
    return None


def test_floor_in_small_simulation_is_quiet_at_the_floor_and_quick_below() -> None:
    draw = random.Random(21)
    at_floor = [_delay(FloorTest(floor=0.9), lambda: draw.betavariate(7.2, 0.8), 400) for _ in range(120)]
    assert sum(delay is not None for delay in at_floor) <= 120 * 0.05 + 5, "5 %, and what chance adds in 120 series"
    below = sorted(_delay(FloorTest(floor=0.9), lambda: draw.betavariate(10.0, 1.76), 400) or 400 for _ in range(60))
    assert below[30] <= 40
    fallen = []
    for _ in range(30):
        test = FloorTest(floor=0.9)
        _delay(test, lambda: draw.betavariate(17.1, 0.9), 500)
        fallen.append(_delay(test, lambda: draw.betavariate(10.0, 1.76), 500) or 500)
    assert sorted(fallen)[15] <= 110, "a long good past does not hide a fall"


def test_msprt_in_small_simulation_finds_no_winner_between_equal_arms() -> None:
    draw = random.Random(33)
    winners = 0
    for _ in range(60):
        test, control, treatment = MeanSPRT(), Moments(), Moments()
        for _ in range(20):
            for arm in (control, treatment):
                successes = sum(draw.random() < 0.88 for _ in range(50))
                arm.merge(Moments.of_sums(count=50, total=successes, squares=successes))
            winners += test.p_value > 0.05 >= test.look(control, treatment).p_value
    assert winners <= 3


def test_state_as_json_goes_on_as_if_never_stored() -> None:
    draw = random.Random(2)
    scores = [draw.betavariate(8, 1.5) for _ in range(60)]
    kept, restored = FloorTest(floor=0.9), FloorTest(floor=0.9)
    for score in scores[:30]:
        kept.add(score)
        restored.add(score)
    restored = FloorTest(**json.loads(json.dumps(asdict(restored))))
    for score in scores[30:]:
        kept.add(score)
        restored.add(score)
    assert kept == restored
