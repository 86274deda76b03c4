"""How often two equal prompts are taken apart: A/A decisions with several shapes of noise.

    python -m benchmarks.improve.bench_decisions [--decisions 1000]

Each decision gets 8 batches of 20 questions and ends at the first look that says deploy. Pass: 5 % or fewer deployed,
for every shape; exit code 1 otherwise. Prints also how often a true gain of 5 and of 10 points is deployed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable

from tilores_core.improve.decision import HeldOutTest

SHAPES: dict[str, Callable[[random.Random], float]] = {
    "normal, sd 0.2": lambda dice: dice.gauss(0, 0.2),
    "mostly zero": lambda dice: dice.gauss(0, 0.4) if dice.random() < 0.2 else 0.0,
    "whole answers won or lost": lambda dice: dice.choice((-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "rare and large": lambda dice: dice.choice((-0.8, 0.8)) if dice.random() < 0.05 else 0.0,
}


def deployed(shape: Callable[[random.Random], float], gain: float, seed: int) -> bool:
    dice, test = random.Random(seed), HeldOutTest()
    for _ in range(8):
        test.add(shape(dice) + gain for _ in range(20))
        if test.decide().outcome == "deploy":
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=1000)
    count = parser.parse_args().decisions
    passed = True
    for name, shape in SHAPES.items():
        rates = [sum(deployed(shape, gain, seed) for seed in range(count)) / count for gain in (0.0, 0.05, 0.1)]
        passed &= rates[0] <= 0.05
        verdict = "pass" if rates[0] <= 0.05 else "FAIL"
        print(
            f"{name}: A/A {rates[0]:.1%} {verdict}; +5 points {rates[1]:.1%}; +10 points {rates[2]:.1%}", flush=True
        )
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
