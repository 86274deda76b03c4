"""What is summed of live answers: windows of scores (`ScoreWindows`), and the arms of experiments (`Experiments`).

Nothing here imports SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tilores_core.statistics import Moments

WINDOW_MS: Final = 300_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

FOUR_WEEKS_MS: Final = 28 * DAY_MS
WIDTHS: Final = (WINDOW_MS, HOUR_MS, DAY_MS, FOUR_WEEKS_MS)

COUNTS: Final = ("turns", "errors", "hits", "windows", "reached")
"""`turns`: all of the span, `hits` among them answered from the cache. `windows`: its closed windows of 5 minutes
that have scores, `reached`: of those, how many whose mean overall score reached the level that `roll_up` was
given."""
MEASURES: Final = ("overall", "groundedness", "abstention", "format", "latency", "cost", "feedback")
"""Scores and feedback are in [0, 1], latency in seconds and cost in US dollars per answer that a model made."""
PARTS: Final = ("count", "sum", "squares")

Dimension = Literal["model", "spectrum", "prompt_version"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("model", "spectrum", "prompt_version")


class Cell(NamedTuple):
    """What scores are kept apart by."""

    model: str
    spectrum: str
    prompt_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Sums over a span of time. `start_ms`: of the span; the dimensions that were summed over are ""."""

    start_ms: int
    model: str
    spectrum: str
    prompt_version: str
    sums: Mapping[str, float]

    def moments(self, measure: str) -> Moments:
        """Count, mean and variance of one of `MEASURES`."""
        count, total, squares = (self.sums[f"{measure}_{part}"] for part in PARTS)
        return Moments.of_sums(count=count, total=total, squares=squares)

    def mean(self, measure: str) -> float | None:
        """Of one of `MEASURES`; None without a value."""
        moments = self.moments(measure)
        return moments.mean if moments.count else None

    def share(self, part: str, whole: str) -> float | None:
        """One of `COUNTS` of another; None where that is 0."""
        return self.sums[part] / self.sums[whole] if self.sums[whole] else None

    @property
    def cell(self) -> Cell:
        return Cell(self.model, self.spectrum, self.prompt_version)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedScores:
    """Overall scores of one cell, in the order in which they came."""

    id: int
    at_ms: int
    cell: Cell
    scores: Sequence[float]


@dataclass(slots=True, kw_only=True)
class ArmSums:
    """What one arm has shown in one step. `units`: exposures; `turns`: answered or failed and not excluded; `scored`:
    units with a score, each counted once. `records`: the covariate, number of records of the customer."""

    units: float = 0
    turns: float = 0
    errors: float = 0
    latency: float = 0
    latency_squares: float = 0
    cost: float = 0
    cost_squares: float = 0
    scored: float = 0
    score: float = 0
    score_squares: float = 0
    records: float = 0
    records_squares: float = 0
    score_records: float = 0
    excluded_fallback: float = 0
    excluded_unreliable: float = 0
    excluded_repeat: float = 0

    def with_covariate(self) -> tuple[Moments, Moments, float]:
        """Scores and records, and the sum of the products of their distances from the means, for `adjust_arms`."""
        scores, n = self.scores, self.scored
        records = Moments.of_sums(count=n, total=self.records, squares=self.records_squares)
        return scores, records, self.score_records - n * scores.mean * records.mean

    @property
    def scores(self) -> Moments:
        return Moments.of_sums(count=self.scored, total=self.score, squares=self.score_squares)

    @property
    def failures(self) -> Moments:
        return Moments.of_rate(self.turns, self.errors)

    @property
    def latencies(self) -> Moments:
        return Moments.of_sums(count=self.turns - self.errors, total=self.latency, squares=self.latency_squares)

    @property
    def costs(self) -> Moments:
        return Moments.of_sums(count=self.turns - self.errors, total=self.cost, squares=self.cost_squares)
