"""When held-out questions deploy, propose, ask for more or reject; two equal prompts are seldom taken apart."""

from __future__ import annotations

import random

import pytest

from tilores_core.improve.decision import HeldOutTest, Thresholds


def decided(mean: float, spread: float, count: int, **limits: float) -> HeldOutTest:
    dice = random.Random(1)
    test = HeldOutTest(Thresholds(**limits))
    test.add(max(-1.0, min(1.0, dice.gauss(mean, spread))) for _ in range(count))
    return test


@pytest.mark.parametrize(
    ("mean", "spread", "count", "limits", "outcome"),
    [
        (0.1, 0.1, 100, {}, "deploy"),
        (0.1, 0.1, 100, {"auto": 2.0}, "propose"),
        (0.06, 0.2, 100, {"propose": 0.6, "auto": 0.999}, "propose"),
        (0.06, 0.3, 40, {}, "validate more"),
        (0.01, 0.01, 100, {}, "optimize more"),
        (0.04, 0.01, 100, {"gain": 0.05}, "optimize more"),
        (-0.05, 0.1, 100, {}, "reject"),
        (0.1, 0.1, 10, {}, "validate more"),
    ],
)
def test_outcomes(mean: float, spread: float, count: int, limits: dict[str, float], outcome: str) -> None:
    decision = decided(mean, spread, count, **limits).decide()
    assert decision.outcome == outcome
    assert decision.reasons


def test_what_a_person_must_decide_is_proposed_and_the_reason_says_so() -> None:
    test = decided(0.1, 0.1, 100)
    test.automatic = False
    decision = test.decide()
    assert (decision.outcome, decision.confidence > 0.99) == ("propose", True)
    assert "a person decides (--propose" in decision.reasons[0]
    assert "without a person" not in decision.reasons[0]


def test_a_cell_that_got_worse_is_not_deployed() -> None:
    decision = decided(0.1, 0.1, 100).decide([("demo:one", "billing")])
    assert decision.outcome == "optimize more"
    assert "demo:one on billing" in decision.reasons[0]


def test_equal_prompts_are_seldom_taken_apart_though_looked_at_after_every_batch() -> None:
    deployed = 0
    for seed in range(200):
        dice, test = random.Random(seed), HeldOutTest()
        for _ in range(8):
            test.add(dice.choice((0.0, 0.0, dice.gauss(0, 0.3))) for _ in range(20))
            if test.decide().outcome == "deploy":
                deployed += 1
                break
    assert deployed <= 10
