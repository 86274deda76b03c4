"""The results of answers, the table of models and spectrums that they make, and two runs compared by paired tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tilores_core.quality.scoring.scores import SCORES, Scores
from tilores_core.spectrums import current_spectrums
from tilores_core.statistics import Moments, average, cohens_kappa, mcnemar_exact, paired_t
from tilores_core.statistics.distributions import t_quantile

_CONFIDENCE: Final = 0.95
PASSED: Final = 0.9
"""An answer with at least this overall score, or grade, is a good one: for agreement and for McNemar's test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """One model's answer to one question. `error`: an error code, then there are no scores.

    `judged`: the overall grade of the judging model, None without one. `cost`: US dollars, None where it is not
    known.
    """

    model: str
    question_id: str
    spectrum: str
    scores: Scores | None = None
    judged: float | None = None
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        """As the store keeps it."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**row, "scores": {} if self.scores is None else dict(self.scores.values())}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> AnswerResult:
        """What `row` gave."""
        return cls(**{**row, "scores": Scores(**row["scores"]) if row["scores"] else None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The mean of a score over answers, with the 95 % interval of the mean (Student's t), cut to [0, 1].

    `count`: scored answers; `errors`: calls without an answer, which are not in the mean. None without answers; the
    interval also with one only.
    """

    mean: float | None
    low: float | None
    high: float | None
    count: int
    errors: int = 0

    @classmethod
    def of(cls, values: Sequence[float], errors: int = 0) -> Cell:
        count, mean = len(values), average(values)
        if count < 2:
            return cls(mean=mean if values else None, low=None, high=None, count=count, errors=errors)
        half = t_quantile((1 + _CONFIDENCE) / 2, count - 1) * math.sqrt(Moments.of(values).variance / count)
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        return cls(mean=mean, low=low, high=high, count=count, errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Cells of one score. `weighted`: the mean over spectrums by their weights, over all models."""

    models: tuple[str, ...]
    spectrums: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    by_model: Mapping[str, Cell]
    by_spectrum: Mapping[str, Cell]
    overall: Cell
    weighted: float | None


def score_table(results: Iterable[AnswerResult], score: str = "overall") -> ScoreTable:
    """The table of a score (one of `scoring.SCORES`, or `overall`)."""
    rows = list(results)
    known = {spectrum.name: (place, spectrum.weight) for place, spectrum in enumerate(current_spectrums().spectrums)}
    models = tuple(dict.fromkeys(row.model for row in rows))
    spectrums = tuple(sorted({row.spectrum for row in rows}, key=lambda name: (known.get(name, (99, 1.0))[0], name)))

    def cells(key: Callable[[AnswerResult], Any]) -> dict[Any, Cell]:
        groups: dict[Any, list[AnswerResult]] = {}
        for row in rows:
            groups.setdefault(key(row), []).append(row)
        return {
            name: Cell.of(
                [value for row in group if row.scores and (value := row.scores.values()[score]) is not None],
                sum(row.error is not None for row in group),
            )
            for name, group in groups.items()
        }

    by_spectrum = cells(lambda row: row.spectrum)
    weights = {name: known.get(name, (99, 1.0))[1] for name in by_spectrum}
    shares = [(weights[name], cell.mean) for name, cell in by_spectrum.items() if cell.mean is not None]
    total = math.fsum(weight for weight, _ in shares)
    return ScoreTable(
        models=models,
        spectrums=spectrums,
        cells=cells(lambda row: (row.model, row.spectrum)),
        by_model=cells(lambda row: row.model),
        by_spectrum=by_spectrum,
        overall=cells(lambda _: "").get("", Cell.of([])),
        weighted=math.fsum(weight * mean for weight, mean in shares) / total if total else None,
    )


def means(results: Iterable[AnswerResult]) -> dict[str, float | None]:
    """The mean of every score over all answers, by its name."""
    rows = list(results)
    return {score: score_table(rows, score).overall.mean for score in (*SCORES, "overall")}


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


def agreement(results: Sequence[AnswerResult]) -> tuple[float, int] | None:
    """Cohen's kappa of "is a good answer" between the rules and the judge, and over how many answers."""
    both = [
        (row.scores.overall >= PASSED, row.judged >= PASSED)
        for row in results
        if row.scores and row.judged is not None
    ]
    if not both:
        return None
    return cohens_kappa([pair for pair, _ in both], [other for _, other in both]), len(both)
