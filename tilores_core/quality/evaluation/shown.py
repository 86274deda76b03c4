"""An evaluation as text for a terminal, as JSON, and as JUnit for CI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final
from xml.etree import ElementTree

from tilores_core.quality.evaluation.evaluator import Evaluation
from tilores_core.quality.evaluation.results import (
    PASSED,
    Cell,
    Comparison,
    ScoreTable,
    agreement,
    means,
    score_table,
)
from tilores_core.quality.overview import rating
from tilores_core.quality.scoring import SCORES
from tilores_core.settings import QualityTable

_SHORT: Final = 13
_COLOURS: Final = {"excellent": 32, "warning": 33, "critical": 35, "below": 31}
"""ANSI: green, yellow, magenta, red; `target` as it is."""
_NOTE: Final = "simulated models: they read instructions by rule and say nothing about real ones"


def is_simulated(models: Mapping[str, Any]) -> bool:
    """Whether every model of a run (name -> what is known of it) is simulated."""
    return bool(models) and all(getattr(info, "simulated", False) for info in models.values())


def as_text(run: Evaluation, levels: QualityTable, *, simulated: bool, comparison: Comparison | None = None) -> str:
    """The table of overall scores in per cent, each with its 95 % interval, in colours of a terminal; cells that fell
    have a `!`."""
    table = score_table(run.results)
    lines = [f"evaluation {run.id}, prompt {run.prompt_version}, {run.state}: {_counts(run)}"]
    if simulated:
        lines.append(_NOTE)
    worse = frozenset(comparison.worse_cells) if comparison is not None else frozenset()
    lines += ["", *_grid(table, levels, worse), ""]
    scores = means(run.results)
    lines.append("  ".join(f"{name} {_percent(scores[name])}" for name in (*SCORES, "overall")))
    if table.weighted is not None:
        lines.append(f"overall, spectrums weighted: {_percent(table.weighted)}")
    if (found := agreement(run.results)) is not None:
        lines.append(f"agreement with the judge: kappa {found[0]:.2f} over {found[1]} answers")
    if comparison is not None:
        lines += ["", comparison.sentence]
        lines += [f"  fell: {model}, {spectrum}" for model, spectrum in comparison.worse_cells]
    return "\n".join(lines)


def _counts(run: Evaluation) -> str:
    parts = [f"{len(run.results)} of {run.planned} answers"]
    if run.resumed:
        parts.append(f"{run.resumed} from before")
    if run.errors:
        kinds = Counter(result.error for result in run.results if result.error)
        parts.append(
            f"{run.errors} failed ({', '.join(f'{kind} {number}' for kind, number in kinds.most_common(5))})"
        )
    parts.append(f"{run.calls} calls, {run.dollars:.4f} USD, {run.seconds:.1f} s")
    return ", ".join(parts)


def _grid(table: ScoreTable, levels: QualityTable, worse: frozenset[tuple[str, str]]) -> list[str]:
    first = max((len(model) for model in table.models), default=5)

    def row(name: str, cells: Iterable[tuple[Cell | None, bool]]) -> str:
        return f"{name:<{first}}  " + "  ".join(_cell(cell, levels, fell=fell) for cell, fell in cells)

    heads = [spectrum.replace("_", " ")[:_SHORT] for spectrum in table.spectrums]
    lines = [f"{'model':<{first}}  " + "  ".join(f"{head:>{_SHORT}}" for head in (*heads, "all"))]
    for model in table.models:
        cells = [(table.cells.get((model, name)), (model, name) in worse) for name in table.spectrums]
        lines.append(row(model, [*cells, (table.by_model[model], False)]))
    whole = [*(table.by_spectrum[name] for name in table.spectrums), table.overall]
    lines.append(row("all", [(cell, False) for cell in whole]))
    return lines


def _cell(cell: Cell | None, levels: QualityTable, *, fell: bool) -> str:
    if cell is None or cell.mean is None:
        return f"{'-':>{_SHORT}}"
    half = "" if cell.low is None or cell.high is None else f" ±{50 * (cell.high - cell.low):.1f}"
    text = f"{'! ' if fell else ''}{100 * cell.mean:.1f}{half}"
    colour = _COLOURS.get(rating(cell.mean, levels))
    return f"{text:>{_SHORT}}" if colour is None else f"\x1b[{colour}m{text:>{_SHORT}}\x1b[0m"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def as_json(run: Evaluation, *, simulated: bool, comparison: Comparison | None = None) -> dict[str, Any]:
    """All there is of a run; nothing that depends on the time that it took but `seconds` and those of each result."""
    table = score_table(run.results)
    return {
        "id": run.id,
        "state": run.state,
        "prompt_version": run.prompt_version,
        "simulated": simulated,
        **run.summary(),
        "resumed": run.resumed,
        "seconds": run.seconds,
        "table": [
            {"model": model, "spectrum": spectrum, **asdict(cell)}
            for (model, spectrum), cell in sorted(table.cells.items())
        ],
        "results": [result.row() for result in run.results],
        "comparison": None if comparison is None else comparison_row(comparison),
    }


def comparison_row(comparison: Comparison) -> dict[str, Any]:
    """A comparison as JSON."""
    return {
        "verdict": comparison.verdict,
        "sentence": comparison.sentence,
        "overall": asdict(comparison.overall),
        "models": {name: asdict(test) for name, test in comparison.by_model.items()},
        "spectrums": {name: asdict(test) for name, test in comparison.by_spectrum.items()},
        "worse_cells": [list(cell) for cell in comparison.worse_cells],
    }


def as_junit(run: Evaluation) -> bytes:
    """JUnit XML: a test suite per model, a test case per question; an overall score below 0.9 is a failure."""
    root = ElementTree.Element("testsuites", name=f"tilores evaluation {run.id}")
    for model in dict.fromkeys(result.model for result in run.results):
        rows = [result for result in run.results if result.model == model]
        failed = sum(row.scores is not None and row.scores.overall < PASSED for row in rows)
        errors = sum(row.error is not None for row in rows)
        counts: dict[str, Any] = {"tests": str(len(rows)), "failures": str(failed), "errors": str(errors)}
        suite = ElementTree.SubElement(root, "testsuite", name=model, **counts)
        for row in rows:
            seconds = f"{row.seconds:.3f}"
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{model}.{row.spectrum}", name=row.question_id, time=seconds
            )
            if row.error is not None:
                ElementTree.SubElement(case, "error", message=row.error)
            elif row.scores is not None and row.scores.overall < PASSED:
                shown = ", ".join(f"{name} {_percent(value)}" for name, value in row.scores.values().items())
                ElementTree.SubElement(case, "failure", message=shown)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written
