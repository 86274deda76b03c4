"""What one turn may use: the time that the look-up has left for the models, and its priority."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from tilores_core import resilience
from tilores_core.contracts import Turn
from tilores_core.errors import DeadlineExceededError
from tilores_core.resilience import Priority


@dataclass(slots=True)
class Budget(resilience.Budget):
    """The time that a call of a model may still take.

    `until`: the end, on `time.monotonic()`. It moves when another turn joins in that has more time.
    """

    @classmethod
    def of(cls, turn: Turn, *, default: float) -> Budget:
        """The turn's own deadline, or `default` seconds from now."""
        until = time.monotonic() + default if turn.deadline is None else turn.deadline
        return cls(until, Priority(turn.purpose))

    def patience(self, longest: float, *, last: bool) -> tuple[float, float]:
        """How long to wait for a model's first token, and for a model that says all at once, whose silence tells
        nothing.

        While another may be asked: `longest`, but no more than half of what is left, so that the other has as much.
        The last one has all that is left (infinite here): giving it up makes no answer come sooner.
        """
        if last:
            return math.inf, math.inf
        half = self.remaining() / 2
        return min(longest, half), half


def deadline_exceeded() -> DeadlineExceededError:
    """The one error for a turn whose time is over, wherever that is noticed."""
    return DeadlineExceededError(
        "no answer within the deadline",
        fix="ask for less, or again; [chat] deadline_seconds in plugins.toml sets the limit",
    )
