"""A cycle in one line, as Markdown and as HTML: what was found, tried, gained, spent, decided, and why; and what
happens in cycles and episodes, as it happens. Without any customer's data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any, Final

from tilores_core.improve.cycle import PHASES
from tilores_core.quality.evaluation.report import begin_page
from tilores_core.resilience import wait_for_event
from tilores_core.store.topics import HEALING, IMPROVEMENT

if TYPE_CHECKING:
    from tilores_core.store.healing import Episode
    from tilores_core.store.improvement import StoredCycle
    from tilores_core.store.lazy import LazyStore


def cycle_row(cycle: StoredCycle) -> dict[str, Any]:
    phases = cycle.phases
    decision = phases.get("validation", {}).get("decision", {})
    ended = [name for name in ("validation", "generation", "baseline") if "spent" in phases.get(name, {})]
    spent: Mapping[str, Any] = phases[ended[0]]["spent"] if ended else {}
    return {
        "id": cycle.id,
        "state": cycle.state,
        "created": cycle.created.isoformat(timespec="seconds"),
        "strategy": cycle.options["strategy"] + (" (mock)" if cycle.options.get("mock") else ""),
        "phase": next((name for name in reversed(PHASES) if name in phases), ""),
        "outcome": decision.get("outcome", ""),
        "gain": decision.get("difference"),
        "confidence": decision.get("confidence"),
        "version": phases.get("recommendations", {}).get("version"),
        "calls": spent.get("calls", 0),
        "dollars": spent.get("dollars", 0.0),
    }


async def list_cycles(store: LazyStore, limit: int) -> list[dict[str, Any]]:
    """The latest cycles in one line each; `interrupted`: no process runs it any more. Raises `StoreError`."""
    opened = await store.get()
    rows = [cycle_row(cycle) for cycle in await opened.improvement.recent(limit=limit)]
    for row in rows:
        if row["state"] == "running":
            row["calls"] = await opened.improvement.count_calls(row["id"])
            if await opened.leases.end_if_holder_died("improve"):
                row["state"] = "interrupted"
    return rows


def episode_row(episode: Episode) -> dict[str, Any]:
    """An episode as commands and `/admin/improvement/episodes` show it."""
    body = episode.body
    return {
        "id": episode.id,
        "state": episode.state,
        "created": episode.created.isoformat(timespec="seconds"),
        "ended": None if episode.ended is None else episode.ended.isoformat(timespec="seconds"),
        "diagnosis": episode.diagnosis,
        "subject": episode.subject,
        **{
            name: body.get(name)
            for name in ("model", "spectrums", "action", "done", "result", "lesson", "evidence", "figures")
        },
    }


async def list_episodes(store: LazyStore, limit: int) -> dict[str, list[dict[str, Any]]]:
    """The latest episodes, and what all of them say of actions. Raises `StoreError`."""
    from tilores_core.improve.healing_diagnosis import lessons  # not for reports of cycles

    found = await (await store.get()).healing.recent(limit=1_000)
    learned = [{**asdict(one), "confidence": one.confidence} for one in lessons(found)]
    return {"episodes": [episode_row(one) for one in found[:limit]], "lessons": learned}


class ImprovementEvents:
    """What happens in cycles and episodes, whichever process makes it happen: read from the store.

    One for a process: it listens once to the store's change feed, for all who follow.
    """

    def __init__(self, store: LazyStore) -> None:
        self._store = store
        self._followers: set[asyncio.Event] = set()
        for topic in (IMPROVEMENT, HEALING):
            store.listen(topic, lambda _: self._wake())

    async def follow(self, quiet_seconds: float) -> AsyncGenerator[list[tuple[str, dict[str, Any]]]]:
        """What has changed since the list before; the first one is how things stand, and an empty one says that
        nothing has changed for so long. Raises `StoreError`.

        Names: `cycle` (a cycle's row, when it begins, ends or waits for its roll-out), `phase` (one that has ended),
        `progress` (calls so far), `decision`, `episode`.
        """
        changed = asyncio.Event()
        self._followers.add(changed)
        seen: dict[str, Any] = {}
        try:
            while True:
                changed.clear()
                yield await self._look(seen)
                while not await wait_for_event(changed, quiet_seconds):
                    yield []
        finally:
            self._followers.discard(changed)

    def _wake(self) -> None:
        for one in self._followers:
            one.set()

    async def _look(self, seen: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        store = await self._store.get()
        events: list[tuple[str, dict[str, Any]]] = []
        is_first, seen["begun"] = "begun" not in seen, True

        def add_changed(key: str, name: str, data: dict[str, Any]) -> None:
            if seen.get(key) != data:
                seen[key] = data
                events.append((name, data))

        for cycle in reversed(await store.improvement.recent(limit=5)):
            key, about = f"cycle {cycle.id}", {"cycle": cycle.id}
            row = cycle_row(cycle)
            state = {name: row[name] for name in ("id", "state", "created", "strategy")}
            ended = cycle.state in ("done", "failed")
            if not ended:
                add_changed(key, "cycle", state)
            if not (ended and is_first):  # the phases of earlier cycles are in their reports
                for number, phase in enumerate(PHASES, start=1):
                    if phase in cycle.phases:
                        add_changed(f"{key} {phase}", "phase", {**about, "phase": phase, "number": number})
                if "validation" in cycle.phases:
                    add_changed(f"{key} decision", "decision", {**about, **cycle.phases["validation"]["decision"]})
            if cycle.state == "running":
                calls = await store.improvement.count_calls(cycle.id)
                add_changed(f"{key} calls", "progress", {**about, "calls": calls})
            if ended:
                add_changed(key, "cycle", row)
        for episode in reversed(await store.healing.recent(limit=20)):
            add_changed(f"episode {episode.id}", "episode", episode_row(episode))
        return events


def as_markdown(cycle: StoredCycle) -> str:
    """The whole report."""
    return "\n".join(_lines(cycle)) + "\n"


def _lines(cycle: StoredCycle) -> Iterator[str]:
    row, phases, options = cycle_row(cycle), cycle.phases, cycle.options
    yield f"# Improvement cycle {cycle.id}"
    yield ""
    yield f"- State: {row['state']}; strategy: {row['strategy']}; seed {options['seed']}; began {row['created']}"
    yield f"- Models: {', '.join(options['models'])}"
    if options.get("mock"):
        yield "- The strategy is a mock: it knows its instructions beforehand and asks no model"
    if options["reason"]:
        yield f"- Why: {options['reason']}"
    yield f"- Spent: {row['calls']} calls, {row['dollars']:.4f} US dollars where prices are known"
    if row["outcome"]:
        yield f"- Decided: {row['outcome']}; {100 * row['gain']:+.1f} points, confidence {row['confidence']:.1%}"
    if "error" in phases:
        yield f"- It failed: {phases['error']['said']}"
    if "baseline" in phases:
        yield from _write_found(phases)
    if "generation" in phases:
        yield from _write_tried(phases["generation"])
    if "validation" in phases:
        yield from _write_decided(phases)
    if "rollout" in phases:
        rollout = phases["rollout"]
        steps = ", ".join(f"{weight:.0%}" for weight in rollout["steps"])
        yield from ("", "## The roll-out on live traffic", "")
        yield f"**{rollout['outcome']}**: {rollout['reason']}. Steps taken: {steps}, in {rollout['hours']:.1f} hours."
    if "recommendations" in phases:
        yield from ("", "## Next", "")
        yield f"- Done: {phases['recommendations']['done']}"
        yield from (f"- {text}" for text in phases["recommendations"]["next"])


def _write_found(phases: Any) -> Iterator[str]:
    baseline = phases["baseline"]
    yield from ("", "## What was found", "")
    failed = f" ({baseline['errors']} calls ended without one)" if baseline["errors"] else ""
    yield f"The present prompt scores {baseline['overall']:.1%} over {baseline['answers']} answers{failed}."
    yield from ("", "| spectrum | score | since the cycle before |", "| --- | --- | --- |")
    for name, score in baseline["spectrums"].items():
        change = phases.get("trends", {}).get(name, {}).get("change")
        yield f"| {name} | {score:.1%} | {'' if change is None else f'{100 * change:+.1f} points'} |"
    faults = phases.get("opportunities", {}).get("faults", [])
    if faults:
        yield from ("", "| fault | answers | gain at most | mostly in |", "| --- | --- | --- | --- |")
        for fault in faults:
            where = ", ".join(fault["spectrums"])
            yield f"| {fault['fault']} | {fault['answers']} | {100 * fault['gain']:.1f} points | {where} |"


def _write_tried(generation: Any) -> Iterator[str]:
    yield from ("", "## What was tried", "")
    yield f"Candidates scored: {generation['tried']}; instructions learned from: {generation['learned']}."
    if generation["ended"]:
        yield f"The search ended early: {generation['ended']}."
    if generation["rejected"]:
        yield from ("", f"{len(generation['rejected'])} candidates were rejected:", "")
        yield from (*(f"- {finding}" for finding in generation["rejected"]), "")
    winner = generation["winner"]
    if winner is None:
        yield "No candidate is better than the present prompt."
        return
    training = generation["training"]
    yield f"On training questions: {training['present']:.1%} before, {training['best']:.1%} with the winner:"
    yield ""
    yield from (f"- {change['part']}: {' '.join(change['instruction'].split())}" for change in winner["changes"])


def _write_decided(phases: Any) -> Iterator[str]:
    validation = phases["validation"]
    decision = validation["decision"]
    yield from ("", "## What was decided", "")
    yield f"**{decision['outcome']}**: {'; '.join(decision['reasons'])}."
    if "winner" in validation:
        before, after = validation["present"], validation["winner"]
        yield from ("", "| held-out questions | present prompt | winner |", "| --- | --- | --- |")
        yield f"| all | {before['overall']:.1%} | {after['overall']:.1%} |"
        for name, score in after["spectrums"].items():
            yield f"| {name} | {before['spectrums'][name]:.1%} | {score:.1%} |"


_WIDTH: Final = 800
_LEFT: Final = 230
_ROOM: Final = 500
"""The length of the longest bar."""
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
        begin_page(f"Improvement cycle {cycle.id}", "cycle"),
        markdown.render(begin),
    ]
    for section in sections:
        page += [markdown.render(f"## {section}"), *_charts(section.partition("\n")[0], cycle.phases, cycle.options)]
    return "\n".join([*page, "</body></html>", ""])


def _charts(section: str, phases: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    """Those that belong below a section of the report."""
    if section == "What was found" and "winner" not in phases.get("validation", {}):
        yield _bars(
            (name, score, f"{score:.1%}", "before") for name, score in phases["baseline"]["spectrums"].items()
        )
    if section == "What was found" and (faults := phases.get("opportunities", {}).get("faults")):
        most = max(fault["gain"] for fault in faults)
        yield "<h3>What mending a fault would gain at most, in points</h3>"
        yield _bars(
            (f"{one['fault']} ({one['answers']} answers)", one["gain"] / most, f"{100 * one['gain']:.1f}", "cost")
            for one in faults
        )
    if section == "What was decided" and "winner" in phases["validation"]:
        before, after = phases["validation"]["present"], phases["validation"]["winner"]
        for by in ("spectrums", "models"):
            yield f"<h3>Held-out questions, by {by[:-1]}</h3>"
            yield _compare((name, before[by].get(name), score) for name, score in after[by].items())
        decision = phases["validation"]["decision"]
        if decision["low"] is not None:
            yield f"<h3>The gain, with its interval over {decision['questions']} questions</h3>"
            yield _interval(decision, options["thresholds"]["gain"])
    if section == "The roll-out on live traffic" and (means := phases["rollout"]["means"]):
        yield _compare([("live answers", means.get("control"), means.get("candidate"))])


def _compare(rows: Iterable[tuple[str, float | None, float | None]]) -> str:
    """Scores from 0 to 1 of the present prompt and of the winner; a bar for each that is there."""
    bars = []
    for name, *scores in rows:
        label = name
        for score, kind in zip(scores, ("before", "after"), strict=True):
            if score is not None:
                bars.append((label, score, f"{score:.1%}", kind))
                label = ""
    return _KEY + _bars(bars)


def _bars(bars: Iterable[tuple[str, float, str, str]]) -> str:
    """A bar of each name, length from 0 to 1, text behind it, and kind."""
    parts = []
    for place, (name, share, text, kind) in enumerate(bars):
        y, width = 20 * place, max(1.0, _ROOM * min(1.0, max(0.0, share)))
        parts.append(
            f'<text x="{_LEFT - 10}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="13" rx="2"/>'
            f'<text class="soft" x="{_LEFT + width + 6:.1f}" y="{y + 11}">{escape(text)}</text>'
        )
    return _svg(20 * len(parts), parts)


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
