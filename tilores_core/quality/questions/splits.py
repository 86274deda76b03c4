"""Training, validation and held-out questions, split by customer.

What improves prompts sees training and validation questions alone. A `GoldenSet` hands out those; the held-out part
is reached only by `held_out()`, which nothing that improves prompts calls, and evaluations made to improve refuse it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from tilores_core.quality.scoring.question import GoldenQuestion

Split = Literal["training", "validation", "held-out"]
SPLITS: Final[tuple[Split, ...]] = ("training", "validation", "held-out")
HELD_OUT: Final = "held-out"
_THIRD: Final = 3


def split_of(customer_id: str) -> Split:
    """The split of a customer: a third each, by the SHA-256 of the id, so that it never changes."""
    digest = hashlib.sha256(f"tilores split {customer_id}".encode()).digest()
    return SPLITS[int.from_bytes(digest[:8]) % _THIRD]


class GoldenSet:
    """Golden questions by split."""

    def __init__(self, questions: Iterable[GoldenQuestion]) -> None:
        self._by_split: dict[str, tuple[GoldenQuestion, ...]] = dict.fromkeys(SPLITS, ())
        for question in sorted(questions, key=lambda question: question.id):
            self._by_split[split_of(question.customer_id)] += (question,)

    @property
    def training(self) -> tuple[GoldenQuestion, ...]:
        """What an improver learns from: its errors may be shown to a model."""
        return self._by_split["training"]

    @property
    def validation(self) -> tuple[GoldenQuestion, ...]:
        """What candidates are compared on."""
        return self._by_split["validation"]

    def held_out(self) -> tuple[GoldenQuestion, ...]:
        """What decides in the end. For evaluations by people and for the gate of a release, never for improvers."""
        return self._by_split[HELD_OUT]

    @property
    def sizes(self) -> dict[str, int]:
        """How many questions each split has."""
        return {split: len(questions) for split, questions in self._by_split.items()}

    @property
    def digest(self) -> str:
        """16 hex digits that change with any question."""
        return digest_of([question for split in SPLITS for question in self._by_split[split]])


def digest_of(questions: Sequence[GoldenQuestion]) -> str:
    """16 hex digits that change with any of the questions or their order."""
    return hashlib.sha256("\n".join(map(repr, questions)).encode()).hexdigest()[:16]
