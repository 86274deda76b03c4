"""False alarms and delays of the always-valid tests in seeded simulations, with what each must reach.

python benchmarks/statistics/bench_sequential.py [--runs 1000]

Ends with status 1 when a figure is not reached. `--runs`: simulated series per row of the floor's table; the other
tables take 2,000 runs for experiments with equal arms and 400 for each other row. The delays to reach are those of a
plain plug-in bet (300 series each: 37, 299, 38, 342, 19 and 114 scores), the fourth with what its noise may hide.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles

from tilores_core.statistics import ConfidenceSequence, FloorTest, MeanSPRT, Moments, RatioMismatchTest

_failed: list[str] = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20_261)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    floors(draw, given.runs)
    lifts(draw)
    ratios(draw)
    cost(draw)
    print("\nnot reached: " + ", ".join(_failed) if _failed else "\neverything is reached")
    return 1 if _failed else 0


def check(name: str, reached: bool) -> str:
    if not reached:
        _failed.append(name)
    return "yes" if reached else "NO"


# --- floors ------------------------------------------------------------------------------------------------


def graded(draw: random.Random, mean: float, deviation: float) -> Callable[[], float]:
    total = mean * (1 - mean) / deviation**2 - 1
    return lambda: draw.betavariate(mean * total, (1 - mean) * total)


def labels(draw: random.Random, mean: float) -> Callable[[], float]:
    return lambda: float(draw.random() < mean)


def delay(score: Callable[[], float], floor: float, limit: int, past: Callable[[], float] | None = None) -> float:
    """Scores until the alarm, from the fall on; infinite without one, negative for one before the fall."""
    test = FloorTest(floor=floor)
    if past is not None:
        for index in range(2000):
            test.add(past())
            if test.breached:
                return index - 2000
    for index in range(limit):
        test.add(score())
        if test.breached:
            return index + 1
    return math.inf


def floors(draw: random.Random, runs: int) -> None:
    print(f"Floors: {runs} series a row, alpha 0.05")
    print("| floor | scores | true mean | alarms | median delay | 90 % of delays | reach | reached |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for floor in (0.90, 0.85):
        for name, score in (("graded, sd 0.1", graded(draw, floor, 0.1)), ("0 or 1", labels(draw, floor))):
            alarms = sum(delay(score, floor, 2000) < math.inf for _ in range(runs)) / runs
            ok = check(f"false alarms at {floor:.0%}, {name}", alarms <= 0.05)
            print(f"| {floor:.0%} | {name} | {floor:.0%} | {alarms:.1%} | | | false alarms <= 5 % | {ok} |")
    rows = [
        (0.90, 0.85, "graded, sd 0.1", graded(draw, 0.85, 0.1), None, 40),
        (0.90, 0.85, "0 or 1", labels(draw, 0.85), None, 299),
        (0.85, 0.80, "graded, sd 0.1", graded(draw, 0.80, 0.1), None, 40),
        (0.85, 0.80, "0 or 1", labels(draw, 0.80), None, 360),
        (0.85, 0.75, "graded, sd 0.1", graded(draw, 0.75, 0.1), None, 19),
        (0.85, 0.75, "0 or 1", labels(draw, 0.75), None, 114),
        (0.90, 0.85, "graded, after 2,000 of 95 %", graded(draw, 0.85, 0.1), graded(draw, 0.95, 0.07), None),
        (0.90, 0.85, "graded, after 2,000 of 92 %", graded(draw, 0.85, 0.1), graded(draw, 0.92, 0.1), None),
        (0.90, 0.85, "0 or 1, after 2,000 of 95 %", labels(draw, 0.85), labels(draw, 0.95), None),
    ]
    for floor, mean, name, score, past, reach in rows:
        delays = [delay(score, floor, 4000, past) for _ in range(runs)]
        early = sum(one < 0 for one in delays) / runs
        seen = sorted(one for one in delays if one > 0)
        middle, most = median(seen), quantiles(seen, n=10)[-1]
        alarms = sum(one < math.inf for one in seen) / runs
        ok = "-" if reach is None else check(f"delay {floor:.0%} to {mean:.0%}, {name}", middle <= reach)
        wanted = f"<= {reach}" if reach else f"too early: {early:.1%}"
        print(f"| {floor:.0%} | {name} | {mean:.0%} | {alarms:.1%} | {middle:.0f} | {most:.0f} | {wanted} | {ok} |")


# --- lifts -------------------------------------------------------------------------------------------------


def experiment(
    draw: random.Random, control: float, treatment: float, look: Callable[[Moments, Moments], float]
) -> float:
    """Values per arm until the p-value is below 0.05, looked at after every 100 up to 12,000; infinite without."""
    arms = Moments(), Moments()
    for n in range(100, 12_001, 100):
        for arm, rate in zip(arms, (control, treatment), strict=True):
            successes = draw.binomialvariate(100, rate) if hasattr(draw, "binomialvariate") else _binomial(draw, rate)
            arm.merge(Moments.of_sums(count=100, total=successes, squares=successes))
        if look(*arms) <= 0.05:
            return n
    return math.inf


def _binomial(draw: random.Random, rate: float) -> int:
    return sum(draw.random() < rate for _ in range(100))


def lifts(draw: random.Random) -> None:
    print("\nLifts: looked at every 100 values per arm up to 12,000, alpha 0.05")
    print("| test | control | treatment | runs | found | median per arm | reach | reached |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    makers: list[tuple[str, Callable[[], Callable[[Moments, Moments], float]]]] = [
        ("mSPRT, tau 0.04", lambda: _p_value(MeanSPRT(tau=0.04))),
        ("confidence sequence, horizon 2,000", lambda: _p_value(ConfidenceSequence(horizon=2000))),
    ]
    for name, make in makers:
        for control, treatment, runs in ((0.88, 0.88, 2000), (0.85, 0.90, 400), (0.85, 0.87, 400)):
            ends = [experiment(draw, control, treatment, make()) for _ in range(runs)]
            found = sum(end < math.inf for end in ends) / runs
            middle = median(ends)
            if control == treatment:
                reach, ok = "<= 5 %", check(f"equal arms, {name}", found <= 0.05)
            elif treatment == 0.90:
                reach, ok = ">= 95 %, median <= 900", check(f"85 to 90, {name}", found >= 0.95 and middle <= 900)
            else:
                reach, ok = "-", "-"
            shown = f"{middle:.0f}" if middle < math.inf else "-"
            print(f"| {name} | {control:.0%} | {treatment:.0%} | {runs} | {found:.1%} | {shown} | {reach} | {ok} |")


def _p_value(test: MeanSPRT | ConfidenceSequence) -> Callable[[Moments, Moments], float]:
    return lambda control, treatment: test.look(control, treatment).p_value


# --- ratios ------------------------------------------------------------------------------------------------


def ratios(draw: random.Random) -> None:
    print("\nSample ratio: looked at every 20 assignments up to 4,500, alpha 0.001, 1,000 runs a row")
    print("| share of the second arm | noticed | median assignments | reach | reached |")
    print("| --- | --- | --- | --- | --- |")
    for share in (0.50, 0.55):
        ends = [_mismatch(draw, share) for _ in range(1000)]
        noticed = sum(end < math.inf for end in ends) / len(ends)
        reached = noticed >= 0.99 if share != 0.5 else noticed <= 0.001
        ok, reach = check(f"ratio {share}", reached), ">= 99 %" if share != 0.5 else "<= 0.1 %"
        shown = f"{median(ends):.0f}" if median(ends) < math.inf else "-"
        print(f"| {share:.0%} | {noticed:.1%} | {shown} | {reach} | {ok} |")


def _mismatch(draw: random.Random, share: float) -> float:
    test = RatioMismatchTest(shares=(0.5, 0.5))
    second = 0
    for total in range(20, 4501, 20):
        second += sum(draw.random() < share for _ in range(20))
        test.update([total - second, second])
        if test.mismatch:
            return total
    return math.inf


def cost(draw: random.Random) -> None:
    scores = [draw.betavariate(9, 1) for _ in range(100_000)]
    test = FloorTest(floor=0.9)
    began = time.perf_counter()
    for score in scores:
        test.add(score)
    print(f"\nFloorTest.add: {(time.perf_counter() - began) / len(scores) * 1e6:.2f} microseconds a score")


if __name__ == "__main__":
    sys.exit(main())
