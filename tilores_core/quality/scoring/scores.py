"""The five scores and what they weigh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WEIGHTS: Final[Mapping[str, float]] = {
    "correctness": 0.4,
    "completeness": 0.2,
    "groundedness": 0.2,
    "abstention": 0.1,
    "format": 0.1,
}
"""What each score counts for in the overall one."""
SCORES: Final = tuple(WEIGHTS)
"""The names of the scores, in the order in which they are shown; `overall` follows from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of one answer, each in [0, 1], or None where it does not apply.

    `correctness`: of what the answer states about the facts asked for, the share that is right (precision over
    nuggets, Voorhees, TREC 2003 question answering track). A value that is rounded, a date without its year, or a
    value called uncertain though the records are sure, counts half. Nothing stated: 0. Not answerable: 1 when the
    answer says so and states no forbidden fact, else 0.
    `completeness`: the share of the facts asked for that the answer states (recall over nuggets). None when the
    question is not answerable.
    `groundedness`: the share of all values stated that the records or the question bear out (as in FActScore, Min et
    al., arXiv 2305.14251, over values instead of atomic sentences). 1 when no value is stated.
    `abstention`: whether "the records do not hold this" was said exactly when it is so (Rajpurkar et al., SQuAD 2.0,
    arXiv 1806.03822). See `answer.report_answer` for the partial cases.
    `format`: fit to be read out on the phone, as the built-in prompt asks: no markup, short, short sentences, and
    without values that were not asked for; the mean of these checks.
    `overall`: the weighted mean of those that apply; 0 when another customer's value was stated.
    """

    correctness: float | None = None
    completeness: float | None = None
    groundedness: float | None = None
    abstention: float | None = None
    format: float | None = None
    overall: float = 0.0

    def values(self) -> Mapping[str, float | None]:
        """The five scores and `overall`, by name."""
        return {name: getattr(self, name) for name in (*SCORES, "overall")}

    def as_numbers(self) -> Mapping[str, float]:
        """Those that apply, by name."""
        return {name: value for name, value in self.values().items() if value is not None}


def weigh(values: Mapping[str, float | None], *, leaked: bool = False) -> Scores:
    """Return `Scores` of these values with their weighted mean. `leaked`: another customer's value was stated."""
    found = [(share, value) for name, share in WEIGHTS.items() if (value := values.get(name)) is not None]
    weight = sum(share for share, _ in found)
    overall = 0.0 if leaked or weight == 0.0 else sum(share * value for share, value in found) / weight
    return Scores(**values, overall=overall)
