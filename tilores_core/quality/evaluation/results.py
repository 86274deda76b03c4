"""The results of answers, and the table of models and spectrums that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tilores_core.quality.scoring import SCORES, Scores
from tilores_core.spectrums import current_spectrums
from tilores_core.statistics.distributions import t_quantile

_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerResult:
    """One model's answer to one question. `error`: an error code, then there are no scores.

    `judged`: the overall grade of the judging model, None without one. `cost`: US dollars, None where it is not
    known. `reasons`: what the scorer found, by name of the field, without values; not stored.
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
    reasons: Mapping[str, Sequence[str]] | None = None

    def row(self) -> dict[str, Any]:
        """As the store keeps it."""
        row = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "reasons"}
        return {**row, "scores": {} if self.scores is None else dict(self.scores.values())}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> AnswerResult:
        """What `row` gave."""
        scores = Scores(**row["scores"]) if row["scores"] else None
        return cls(**{**row, "scores": scores})


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
        count = len(values)
        mean, low, high = math.fsum(values) / count if count else None, None, None
        if mean is not None and count > 1:
            variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
            half = t_quantile((1 + _CONFIDENCE) / 2, count - 1) * math.sqrt(variance / count)
            low, high = max(0.0, mean - half), min(1.0, mean + half)
        return cls(mean=mean, low=low, high=high, count=count, errors=errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTable:
    """Cells of one score. `weighted`: the mean over spectrums by their weights, over all models."""

    score: str
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
        score=score,
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
