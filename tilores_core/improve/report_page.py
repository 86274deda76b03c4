"""A cycle as one HTML page with charts: inline SVG, no scripts, nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from tilores_core.improve.parts import CycleRequest
from tilores_core.improve.report import cycle_row
from tilores_core.quality.evaluation.page import PAGE_STYLE

if TYPE_CHECKING:
    from tilores_core.store.improvement import StoredCycle

_STYLE: Final = (
    PAGE_STYLE
    + """
body { max-width: 56rem; }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; }
svg text { fill: var(--text); } svg .soft { fill: var(--soft); } svg line { stroke: var(--line); }
.before { fill: #9aa4b5; } .after { fill: #2f7d5b; } .cost { fill: #b7791f; } .bad { fill: #b42318; }
.level { stroke: #b42318; stroke-dasharray: 4 3; } .interval { stroke: #2f7d5b; stroke-width: 6; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; border-radius: 2px; }
ul { padding-left: 1.2rem; }
"""
)
_WIDTH: Final = 800
_LEFT: Final = 230
_RIGHT: Final = 70
_BAR: Final = 13
_KEY: Final = (
    '<p class="key"><i style="background:#9aa4b5"></i>present prompt<i style="background:#2f7d5b"></i>winner</p>'
)


def as_html(cycle: StoredCycle) -> str:
    """The whole report."""
    title = f"Improvement cycle {escape(cycle.id)}"
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
    )
    return "\n".join([head, *_parts(cycle), "</html>", ""])


def _parts(cycle: StoredCycle) -> Iterator[str]:
    row, phases, options = cycle_row(cycle), cycle.phases, cycle.options
    about = [f"{row['state']}", f"strategy {row['strategy']}", f"began {row['created']}", f"seed {options['seed']}"]
    yield f"<p>{escape(', '.join(about))}. Models: {escape(', '.join(options['models']))}.</p>"
    if options["reason"]:
        yield f"<p>Why: {escape(options['reason'])}</p>"
    if CycleRequest.from_state(options).mock:
        yield '<p class="note">The strategy is a mock: it knows its instructions beforehand and asks no model.</p>'
    if "error" in phases:
        yield f'<p class="verdict">It failed: {escape(phases["error"]["said"])}</p>'
    validation = phases.get("validation", {})
    decision = validation.get("decision")
    figures = [("calls", f"{row['calls']}"), ("US dollars", f"{row['dollars']:.4f}")]
    if decision:
        figures = [("decision", decision["outcome"]), ("gain", _points(decision["difference"])), *figures]
        figures.insert(2, ("confidence", f"{decision['confidence']:.1%}"))
    yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures) + "</dl>"
    if decision:
        yield f'<p class="verdict">{escape("; ".join(decision["reasons"]))}</p>'
    if "winner" in validation:
        before, after = validation["present"], validation["winner"]
        yield "<h2>Held-out questions, by spectrum</h2>" + _KEY
        yield _bars(_pairs("all", before["overall"], after["overall"], before["spectrums"], after["spectrums"]))
        yield "<h2>Held-out questions, by model</h2>" + _KEY
        yield _bars([(name, before["models"].get(name), score) for name, score in after["models"].items()])
    if decision and decision["low"] is not None:
        yield f"<h2>The gain, with its interval over {decision['questions']} questions</h2>"
        yield _interval(decision, options["thresholds"]["gain"])
    if "baseline" in phases:
        yield from _render_scores(phases, shown="winner" in validation)
    if "generation" in phases:
        yield from _render_search(phases["generation"])
    yield from _render_end(phases)


def _render_scores(phases: Mapping[str, Any], *, shown: bool) -> Iterator[str]:
    baseline = phases["baseline"]
    yield "<h2>What was found</h2>"
    yield f"<p>The present prompt scores {baseline['overall']:.1%} over {baseline['answers']} answers, "
    yield f"{baseline['errors']} calls gave none.</p>"
    if not shown:
        yield _bars([(name, score, None) for name, score in baseline["spectrums"].items()])
    faults = phases.get("opportunities", {}).get("faults", [])
    if faults:
        yield "<h2>What mending a fault would gain at most, in points</h2>"
        most = max(fault["gain"] for fault in faults)
        yield _svg(
            len(faults) * 24,
            (
                _bar(place * 24, f"{fault['fault']} ({fault['answers']} answers)", fault["gain"] / most, "cost")
                + _value(place * 24, fault["gain"] / most, f"{100 * fault['gain']:.1f}")
                for place, fault in enumerate(faults)
            ),
        )


def _render_search(generation: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>What was tried</h2>"
    yield f"<p>{generation['tried']} candidates were scored, "
    yield f"{generation['learned']} instructions were learned from.</p>"
    if generation["ended"]:
        yield f"<p>The search ended early: {escape(generation['ended'])}.</p>"
    yield from _list(f"rejected: {finding}" for finding in generation["rejected"])
    winner = generation["winner"]
    if winner is None:
        yield "<p>No candidate is better than the present prompt.</p>"
        return
    training = generation["training"]
    yield f"<p>Training questions: {training['present']:.1%} before, {training['best']:.1%} with the winner:</p>"
    yield from _list(f"{change['part']}: {change['instruction']}" for change in winner["changes"])


def _render_end(phases: Mapping[str, Any]) -> Iterator[str]:
    if "recommendations" in phases:
        yield "<h2>What was done</h2>"
        yield f"<p>{escape(phases['recommendations']['done'])}</p>"
    if "rollout" in phases:
        rollout = phases["rollout"]
        steps = ", ".join(f"{weight:.0%}" for weight in rollout["steps"])
        yield "<h2>The roll-out on live traffic</h2>"
        yield f'<p class="verdict">{escape(str(rollout["outcome"]))}: {escape(str(rollout["reason"]))}</p>'
        yield f"<p>Steps taken: {steps}, in {rollout['hours']:.1f} hours.</p>"
        means = rollout["means"]
        if means:
            yield _KEY + _bars([("live answers", means.get("control"), means.get("candidate"))])
    if "recommendations" in phases:
        yield "<h2>Next</h2>"
        yield from _list(phases["recommendations"]["next"])


def _pairs(
    name: str, before: float, after: float, was: Mapping[str, float], now: Mapping[str, float]
) -> list[tuple[str, float | None, float | None]]:
    return [(name, before, after), *((one, was.get(one), score) for one, score in now.items())]


def _bars(rows: Sequence[tuple[str, float | None, float | None]]) -> str:
    """Scores from 0 to 1: a bar for each of the two that is there."""
    parts = []
    for place, (name, before, after) in enumerate(rows):
        top = place * 40
        for offset, score, kind in ((0, before, "before"), (15, after, "after")):
            if score is not None:
                parts.append(_bar(top + offset, name if not offset or before is None else "", score, kind))
                parts.append(_value(top + offset, score, f"{score:.1%}"))
    return _svg(len(rows) * 40, parts)


def _bar(top: float, name: str, share: float, kind: str) -> str:
    label = f'<text x="{_LEFT - 10}" y="{top + 11}" text-anchor="end">{escape(name)}</text>' if name else ""
    width = max(1.0, _room() * min(1.0, max(0.0, share)))
    return f'{label}<rect class="{kind}" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>'


def _value(top: float, share: float, text: str) -> str:
    x = _LEFT + _room() * min(1.0, max(0.0, share)) + 6
    return f'<text class="soft" x="{x:.1f}" y="{top + 11}">{escape(text)}</text>'


def _interval(decision: Mapping[str, Any], least: float) -> str:
    """The difference in points with its always-valid interval, no difference, and the gain that is needed."""
    low, high, middle = (100 * float(decision[name]) for name in ("low", "high", "difference"))
    least *= 100
    left, right = min(low, 0.0) - 1, max(high, least) + 1

    def x(value: float) -> float:
        return 20.0 + (_WIDTH - 40) * (value - left) / (right - left)

    def mark(value: float, text: str, kind: str, y: float) -> str:
        line = f'<line class="{kind}" x1="{x(value):.1f}" y1="38" x2="{x(value):.1f}" y2="68"/>'
        return f'{line}<text class="soft" x="{x(value):.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'

    return _svg(
        90,
        (
            mark(0.0, "no difference", "", 14),
            mark(least, f"{least:g} needed", "level", 86),
            f'<line class="interval" x1="{x(low):.1f}" y1="45" x2="{x(high):.1f}" y2="45"/>',
            f'<circle class="after" cx="{x(middle):.1f}" cy="45" r="8"/>',
            f'<text x="{x(middle):.1f}" y="32" text-anchor="middle">{middle:+.1f} [{low:+.1f}, {high:+.1f}]</text>',
        ),
    )


def _svg(height: float, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'


def _list(texts: Iterable[str]) -> Iterator[str]:
    if shown := "".join(f"<li>{escape(text)}</li>" for text in texts):
        yield f"<ul>{shown}</ul>"


def _room() -> int:
    return _WIDTH - _LEFT - _RIGHT


def _points(value: float) -> str:
    return f"{100 * value:+.1f} points"
