"""Is the mean of a stream of scores below a floor? Always valid, constant work per score, seven numbers of state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_MEMORY: Final = 50.0
_MEMORY_PER_VARIANCE: Final = 2000.0
_MEAN_WEIGHT: Final = 40.0
_VARIANCE_WEIGHT: Final = 3.0
_PRIOR_DROP: Final = 0.05
_PRIOR_VARIANCE: Final = 0.04
_HELD: Final = 0.03
_RESERVE: Final = 0.05
_SPENT: Final = 0.1


@dataclass(slots=True, kw_only=True)
class FloorTest:
    """An e-process against "each score's mean is at least `floor`", for scores in [0, 1].

    Betting (Waudby-Smith and Ramdas, arXiv 2010.09686, section 4): the capital is multiplied by 1 + bet (floor -
    score), and the bet was fixed before the score. While the floor holds, the capital reaches 1 / `alpha` with
    probability `alpha` at most, however long the stream is and however often it is looked at (Ville's inequality).

    The bet is Kelly's, (floor - mean) / variance, at most half of what keeps the capital positive. Mean and variance
    are exponentially weighted over the last 50 scores, or 2,000 times the variance when that is more (the last 250 of
    0 and 1 at 85 %); so noisier scores are looked at for longer. The first guess is a mean of 5 points below the
    floor, with the weight of 40 scores, and a variance of 0.04, with the weight of 3. The mean is held 3 points above
    the floor at most, so that a long good past delays the alarm little. A twentieth of the capital is kept back and
    put in bit by bit, 1 / (k (k + 1)) of it each time that nine tenths of what was put in are lost: so a fall is
    noticed after any past.
    """

    floor: float
    alpha: float = 0.05
    count: int = 0
    mean: float = -1.0
    variance: float = _PRIOR_VARIANCE
    active: float = 1 - _RESERVE
    reserve: float = _RESERVE
    put_in: float = 1 - _RESERVE
    restarts: int = 0
    highest: float = 1.0
    """The largest capital so far: 1 / `highest` is an always-valid p-value."""

    def __post_init__(self) -> None:
        if not (0 < self.floor < 1 and 0 < self.alpha < 1):
            raise ValueError(f"floor and alpha must lie between 0 and 1, not {self.floor} and {self.alpha}")
        if self.mean < 0:
            self.mean = max(0.0, self.floor - _PRIOR_DROP)

    def add(self, score: float) -> None:
        """Raises `ValueError` for a score outside [0, 1]."""
        if not 0 <= score <= 1:
            raise ValueError(f"a score must lie in [0, 1], not {score}")
        if (gap := self.floor - self.mean) > 0:
            bet = min(gap / (self.variance + gap * gap), 0.5 / (1 - self.floor))
            self.active *= 1 + bet * (self.floor - score)
            if self.active < _SPENT * self.put_in:
                self._put_in()
            self.highest = max(self.highest, self.active + self.reserve)
        self.count += 1
        memory = max(_MEMORY, _MEMORY_PER_VARIANCE * self.variance)
        away, weight = score - self.mean, 1 / min(self.count + _VARIANCE_WEIGHT, memory)
        self.variance = (1 - weight) * (self.variance + weight * away * away)
        self.mean = min(self.mean + away / min(self.count + _MEAN_WEIGHT, memory), self.floor + _HELD)

    @property
    def capital(self) -> float:
        """The evidence now: its expectation is 1 at most while the floor holds."""
        return self.active + self.reserve

    @property
    def breached(self) -> bool:
        """Whether the floor was breached at any time; a new test is begun to look again."""
        return self.highest * self.alpha >= 1

    def _put_in(self) -> None:
        self.restarts += 1
        share = _RESERVE / (self.restarts * (self.restarts + 1))
        self.reserve -= share
        self.active += share
        self.put_in = self.active

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> FloorTest:
        return cls(**state)
