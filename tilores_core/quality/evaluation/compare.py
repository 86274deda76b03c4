"""Two evaluations on the same questions: paired tests and a plain verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tilores_core.quality.evaluation.judge import PASSED
from tilores_core.quality.evaluation.results import AnswerResult
from tilores_core.statistics import mcnemar_exact, paired_t

_ALPHA: Final = 0.05
Where = tuple[str | None, str | None]
"""A model and a spectrum; None for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """Of the overall score, second minus first, with the 95 % interval and p of the paired t test.

    `lost` and `won`: answers that were good (0.9 or more) in the first run alone, in the second alone; `mcnemar_p`:
    exact, two-sided. None with fewer than two pairs.
    """

    pairs: int
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    lost: int
    won: int
    mcnemar_p: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two evaluations compared question by question.

    `verdict`: `better`, `worse` or `no difference found`; `sentence` says why. `worse_cells`: model and spectrum
    of the cells that fell, each tested at 0.05 / number of cells (Bonferroni).
    """

    overall: PairedTest
    by_model: Mapping[str, PairedTest]
    by_spectrum: Mapping[str, PairedTest]
    cells: Mapping[tuple[str, str], PairedTest]
    worse_cells: tuple[tuple[str, str], ...]
    verdict: str
    sentence: str

    def falls(self) -> dict[Where, float]:
        """What fell, and the difference; the overall score is (None, None)."""
        fell: dict[Where, float] = {cell: self.cells[cell].difference for cell in self.worse_cells}
        return {(None, None): self.overall.difference, **fell} if self.verdict == "worse" else fell


def compare(first: Iterable[AnswerResult], second: Iterable[AnswerResult]) -> Comparison:
    """The second run against the first, over the answers (model and question) that both have scores of."""
    before = {(row.model, row.question_id): row for row in first if row.scores}
    pairs = [(before[key], row) for row in second if row.scores and (key := (row.model, row.question_id)) in before]
    overall = _test(pairs)
    models = tuple(dict.fromkeys(row.model for _, row in pairs))
    spectrums = tuple(dict.fromkeys(row.spectrum for _, row in pairs))
    cells = {
        (model, spectrum): _test([pair for pair in pairs if (pair[1].model, pair[1].spectrum) == (model, spectrum)])
        for model in models
        for spectrum in spectrums
    }
    worse = tuple(
        cell
        for cell, test in cells.items()
        if test.difference < 0 and test.p is not None and test.p < _ALPHA / max(1, len(cells))
    )
    verdict, sentence = _verdict(overall)
    return Comparison(
        overall=overall,
        by_model={name: _test([pair for pair in pairs if pair[1].model == name]) for name in models},
        by_spectrum={name: _test([pair for pair in pairs if pair[1].spectrum == name]) for name in spectrums},
        cells=cells,
        worse_cells=worse,
        verdict=verdict,
        sentence=sentence,
    )


def _test(pairs: Sequence[tuple[AnswerResult, AnswerResult]]) -> PairedTest:
    first = [result.scores.overall for result, _ in pairs if result.scores]
    second = [other.scores.overall for _, other in pairs if other.scores]
    lost = sum(before >= PASSED > other for before, other in zip(first, second, strict=True))
    won = sum(other >= PASSED > before for before, other in zip(first, second, strict=True))
    count = len(pairs)
    difference = math.fsum(b - a for a, b in zip(first, second, strict=True)) / count if count else 0.0
    found = PairedTest(pairs=count, difference=difference, lost=lost, won=won)
    if count < 2:
        return found
    test = paired_t(first, second, alpha=_ALPHA)
    return replace(found, low=test.low, high=test.high, p=test.p_value, mcnemar_p=mcnemar_exact(lost, won))


def _verdict(test: PairedTest) -> tuple[str, str]:
    if test.p is None or test.mcnemar_p is None:
        return "no difference found", f"The runs share {test.pairs} answers, which is too few to compare."
    points = f"{100 * test.difference:+.1f} points"
    detail = (
        f"over {test.pairs} pairs (95 % interval {100 * (test.low or 0):+.1f} to {100 * (test.high or 0):+.1f}, "
        f"paired t p = {test.p:.3g}; {test.won} answers became good and {test.lost} no longer are, "
        f"McNemar p = {test.mcnemar_p:.3g})"
    )
    if test.p < _ALPHA:
        verdict = "better" if test.difference > 0 else "worse"
        return verdict, f"The second run is {verdict}: {points} {detail}."
    return "no difference found", f"No difference was found: {points} {detail}."
