"""What an evaluation may spend, and what it is estimated to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tilores_core.contracts import ModelInfo

ANSWER_TOKENS: Final = 80
"""Tokens of an answer, for estimates: two or three short sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Most model calls and most US dollars; None: no limit. Calls that a run before has paid for do not count."""

    calls: int | None = None
    dollars: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an evaluation will cost. `dollars`: None when the price of a model is not known (`unpriced`)."""

    calls: int
    finished: int
    input_tokens: int
    output_tokens: int
    dollars: float | None
    unpriced: tuple[str, ...] = ()


class Spending:
    """Counts what a run spends, with a reserve for the calls that are under way."""

    def __init__(self, budget: Budget, price: Callable[[str], float | None]) -> None:
        self._budget = budget
        self._price = price
        self.calls = 0
        self.dollars = 0.0
        self._reserved = 0.0

    def take(self, model: str) -> bool:
        """Whether one more call may begin; it is counted then, with its estimated price."""
        price = self._price(model) or 0.0
        if self._budget.calls is not None and self.calls >= self._budget.calls:
            return False
        if self._budget.dollars is not None and self.dollars + self._reserved + price > self._budget.dollars:
            return False
        self.calls += 1
        self._reserved += price
        return True

    def settle(self, model: str, cost: float | None) -> None:
        """A call has ended, at a cost that is known, or else at its estimated price."""
        price = self._price(model) or 0.0
        self._reserved -= price
        self.dollars += price if cost is None else cost


def price_of(info: ModelInfo | None, input_tokens: int, output_tokens: int = ANSWER_TOKENS) -> float | None:
    """US dollars of one call; None where no price is known."""
    if info is None or info.input_price is None or info.output_price is None:
        return None
    return (input_tokens * info.input_price + output_tokens * info.output_price) / 1_000_000
