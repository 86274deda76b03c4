"""How often an experiment decides wrongly, and how soon rightly: simulated, seeded, looked at after each batch.

    python -m benchmarks.release.bench_experiments [--experiments 2000] [--seed 7]

Exit code 1 when a limit is missed. Scores are 0 or 1, which is the most that a score can vary.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from dataclasses import dataclass

from tilores_core.contracts import Arm
from tilores_core.release.experiments.analysis import SRM_ALPHA, Action, ArmSums, Verdict, analyse
from tilores_core.release.experiments.plan import ExperimentPlan
from tilores_core.statistics import ratio_mismatch_p

BATCH = 100
MOST = 12_000
WINS: tuple[Action, ...] = ("deploy",)


@dataclass(frozen=True, slots=True)
class Ended:
    action: Action
    per_arm: int


def experiment(
    rng: random.Random, control: float, candidate: float, *, plan: ExperimentPlan, most: int = MOST
) -> Ended:
    """One experiment at 50/50 until it decides, or `most` per arm."""
    sums: dict[Arm, ArmSums] = {"control": ArmSums(), "candidate": ArmSums()}
    rates: dict[Arm, float] = {"control": control, "candidate": candidate}
    best_p = mismatch_p = 1.0
    proposed = False
    for n in range(BATCH, most + 1, BATCH):
        for arm, total in sums.items():
            hits = sum(rng.random() < rates[arm] for _ in range(BATCH))
            total.units += BATCH
            total.turns += BATCH
            total.scored += BATCH
            total.score += hits
            total.score_squares += hits
        verdict: Verdict = analyse(
            plan, {0: sums}, weights={0: 0.5}, hours=48, step_hours=48, best_p=best_p, mismatch_p=mismatch_p
        )
        best_p, mismatch_p = verdict.lift.p_value, verdict.mismatch_p
        proposed = proposed or verdict.action == "propose"
        if verdict.action not in ("continue", "propose"):
            return Ended(verdict.action, n)
    return Ended("propose" if proposed else "no_difference", most)


def fixed_rule(rng: random.Random, rate: float, *, most: int = 5_000) -> bool:
    """The rule "2 points at 80 %" looked at every 50 from 100 on, with identical arms: did it name a winner?"""
    a = b = 0
    for n in range(50, most + 1, 50):
        a += sum(rng.random() < rate for _ in range(50))
        b += sum(rng.random() < rate for _ in range(50))
        if n < 100:
            continue
        p, q = a / n, b / n
        spread = ((p * (1 - p) + q * (1 - q)) / n) ** 0.5
        if q - p >= 0.02 and spread and statistics.NormalDist().cdf((q - p) / spread) >= 0.8:
            return True
    return False


def mismatch(rng: random.Random, share: float) -> int | None:
    """Assignments until a split that should be even is seen not to be; None within 4,500."""
    counts = [0, 0]
    for n in range(1, 4_501):
        counts[rng.random() >= share] += 1
        if ratio_mismatch_p(counts, (0.5, 0.5)) <= SRM_ALPHA:
            return n
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    rng, count = random.Random(options.seed), options.experiments
    plan = ExperimentPlan(name="simulated", candidate=2, min_per_arm=200, min_hours=0)
    # Nothing but the lift decides here: the floor of 85 % would stop both.
    plan = plan.model_copy(update={"guardrails": plan.guardrails.model_copy(update={"floor": 0.5})})
    failed = False

    same = [experiment(rng, 0.88, 0.88, plan=plan, most=5_000) for _ in range(count)]
    false = sum(one.action in WINS for one in same) / count
    harmed = sum(one.action == "stop_harm" for one in same) / count
    naive = sum(fixed_rule(rng, 0.88) for _ in range(min(count, 500))) / min(count, 500)
    print(f"A/A, {count} experiments: false winners {false:.1%} (limit 5 %), stopped for harm {harmed:.1%}")
    print(f"  the fixed rule '2 points at 80 %' on the same: {naive:.0%}")
    failed |= false > 0.05

    better = [experiment(rng, 0.85, 0.90, plan=plan) for _ in range(max(count // 5, 20))]
    found = [one.per_arm for one in better if one.action in WINS]
    share, median = len(found) / len(better), statistics.median(found)
    print(f"85 -> 90 %, {len(better)} experiments: found {share:.1%} (limit 95 %), median {median:g} per arm (900)")
    failed |= share < 0.95 or median > 900

    worse = [experiment(rng, 0.90, 0.85, plan=plan) for _ in range(max(count // 5, 20))]
    stopped = [one.per_arm for one in worse if one.action == "stop_harm"]
    median = statistics.median(stopped)
    print(f"90 -> 85 %, {len(worse)} experiments: stopped {len(stopped) / len(worse):.1%}, median {median:g} per arm")

    noticed = [mismatch(rng, 0.45) for _ in range(max(count // 2, 50))]
    seen = [one for one in noticed if one is not None]
    share = len(seen) / len(noticed)
    print(f"45/55 instead of 50/50, {len(noticed)}: noticed {share:.1%} (99 %), median {statistics.median(seen):g}")
    failed |= share < 0.99
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
