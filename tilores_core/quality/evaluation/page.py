"""An evaluation as one HTML page with a heat map; nothing is loaded from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final

from tilores_core.quality.evaluation.evaluator import Evaluation
from tilores_core.quality.evaluation.results import Cell, Comparison, ScoreTable, agreement, means, score_table
from tilores_core.quality.overview import rating
from tilores_core.quality.scoring import SCORES
from tilores_core.settings import QualityTable
from tilores_core.spectrums import current_spectrums

PAGE_STYLE: Final = """
:root { color-scheme: light dark; --text: #1d2330; --soft: #667085; --line: #d9dee7; --back: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8ebf1; --soft: #9aa4b5; --line: #39414f; --back: #171b22; }
}
* { box-sizing: border-box; }
body { margin: 2rem auto; padding: 0 1.5rem; max-width: 84rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; color: var(--soft); }
p.note { display: inline-block; margin: .5rem 0; padding: .25rem .75rem; border: 1px solid #b7791f;
  border-radius: 4px; color: #b7791f; }
p.verdict { color: var(--text); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 3px; width: 100%; font-variant-numeric: tabular-nums; }
th { font-weight: 600; text-align: left; padding: .4rem .5rem; vertical-align: bottom; }
thead th { font-size: .85rem; color: var(--soft); text-align: center; }
tbody th { white-space: nowrap; vertical-align: middle; }
td { text-align: center; padding: .45rem .4rem; border-radius: 4px; color: #111; min-width: 5.5rem; }
td b { display: block; font-size: 1.05rem; }
td small { color: #222; opacity: .8; white-space: nowrap; }
td.none { background: none; color: var(--soft); border: 1px dashed var(--line); }
td.worse { outline: 2px solid #b42318; outline-offset: -2px; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 1rem 0; }
dt { font-size: .85rem; color: var(--soft); } dd { margin: 0; font-size: 1.25rem; font-weight: 600; }
.scale { display: flex; gap: 3px; font-size: .8rem; color: var(--soft); align-items: center; }
.scale i { width: 2.2rem; height: .8rem; border-radius: 2px; }
"""
_COLOURS: Final = {
    "excellent": "#7fc99a",
    "target": "#b4dfb0",
    "warning": "#f3e29a",
    "critical": "#f6c48a",
    "below": "#ef9a9a",
}


def as_html(run: Evaluation, levels: QualityTable, *, simulated: bool, comparison: Comparison | None = None) -> str:
    """The page: the table of models and spectrums as a heat map, the scores, the comparison if there is one."""
    table, scores = score_table(run.results), means(run.results)
    found = agreement(run.results)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evaluation {escape(run.id)}</title><style>{PAGE_STYLE}</style>",
        f"<h1>Evaluation {escape(run.id)}</h1>",
        f"<p>Prompt {escape(run.prompt_version)}. {len(run.results)} of {run.planned} answers, {run.errors} failed, "
        f"{run.calls} calls, {run.dollars:.4f} USD. State: {run.state}.</p>",
    ]
    if simulated:
        parts.append(
            '<p class="note">Simulated models: they read instructions by rule and say nothing about real ones.</p>'
        )
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
    return "\n".join(parts) + "</html>\n"


def _map(table: ScoreTable, levels: QualityTable, comparison: Comparison | None) -> str:
    titles = {spectrum.name: spectrum.title for spectrum in current_spectrums().spectrums}
    worse = frozenset(comparison.worse_cells) if comparison is not None else frozenset()
    heads = "".join(f"<th>{escape(titles.get(name, name))}</th>" for name in table.spectrums)
    rows = [f"<thead><tr><th></th>{heads}<th>All</th></tr></thead><tbody>"]
    for model in table.models:
        cells = "".join(
            _cell(table.cells.get((model, name)), levels, fell=(model, name) in worse) for name in table.spectrums
        )
        rows.append(f"<tr><th>{escape(model)}</th>{cells}{_cell(table.by_model[model], levels)}</tr>")
    cells = "".join(_cell(table.by_spectrum[name], levels) for name in table.spectrums)
    rows.append(f"<tr><th>All</th>{cells}{_cell(table.overall, levels)}</tr></tbody>")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _cell(cell: Cell | None, levels: QualityTable, *, fell: bool = False) -> str:
    if cell is None or cell.mean is None:
        return '<td class="none">–</td>'
    colour = _COLOURS[rating(cell.mean, levels)]
    mark = ' class="worse" title="fell, against the run compared with"' if fell else ""
    half = "" if cell.low is None or cell.high is None else f"±{50 * (cell.high - cell.low):.1f}"
    failed = f" · {cell.errors} failed" if cell.errors else ""
    shown = f"<b>{100 * cell.mean:.1f}</b><small>{half} n={cell.count}{failed}</small>"
    return f'<td{mark} style="background:{colour}">{shown}</td>'


def _scale(levels: QualityTable) -> str:
    steps = "".join(
        f'<i style="background:{colour}"></i>{name}'
        + (f" {100 * getattr(levels, name):g}" if name != "below" else "")
        for name, colour in _COLOURS.items()
    )
    return f'<div class="scale">{steps}</div>'


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
