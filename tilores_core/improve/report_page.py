"""A cycle as one HTML page: its Markdown report with charts as inline SVG; without scripts, and loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from tilores_core.improve.report import as_markdown
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
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; } ul { padding-left: 1.2rem; }
p, td { color: var(--text); } table { border-spacing: 0; margin: 1rem 0; }
td, thead th { padding: .25rem .75rem .25rem 0; text-align: left; }
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
    from markdown_it import MarkdownIt  # not for commands that print Markdown

    # What models wrote is shown as it is: no HTML, links or images.
    markdown = MarkdownIt("zero").enable(["heading", "list", "table", "emphasis"])
    begin, *sections = as_markdown(cycle).split("\n## ")
    page = [
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Improvement cycle {escape(cycle.id)}</title><style>{_STYLE}</style>",
        markdown.render(begin),
    ]
    for section in sections:
        page += [markdown.render(f"## {section}"), *_charts(section.partition("\n")[0], cycle.phases, cycle.options)]
    return "\n".join([*page, "</html>", ""])


def _charts(section: str, phases: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    """Those that belong below a section of the report."""
    if section == "What was found" and "winner" not in phases.get("validation", {}):
        yield _bars([(name, score, None) for name, score in phases["baseline"]["spectrums"].items()])
    if section == "What was found" and (faults := phases.get("opportunities", {}).get("faults")):
        most = max(fault["gain"] for fault in faults)
        yield "<h3>What mending a fault would gain at most, in points</h3>"
        yield _svg(
            len(faults) * 24,
            (
                _bar(place * 24, f"{fault['fault']} ({fault['answers']} answers)", fault["gain"] / most, "cost")
                + _value(place * 24, fault["gain"] / most, f"{100 * fault['gain']:.1f}")
                for place, fault in enumerate(faults)
            ),
        )
    if section == "What was decided" and "winner" in phases["validation"]:
        before, after = phases["validation"]["present"], phases["validation"]["winner"]
        for by in ("spectrums", "models"):
            yield f"<h3>Held-out questions, by {by[:-1]}</h3>{_KEY}"
            yield _bars([(name, before[by].get(name), score) for name, score in after[by].items()])
        decision = phases["validation"]["decision"]
        if decision["low"] is not None:
            yield f"<h3>The gain, with its interval over {decision['questions']} questions</h3>"
            yield _interval(decision, options["thresholds"]["gain"])
    if section == "The roll-out on live traffic" and (means := phases["rollout"]["means"]):
        yield _KEY + _bars([("live answers", means.get("control"), means.get("candidate"))])


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


def _room() -> int:
    return _WIDTH - _LEFT - _RIGHT
