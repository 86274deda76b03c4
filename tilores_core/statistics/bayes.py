"""Two success rates as Beta distributions: how likely is B better, and what does choosing B cost if it is not.

For reports. A gate that is looked at again and again does not hold with these (17 of 20 looks would find a winner
where there is none); see `tilores_core.statistics.sequential`.
"""

from __future__ import annotations

import math

from tilores_core.statistics.distributions import beta_cdf, log_beta

Parameters = tuple[float, float]
"""Alpha and beta of a Beta distribution: 1 + successes and 1 + failures, from a uniform prior."""


def probability_better(a: Parameters, b: Parameters) -> float:
    """P(B > A) for A ~ Beta(*a), B ~ Beta(*b), by quadrature, to about 1e-12.

    The trapezoidal rule on the logit of A, where the density is smooth and falls off exponentially on both sides, so
    that the rule converges faster than any power of the step.
    """
    alpha, beta = a
    # On the logit's scale: the mode, and about the standard deviations of both.
    width = min(math.sqrt(1 / alpha + 1 / beta), math.sqrt(1 / b[0] + 1 / b[1]))
    step = min(width, 1.0) / 6
    centre, constant = math.log(alpha / beta), log_beta(alpha, beta)
    total = 0.0
    for direction in (1, -1):
        index = 0 if direction == 1 else 1
        while True:
            z = centre + direction * index * step
            x, y = _logistic(z), _logistic(-z)
            density = math.exp(-alpha * _softplus(-z) - beta * _softplus(z) - constant)
            if density < 1e-18:
                break
            total += density * (beta_cdf(y, b[1], b[0]) if x > 0.5 else 1 - beta_cdf(x, *b))
            index += 1
    return min(1.0, total * step)


def expected_loss(a: Parameters, b: Parameters) -> float:
    """E[max(A - B, 0)]: by how much choosing B is worse than A, on average over what the data leave open."""
    # E[A; A > B] is the mean of A times P(A' > B) with A' ~ Beta(alpha + 1, beta), and the same for B.
    mean_a, mean_b = a[0] / (a[0] + a[1]), b[0] / (b[0] + b[1])
    return max(
        0.0,
        mean_a * probability_better(b, (a[0] + 1, a[1])) - mean_b * probability_better((b[0] + 1, b[1]), a),
    )


def _logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > -700 else math.exp(z)


def _softplus(z: float) -> float:
    """log(1 + exp(z))."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))
