"""What one turn may use: its time, of which the look-up's is gone and the rest for the models, and its standing."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from tilores_core.chat.routing.standing import Standing
from tilores_core.contracts import Turn


@dataclass(slots=True)
class Budget:
    """`until`: the end, on `time.monotonic()`. It moves when another turn joins in that has more time."""

    until: float
    standing: Standing = field(default_factory=lambda: Standing("live"), compare=False)

    @classmethod
    def of(cls, turn: Turn, *, default: float) -> Budget:
        """The turn's own deadline, or `default` seconds from now."""
        until = time.monotonic() + default if turn.deadline is None else turn.deadline
        return cls(until, Standing(turn.purpose))

    def extend(self, other: Budget) -> None:
        """Last as long as the longer of the two; a caller who joins makes it a caller's."""
        self.until = max(self.until, other.until)
        if other.standing.live:
            self.standing.rise()

    def left(self) -> float:
        """Seconds, never negative."""
        return max(0.0, self.until - time.monotonic())

    def first_token(self, longest: float, *, last: bool) -> float:
        """How long to wait for a model's first token.

        While another may be asked: `longest`, but no more than half of what is left, so that the other has as much.
        The last one has all that is left (infinite here): nobody answers sooner when it is given up.
        """
        return math.inf if last else min(longest, self.left() / 2)

    def whole(self, *, last: bool) -> float:
        """The same for a model that says all at once, whose silence tells nothing."""
        return math.inf if last else self.left() / 2
