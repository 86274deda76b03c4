"""Who is told of calls to models and of look-ups, to count them. Told in the path of a question: it must not wait."""

from __future__ import annotations

from typing import Protocol

from tilores_core.contracts import Attempt, Purpose


class ModelNotes(Protocol):
    def attempted(self, attempt: Attempt, purpose: Purpose) -> None:
        """A call is over."""
        ...

    def answered(self, asked: str, model: str) -> None:
        """`model` has answered where `asked` was asked for; full names."""
        ...


class SourceNotes(Protocol):
    def looked_up(self, outcome: str, seconds: float) -> None:
        """A look-up is over; `outcome` is ok or an error code."""
        ...
