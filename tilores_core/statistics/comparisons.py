"""Tests at a planned sample size: two means, pairs, two proportions, and the agreement of two graders.

They hold for one look. What is looked at again and again takes `MeanSPRT`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from tilores_core.statistics.distributions import binomial_cdf, normal_quantile, t_quantile, t_tail
from tilores_core.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference (second minus first) with its interval and a two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_t(first: Sequence[float], second: Sequence[float], *, alpha: float = 0.05) -> Comparison:
    """Student's t test of the differences of pairs: two prompts on the same questions.

    Raises `ValueError` for different lengths, or fewer than two pairs.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"two lists of the same length, at least 2, not {len(first)} and {len(second)}")
    moments = Moments.of(b - a for a, b in zip(first, second, strict=True))
    difference, error, df = moments.mean, math.sqrt(moments.variance / moments.count), moments.count - 1
    if error == 0:  # all differences are the same
        return Comparison(difference, difference, difference, 0.0 if difference else 1.0)
    half = t_quantile(1 - alpha / 2, df) * error
    return Comparison(difference, difference - half, difference + half, 2 * t_tail(abs(difference) / error, df))


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided exact p-value of McNemar's test: the binomial test on the pairs where just one was right."""
    fewer, pairs = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * binomial_cdf(fewer, pairs, 0.5)) if pairs else 1.0


def sample_size(first: float, second: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """How many trials per arm a two-sided z test needs to tell two proportions apart (Fleiss 1981, uncorrected).

    Raises `ValueError` for equal proportions, or ones outside [0, 1].
    """
    if first == second or not (0 <= first <= 1 and 0 <= second <= 1):
        raise ValueError(f"two different proportions in [0, 1], not {first} and {second}")
    mean = (first + second) / 2
    # The standard deviation of a difference of two trials, when the proportions are equal and when they are not.
    null, own = math.sqrt(2 * mean * (1 - mean)), math.sqrt(first * (1 - first) + second * (1 - second))
    needed = (normal_quantile(1 - alpha / 2) * null + normal_quantile(power) * own) / (second - first)
    return math.ceil(needed * needed)


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Cohen's kappa (1960): how far two graders agree beyond chance; 1 when both always give the same one label.

    Raises `ValueError` for different lengths, or nothing to compare.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"two lists of the same length, not {len(first)} and {len(second)}")
    total = len(first)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / total
    labels = set(first) | set(second)
    chance = sum(first.count(label) * second.count(label) for label in labels) / (total * total)
    return 1.0 if chance == 1 else (agreed - chance) / (1 - chance)
