"""A cycle as Markdown: what was found, tried, gained, spent, decided, and why. Without any customer's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tilores_core.improve.parts import CycleRequest
from tilores_core.improve.phases import PHASES

if TYPE_CHECKING:
    from tilores_core.store.healing import Episode
    from tilores_core.store.improvement import StoredCycle
    from tilores_core.store.lazy import LazyStore


def cycle_row(cycle: StoredCycle) -> dict[str, Any]:
    """A cycle in one line."""
    phases = cycle.phases
    decision = phases.get("validation", {}).get("decision", {})
    ended = [name for name in ("validation", "generation", "baseline") if "spent" in phases.get(name, {})]
    spent: Mapping[str, Any] = phases[ended[0]]["spent"] if ended else {}
    request = CycleRequest.from_state(cycle.options)
    return {
        "id": cycle.id,
        "state": cycle.state,
        "created": cycle.created.isoformat(timespec="seconds"),
        "strategy": request.strategy + (" (mock)" if request.mock else ""),
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
            if await opened.leases.end_of_the_dead("improve"):
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
    learned = [
        {
            "diagnosis": one.diagnosis,
            "action": one.action,
            "healed": one.healed,
            "not_healed": one.failed,
            "confidence": one.confidence,
        }
        for one in lessons(found)
    ]
    return {"episodes": [episode_row(one) for one in found[:limit]], "lessons": learned}


def as_markdown(cycle: StoredCycle) -> str:
    """The whole report."""
    return "\n".join(_lines(cycle)) + "\n"


def _lines(cycle: StoredCycle) -> Iterator[str]:
    row, phases, options = cycle_row(cycle), cycle.phases, cycle.options
    yield f"# Improvement cycle {cycle.id}"
    yield ""
    yield f"- State: {row['state']}; strategy: {row['strategy']}; seed {options['seed']}; began {row['created']}"
    yield f"- Models: {', '.join(options['models'])}"
    if CycleRequest.from_state(options).mock:
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
