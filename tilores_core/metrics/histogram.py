"""Durations by bucket: a search in a sorted tuple and two additions."""

from __future__ import annotations

from bisect import bisect_left

REQUEST_BOUNDS = (
    *(0.00002, 0.00003, 0.00005, 0.00007, 0.0001, 0.0002, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""An answer from memory takes 30 to 100 microseconds, a model's seconds."""

MODEL_BOUNDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0)

SOURCE_BOUNDS = (0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

LAG_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Histogram:
    """`counts` has one more than `bounds`: what lies above them all. `seconds` is the sum."""

    __slots__ = ("bounds", "counts", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    @property
    def value(self) -> list[float]:
        """As a `Sample` holds it."""
        return [*self.counts, self.seconds]
