"""False alarms and delays of the always-valid tests in seeded simulations, with what each must reach.

python -m benchmarks.statistics.bench_sequential [--runs 1000]

Ends with status 1 when a figure is not reached. `--runs`: simulated series per row of the floor's table; the other
tables take 2,000 runs for experiments with equal arms and 400 for each other row. The delays to reach are those of a
plain plug-in bet (300 series each: 37, 299, 38, 342, 19 and 114 scores), the fourth with what its noise may hide.
Rows are simulated by as many processes as there are cores, each row with a seed of its own: some two minutes on two.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from functools import partial
from statistics import median, quantiles
from typing import Any

from tilores_core.statistics import FloorTest, MeanSPRT, Moments, ratio_mismatch_p

Simulated = Callable[..., Future[list[float]]]

_failed: list[str] = []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20_261)
    given = parser.parse_args()
    began = time.perf_counter()
    with ProcessPoolExecutor(os.cpu_count()) as pool:  # all begin at once, and are printed in order
        tables = [table(partial(simulate, pool, given.seed), given.runs) for table in (floors, lifts, ratios)]
        for lines in tables:
            for line in lines:
                print(line, flush=True)
    cost(random.Random(given.seed))
    print(f"{time.perf_counter() - began:.0f} s")
    print("\nnot reached: " + ", ".join(_failed) if _failed else "\neverything is reached")
    return 1 if _failed else 0


def simulate(pool: Executor, seed: int, what: Callable[..., float], runs: int, *of: Any) -> Future[list[float]]:
    """`runs` results of `what(draw, *of)`."""
    return pool.submit(_simulate, f"{seed} {what.__name__} {of}", what, runs, *of)


def _simulate(seed: str, what: Callable[..., float], runs: int, *of: Any) -> list[float]:
    draw = random.Random(seed)
    return [what(draw, *of) for _ in range(runs)]


def check(name: str, reached: bool) -> str:
    if not reached:
        _failed.append(name)
    return "yes" if reached else "NO"


# --- floors ------------------------------------------------------------------------------------------------


Scores = tuple[float, float]  # mean, and standard deviation; 0: scores are 0 or 1


def scores_of(draw: random.Random, scores: Scores) -> Callable[[], float]:
    mean, deviation = scores
    if not deviation:
        return lambda: float(draw.random() < mean)
    total = mean * (1 - mean) / deviation**2 - 1
    return lambda: draw.betavariate(mean * total, (1 - mean) * total)


def delay(draw: random.Random, floor: float, limit: int, scores: Scores, past: Scores | None = None) -> float:
    """Scores until the alarm, from the fall on; infinite without one, negative for one before the fall."""
    test = FloorTest(floor=floor)
    if past is not None:
        score = scores_of(draw, past)
        for index in range(2000):
            test.add(score())
            if test.breached:
                return index - 2000
    score = scores_of(draw, scores)
    for index in range(limit):
        test.add(score())
        if test.breached:
            return index + 1
    return math.inf


def floors(simulated: Simulated, runs: int) -> Iterator[str]:
    noises = (("graded, sd 0.1", 0.1), ("0 or 1", 0.0))
    alarms = [
        (floor, name, simulated(delay, runs, floor, 2000, (floor, deviation)))
        for floor in (0.90, 0.85)
        for name, deviation in noises
    ]
    falls = [
        (0.90, 0.85, "graded, sd 0.1", 0.1, None, 40),
        (0.90, 0.85, "0 or 1", 0.0, None, 299),
        (0.85, 0.80, "graded, sd 0.1", 0.1, None, 40),
        (0.85, 0.80, "0 or 1", 0.0, None, 360),
        (0.85, 0.75, "graded, sd 0.1", 0.1, None, 19),
        (0.85, 0.75, "0 or 1", 0.0, None, 114),
        (0.90, 0.85, "graded, after 2,000 of 95 %", 0.1, (0.95, 0.07), None),
        (0.90, 0.85, "graded, after 2,000 of 92 %", 0.1, (0.92, 0.1), None),
        (0.90, 0.85, "0 or 1, after 2,000 of 95 %", 0.0, (0.95, 0.0), None),
    ]
    found = [
        (floor, mean, name, reach, simulated(delay, runs, floor, 4000, (mean, deviation), past))
        for floor, mean, name, deviation, past, reach in falls
    ]
    return show_floors(alarms, found, runs)


def show_floors(alarms: list[Any], falls: list[Any], runs: int) -> Iterator[str]:
    yield f"Floors: {runs} series a row, alpha 0.05"
    yield "| floor | scores | true mean | alarms | median delay | 90 % of delays | reach | reached |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for floor, name, delays in alarms:
        rate = sum(one < math.inf for one in delays.result()) / runs
        ok = check(f"false alarms at {floor:.0%}, {name}", rate <= 0.05)
        yield f"| {floor:.0%} | {name} | {floor:.0%} | {rate:.1%} | | | false alarms <= 5 % | {ok} |"
    for floor, mean, name, reach, delays in falls:
        early = sum(one < 0 for one in delays.result()) / runs
        seen = sorted(one for one in delays.result() if one > 0)
        middle, most = median(seen), quantiles(seen, n=10)[-1]
        rate = sum(one < math.inf for one in seen) / runs
        ok = "-" if reach is None else check(f"delay {floor:.0%} to {mean:.0%}, {name}", middle <= reach)
        wanted = f"<= {reach}" if reach else f"too early: {early:.1%}"
        yield f"| {floor:.0%} | {name} | {mean:.0%} | {rate:.1%} | {middle:.0f} | {most:.0f} | {wanted} | {ok} |"


# --- lifts -------------------------------------------------------------------------------------------------


def experiment(draw: random.Random, control: float, treatment: float) -> float:
    """Values per arm until the p-value is below 0.05, looked at after every 100 up to 12,000; infinite without."""
    look = MeanSPRT(tau=0.04).look
    arms = Moments(), Moments()
    for n in range(100, 12_001, 100):
        for arm, rate in zip(arms, (control, treatment), strict=True):
            successes = draw.binomialvariate(100, rate) if hasattr(draw, "binomialvariate") else _binomial(draw, rate)
            arm.merge(Moments.of_sums(count=100, total=successes, squares=successes))
        if look(*arms).p_value <= 0.05:
            return n
    return math.inf


def _binomial(draw: random.Random, rate: float) -> int:
    return sum(draw.random() < rate for _ in range(100))


def lifts(simulated: Simulated, _: int) -> Iterator[str]:
    rows = [
        ("mSPRT, tau 0.04", control, treatment, runs, simulated(experiment, runs, control, treatment))
        for control, treatment, runs in ((0.88, 0.88, 2000), (0.85, 0.90, 400), (0.85, 0.87, 400))
    ]
    return show_lifts(rows)


def show_lifts(rows: list[Any]) -> Iterator[str]:
    yield "\nLifts: looked at every 100 values per arm up to 12,000, alpha 0.05"
    yield "| test | control | treatment | runs | found | median per arm | reach | reached |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, control, treatment, runs, ends in rows:
        found = sum(end < math.inf for end in ends.result()) / runs
        middle = median(ends.result())
        if control == treatment:
            reach, ok = "<= 5 %", check(f"equal arms, {name}", found <= 0.05)
        elif treatment == 0.90:
            reach, ok = ">= 95 %, median <= 900", check(f"85 to 90, {name}", found >= 0.95 and middle <= 900)
        else:
            reach, ok = "-", "-"
        shown = f"{middle:.0f}" if middle < math.inf else "-"
        yield f"| {name} | {control:.0%} | {treatment:.0%} | {runs} | {found:.1%} | {shown} | {reach} | {ok} |"


# --- ratios ------------------------------------------------------------------------------------------------


def ratios(simulated: Simulated, _: int) -> Iterator[str]:
    return show_ratios([(share, simulated(_mismatch, 1000, share)) for share in (0.50, 0.55)])


def show_ratios(rows: list[Any]) -> Iterator[str]:
    yield "\nSample ratio: looked at every 20 assignments up to 4,500, alpha 0.001, 1,000 runs a row"
    yield "| share of the second arm | noticed | median assignments | reach | reached |"
    yield "| --- | --- | --- | --- | --- |"
    for share, simulated in rows:
        ends = simulated.result()
        noticed = sum(end < math.inf for end in ends) / len(ends)
        reached = noticed >= 0.99 if share != 0.5 else noticed <= 0.001
        ok, reach = check(f"ratio {share}", reached), ">= 99 %" if share != 0.5 else "<= 0.1 %"
        shown = f"{median(ends):.0f}" if median(ends) < math.inf else "-"
        yield f"| {share:.0%} | {noticed:.1%} | {shown} | {reach} | {ok} |"


def _mismatch(draw: random.Random, share: float) -> float:
    second = 0
    for total in range(20, 4501, 20):
        second += sum(draw.random() < share for _ in range(20))
        if ratio_mismatch_p([total - second, second], (0.5, 0.5)) <= 0.001:
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
