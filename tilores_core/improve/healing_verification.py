"""Did it help? What live traffic shows since an action, without what was there before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tilores_core.statistics import Moments
from tilores_core.store.healing import Episode
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import HOUR_MS, WINDOW_MS, Window

_SUMS: Final = ("turns", "errors", "hits", "overall_count", "overall_sum", "overall_squares")
_LONGEST_MS: Final = 11 * HOUR_MS
"""Windows of five minutes are kept for twelve hours."""
_MOST_ERRORS: Final = 0.05
_SURE: Final = 3.0
"""Standard errors below the level that make a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    healed: bool
    said: str
    figures: Mapping[str, float] = field(default_factory=dict)


async def snapshot(store: LazyStore, *, now: float) -> list[dict[str, Any]]:
    """The sums of the window that is open, to be taken off later ones: windows have five minutes. `now`: seconds."""
    return [_row(window) for window in await _windows(store, now, now)]


async def verify(episode: Episode, store: LazyStore, *, now: float, answers: int, good: float) -> Verdict | None:
    """None while it is not clear. `answers`: fewest scored ones, or turns where a model was down; `good`: the mean
    score that must be reached. Raises `StoreError`."""
    if episode.body["action"] == "re-optimise":
        return await _resolved(episode, store)
    before = {_key(row): row for row in episode.body["baseline"]}
    since = [
        {**row, **{name: row[name] - before.get(_key(row), {}).get(name, 0.0) for name in _SUMS}}
        for row in map(_row, await _windows(store, episode.created.timestamp(), now))
    ]
    if episode.diagnosis == "model down":  # a turn that failed counts for the model that was asked for
        turns = sum(row["turns"] - row["hits"] for row in since)
        errors = sum(row["errors"] for row in since)
        if turns < answers:
            return None
        figures = {"turns": turns, "errors": errors}
        share = errors / turns
        said = f"{turns:.0f} turns since, {share:.1%} of them failed"
        return Verdict(healed=share <= _MOST_ERRORS, said=said, figures=figures)
    scores = _moments(row for row in since if _counts(row, episode.body))
    if scores.count < answers:
        return None
    said = f"mean of {scores.count:.0f} scores since: {scores.mean:.1%}"
    figures = {"scores": scores.count, "mean": scores.mean}
    if scores.mean >= good:
        return Verdict(healed=True, said=said, figures=figures)
    error = math.sqrt(max(scores.variance, 1e-9) / scores.count)
    if scores.mean + _SURE * error < good:
        return Verdict(healed=False, said=f"{said}, below {good:.0%}", figures=figures)
    return None


async def _resolved(episode: Episode, store: LazyStore) -> Verdict | None:
    """A cycle was asked for: it has healed when none of the breaches is open any more."""
    known = await (await store.get()).alerts.of(episode.body["breaches"])
    if any(one.state != "resolved" for one in known.values()):
        return None
    return Verdict(healed=True, said="quality holds its levels again")


def _counts(row: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a cell shows what the action did: answers of the version that was put back, or of the other models."""
    if body["spectrums"] and row["spectrum"] not in body["spectrums"]:
        return False
    if "restored" in body:
        return bool(row["prompt_version"] == body["restored"])
    return bool(row["model"] != body["model"])


async def _windows(store: LazyStore, since: float, until: float) -> list[Window]:
    start = max(since * 1000, until * 1000 - _LONGEST_MS) // WINDOW_MS * WINDOW_MS
    return await (await store.get()).windows.query(
        int(start), int(until * 1000) + 1, step_ms=WINDOW_MS, measures=("overall",), limit=50_000
    )


def _row(window: Window) -> dict[str, Any]:
    cell = {"model": window.model, "spectrum": window.spectrum, "prompt_version": window.prompt_version}
    return {"start_ms": window.start_ms, **cell, **{name: window.sums[name] for name in _SUMS}}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["start_ms"], row["model"], row["spectrum"], row["prompt_version"]


def _moments(rows: Iterable[Mapping[str, Any]]) -> Moments:
    total = Moments()
    for row in rows:
        total.merge(
            Moments.of_sums(count=row["overall_count"], total=row["overall_sum"], squares=row["overall_squares"])
        )
    return total
