"""What an evaluation raises alerts for: cells below a level of `[quality]`, and a fall against an earlier run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tilores_core.contracts import Alert, AlertSink
from tilores_core.quality.evaluation.evaluator import Evaluation
from tilores_core.quality.evaluation.results import AnswerResult, Comparison, Where, score_table
from tilores_core.quality.thresholds import LEVELS, SEVERITIES
from tilores_core.settings import QualityTable

if TYPE_CHECKING:
    from tilores_core.store.evaluations import Evaluations

SOURCE: Final = "evaluation"
_FEWEST: Final = 5
_SAME: Final = ("models", "questions_digest", "seed")


async def baseline(evaluations: Evaluations, run: Evaluation) -> tuple[str, list[AnswerResult]] | None:
    """The latest earlier run that was asked the same questions, is done, and did not fall itself: its id and answers.

    So a prompt that stays bad keeps its alerts, and one that is mended ends them.
    """
    own = await evaluations.get(run.id)
    if own is None or not own.options.get("models"):
        return None
    for earlier in await evaluations.recent(limit=100):
        asked = earlier.id != run.id and all(earlier.options.get(name) == own.options.get(name) for name in _SAME)
        if asked and earlier.state == "done" and not earlier.summary.get("fell"):
            return earlier.id, [AnswerResult.of_row(row) for row in await evaluations.results(earlier.id)]
    return None


def update_alerts(
    sink: AlertSink,
    run: Evaluation,
    table: QualityTable,
    *,
    simulated: bool,
    against: str | None = None,
    comparison: Comparison | None = None,
) -> int:
    """Raise what holds after a run, clear what does not; how many alerts were raised. Clears only what was asked.

    - `quality.floor`: the whole 95 % interval of a cell with five answers or more is below a level. Not for simulated
      models, which are there to be below.
    - `quality.degradation`: the cell, or the overall score, fell against the run `against`.
    - `budget.spent`: the run was stopped by its budget. Then the table is not whole, and nothing else is said.
    """
    raised = 0

    def update(kind: str, where: Where = (None, None), *, holds: bool, title: str = "", **rest: Any) -> None:
        """Raise it or clear it. Without the prompt version: a better prompt ends the alert of the one before."""
        nonlocal raised
        given: dict[str, Any] = {"severity": "MEDIUM", "title": title or kind} | rest
        alert = Alert(kind=kind, source=SOURCE, model=where[0], spectrum=where[1], **given)
        if holds:
            sink.raise_alert(alert)
            raised += 1
        else:
            sink.clear(alert.fingerprint)

    is_stopped = run.state == "stopped"
    update("budget.spent", holds=is_stopped, severity="LOW", title="An evaluation was stopped by its budget")
    if is_stopped:
        return raised
    cells = score_table(run.results).cells
    for where, cell in cells.items() if not simulated else ():
        high = 1.0 if cell.high is None or cell.count < _FEWEST else cell.high
        level = next((level for level in LEVELS if high < getattr(table, level)), None)
        if level is None:
            update("quality.floor", where, holds=False)
            continue
        floor = getattr(table, level)
        update(
            "quality.floor",
            where,
            holds=True,
            severity=SEVERITIES[level],
            title=f"Golden questions are answered below {floor:.0%} ({level})",
            detail=f"mean {cell.mean or 0:.1%} of {cell.count} answers, 95 % interval up to {high:.1%}",
            values={"mean": cell.mean or 0.0, "floor": floor, "answers": float(cell.count)},
        )
    fell = {} if comparison is None else comparison.falls()
    asked: list[Where] = [] if comparison is None else [(None, None), *cells]
    for place in asked:
        if (difference := fell.get(place)) is None:
            update("quality.degradation", place, holds=False)
            continue
        what = "Golden questions are" if place == (None, None) else "A model's golden questions of a spectrum are"
        update(
            "quality.degradation",
            place,
            holds=True,
            title=f"{what} answered worse than before",
            detail=f"{100 * difference:+.1f} points in evaluation {run.id}, with prompt {run.prompt_version}, "
            f"against {against}",
            values={"difference": difference},
        )
    return raised
