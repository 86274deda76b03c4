"""An evaluation as text for a terminal, as JSON, as JUnit for CI, and as one HTML page with a heat map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from html import escape
from importlib.resources import files
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
from tilores_core.quality.scoring.scores import SCORES
from tilores_core.settings import QualityTable
from tilores_core.spectrums import current_spectrums

_SHORT: Final = 13
_ANSI: Final = {"excellent": 32, "warning": 33, "critical": 35, "below": 31}
"""Green, yellow, magenta, red; `target` as it is."""
_COLOURS: Final = {
    "excellent": "#7fc99a",
    "target": "#b4dfb0",
    "warning": "#f3e29a",
    "critical": "#f6c48a",
    "below": "#ef9a9a",
}
_NOTE: Final = "simulated models: they read instructions by rule and say nothing about real ones"
Row = tuple[str, list[tuple[Cell | None, bool]]]


def _rows(table: ScoreTable, comparison: Comparison | None) -> Iterator[Row]:
    """The names of models with their cells, and whether each cell fell; the last row and cells are those of all."""
    worse = comparison.worse_cells if comparison is not None else ()
    for model in table.models:
        cells = [(table.cells.get((model, name)), (model, name) in worse) for name in table.spectrums]
        yield model, [*cells, (table.by_model[model], False)]
    yield "all", [(cell, False) for cell in (*(table.by_spectrum[name] for name in table.spectrums), table.overall)]


def _half(cell: Cell) -> str:
    return "" if cell.low is None or cell.high is None else f"±{50 * (cell.high - cell.low):.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


# --- text ------------------------------------------------------------------------------------------------


def as_text(run: Evaluation, levels: QualityTable, *, simulated: bool, comparison: Comparison | None = None) -> str:
    """The table of overall scores in per cent, each with its 95 % interval, in colours of a terminal; cells that fell
    have a `!`."""
    table = score_table(run.results)
    lines = [f"evaluation {run.id}, prompt {run.prompt_version}, {run.state}: {_counts(run)}"]
    if simulated:
        lines.append(_NOTE)
    lines += ["", *_grid(table, levels, comparison), ""]
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


def _grid(table: ScoreTable, levels: QualityTable, comparison: Comparison | None) -> Iterator[str]:
    first = max((len(model) for model in table.models), default=5)
    heads = [spectrum.replace("_", " ")[:_SHORT] for spectrum in table.spectrums]
    yield f"{'model':<{first}}  " + "  ".join(f"{head:>{_SHORT}}" for head in (*heads, "all"))
    for name, cells in _rows(table, comparison):
        yield f"{name:<{first}}  " + "  ".join(_text_cell(cell, levels, fell=fell) for cell, fell in cells)


def _text_cell(cell: Cell | None, levels: QualityTable, *, fell: bool) -> str:
    if cell is None or cell.mean is None:
        return f"{'-':>{_SHORT}}"
    text = f"{'! ' if fell else ''}{100 * cell.mean:.1f} {_half(cell)}".rstrip()
    colour = _ANSI.get(rating(cell.mean, levels))
    return f"{text:>{_SHORT}}" if colour is None else f"\x1b[{colour}m{text:>{_SHORT}}\x1b[0m"


# --- for programs ----------------------------------------------------------------------------------------


def as_json(run: Evaluation, *, simulated: bool, comparison: Comparison | None = None) -> dict[str, Any]:
    """All there is of a run; nothing that depends on the time that it took but `seconds` and those of each result."""
    table = score_table(run.results)
    compared = comparison and {
        "verdict": comparison.verdict,
        "sentence": comparison.sentence,
        "overall": asdict(comparison.overall),
        "models": {name: asdict(test) for name, test in comparison.by_model.items()},
        "spectrums": {name: asdict(test) for name, test in comparison.by_spectrum.items()},
        "worse_cells": [list(cell) for cell in comparison.worse_cells],
    }
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
        "comparison": compared,
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


# --- HTML ------------------------------------------------------------------------------------------------


def begin_page(title: str, kind: str) -> str:
    """The beginning of an HTML page that loads nothing, with the style of reports; `kind`: of which report."""
    style = files("tilores_core").joinpath("data/report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{style}</style><body class="{kind}">'
    )


def as_html(run: Evaluation, levels: QualityTable, *, simulated: bool, comparison: Comparison | None = None) -> str:
    """The page: the table of models and spectrums as a heat map, the scores, the comparison if there is one."""
    table, scores = score_table(run.results), means(run.results)
    found = agreement(run.results)
    parts = [
        begin_page(f"Evaluation {run.id}", "evaluation"),
        f"<h1>Evaluation {escape(run.id)}</h1>",
        f"<p>Prompt {escape(run.prompt_version)}. {len(run.results)} of {run.planned} answers, {run.errors} failed, "
        f"{run.calls} calls, {run.dollars:.4f} USD. State: {run.state}.</p>",
    ]
    if simulated:
        parts.append(f'<p class="note">{_NOTE.capitalize()}.</p>')
    if comparison is not None:
        parts.append(f'<p class="verdict">{escape(comparison.sentence)}</p>')
    figures = [(name, scores[name]) for name in (*SCORES, "overall")]
    parts.append("<dl>" + "".join(f"<div><dt>{name}</dt><dd>{_percent(value)}</dd></div>" for name, value in figures))
    if found is not None:
        parts.append(f"<div><dt>agreement with the judge (kappa)</dt><dd>{found[0]:.2f}</dd></div>")
    parts.append("</dl>")
    parts.append("<h2>Overall score by model and spectrum</h2>")
    parts.append(_map(table, levels, comparison))
    parts.append(_scale(levels))
    parts.append("<p>Each cell: mean of the answers in per cent, with half the width of its 95 % interval.</p>")
    tables = {score.capitalize(): score_table(run.results, score) for score in SCORES}
    parts += [f"<h2>{name}</h2>{_map(table, levels, None)}" for name, table in tables.items()]
    return "\n".join(parts) + "</body></html>\n"


def _map(table: ScoreTable, levels: QualityTable, comparison: Comparison | None) -> str:
    titles = {spectrum.name: spectrum.title for spectrum in current_spectrums().spectrums}
    heads = "".join(f"<th>{escape(titles.get(name, name))}</th>" for name in table.spectrums)
    rows = [f"<thead><tr><th></th>{heads}<th>All</th></tr></thead><tbody>"]
    for name, cells in _rows(table, comparison):
        shown = "".join(_html_cell(cell, levels, fell=fell) for cell, fell in cells)
        rows.append(f"<tr><th>{escape(name)}</th>{shown}</tr>")
    return f'<div class="wide"><table>{"".join(rows)}</tbody></table></div>'


def _html_cell(cell: Cell | None, levels: QualityTable, *, fell: bool) -> str:
    if cell is None or cell.mean is None:
        return '<td class="none">-</td>'
    colour = _COLOURS[rating(cell.mean, levels)]
    mark = ' class="worse" title="fell, against the run compared with"' if fell else ""
    failed = f" · {cell.errors} failed" if cell.errors else ""
    shown = f"<b>{100 * cell.mean:.1f}</b><small>{_half(cell)} n={cell.count}{failed}</small>"
    return f'<td{mark} style="background:{colour}">{shown}</td>'


def _scale(levels: QualityTable) -> str:
    steps = "".join(
        f'<i style="background:{colour}"></i>{name}'
        + (f" {100 * getattr(levels, name):g}" if name != "below" else "")
        for name, colour in _COLOURS.items()
    )
    return f'<div class="scale">{steps}</div>'
