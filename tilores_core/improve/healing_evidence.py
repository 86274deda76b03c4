"""What is known when something is wrong: alerts, regressions, changes behind a name, drift of what comes in; and what
live traffic shows after an action, without what was there before.

All of it is in the store, so that any worker sees the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tilores_core.improve.orchestrator import BREACHES
from tilores_core.release.monitor import ProductionPerformanceMonitor, Regression
from tilores_core.statistics import Moments
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import DAY_MS, HOUR_MS, WINDOW_MS, Window

if TYPE_CHECKING:
    from tilores_core.store.alerts import StoredAlert
    from tilores_core.store.healing import Episode, Signal

_MOST_ALERTS: Final = 1_000
_SEVERE: Final = frozenset(("CRITICAL", "HIGH", "MEDIUM"))
_FRESH_MS: Final = 900_000
_OVERLAP_MS: Final = 60_000
"""Processes add what they saw every ten seconds, and a roll-out at a provider takes a while."""
_FEWEST_SEEN: Final = 10
_FEWEST_TURNS: Final = 200.0
_FEWEST_CUSTOMERS: Final = 100
_SHIFTED: Final = 0.25
"""A population stability index above it is a shift, by the usual rule of credit scoring."""
_FIELD_CHANGE: Final = 0.2
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One value took the place of another. `since_ms`: when it was first seen."""

    before: str
    now: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What comes in is not what came in before: shares before and in the last hour. `index`: the population stability
    index of the spectrums; `fields`: shares of customers that have a field."""

    index: float = 0.0
    spectrums: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fields: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.index > _SHIFTED or bool(self.fields)

    def to_state(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"fields": {name: list(shares) for name, shares in self.fields.items()}}
        if self.index > _SHIFTED:
            shown |= {"index": self.index, "spectrums": {name: list(pair) for name, pair in self.spectrums.items()}}
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The measurements that a diagnosis is made from.

    `down`: models whose breaker is open, and since when. `breaches`: of cells of live quality that are below a level
    or their past, and still get scores. `regressions`: by spectrum, of the version in production
    against the one before. `served_by`: by model, what its provider says it uses. `schema`: by source.
    """

    now_ms: int
    down: Mapping[str, int] = field(default_factory=dict)
    breaches: tuple[StoredAlert, ...] = ()
    regressions: Mapping[str, Regression] = field(default_factory=dict)
    served_by: Mapping[str, Change] = field(default_factory=dict)
    schema: Mapping[str, Change] = field(default_factory=dict)
    drift: Drift = field(default_factory=Drift)


async def gather(
    store: LazyStore, monitor: ProductionPerformanceMonitor, *, production: str, now_ms: int
) -> Evidence:
    """Look at everything. `production`: the version in production, as answers name it; breaches of others are over,
    or an experiment's. Raises `StoreError`."""
    opened = await store.get()
    down: dict[str, int] = {}
    breaches: list[StoredAlert] = []
    spectrums: set[str] = set()
    for one in await opened.alerts.recent(states=("open", "acknowledged"), limit=_MOST_ALERTS):
        alert = one.alert
        if alert.kind == "model.down" and alert.model:
            down[alert.model] = one.first_ms
        elif (
            alert.kind in BREACHES
            and alert.spectrum
            and alert.severity in _SEVERE
            and alert.prompt_version == production
            and now_ms - one.last_ms < _FRESH_MS
        ):
            breaches.append(one)
            spectrums.add(alert.spectrum)
    regressions = {
        name: found for name in sorted(spectrums) if (found := await monitor.find_regression(name)) is not None
    }
    last_hours = now_ms - now_ms % HOUR_MS - HOUR_MS
    by_kind: dict[str, list[Signal]] = {}
    for signal in await opened.healing.signals(since_ms=now_ms - 8 * DAY_MS, recent_ms=last_hours):
        by_kind.setdefault(signal.kind, []).append(signal)

    async def turns(since_ms: int) -> dict[str, float]:
        windows = await opened.windows.query(now_ms - since_ms, now_ms + 1, by=("spectrum",), measures=())
        return {window.spectrum: window.sums["turns"] for window in windows}

    return Evidence(
        now_ms=now_ms,
        down=down,
        breaches=tuple(breaches),
        regressions=regressions,
        served_by=find_changes(by_kind.get("served_by", ())),
        schema=find_changes(by_kind.get("schema", ())),
        drift=find_drift(await turns(7 * DAY_MS), await turns(HOUR_MS), by_kind.get("field", ()), last_hours),
    )


def find_changes(signals: Iterable[Signal]) -> dict[str, Change]:
    """By subject: the newest value, where it has replaced the others. Two that go on beside each other, as a
    provider's replicas may have them, are not a change."""
    by_subject: dict[str, list[Signal]] = {}
    for signal in signals:
        if signal.count >= _FEWEST_SEEN:
            by_subject.setdefault(signal.subject, []).append(signal)
    found = {}
    for subject, seen in by_subject.items():
        newest = max(seen, key=lambda one: one.first_ms)
        others = [one for one in seen if one is not newest]
        if others and all(one.last_ms <= newest.first_ms + _OVERLAP_MS for one in others):
            before = max(others, key=lambda one: one.last_ms)
            found[subject] = Change(before=before.value, now=newest.value, since_ms=newest.first_ms)
    return found


def find_drift(
    week: Mapping[str, float], recent: Mapping[str, float], fields: Sequence[Signal], last_hours: int
) -> Drift:
    """The last hour against the time before. `week`: turns by spectrum, those of `recent` among them. `fields`: seen
    before or since `last_hours`."""
    past = {name: max(0.0, turns - recent.get(name, 0.0)) for name, turns in week.items()}
    index, shares = 0.0, {}
    if min(sum(past.values()), sum(recent.values())) >= _FEWEST_TURNS:
        before, after, index = _shares(past, recent)
        shares = {name: (before[name], after[name]) for name in before}
    then = _present(one for one in fields if one.start_ms < last_hours)
    now = _present(one for one in fields if one.start_ms >= last_hours)
    changed = {
        name: (then.get(name, 0.0), now.get(name, 0.0))
        for name in sorted({*then, *now} if then and now else ())
        if abs(now.get(name, 0.0) - then.get(name, 0.0)) >= _FIELD_CHANGE
    }
    return Drift(index=index, spectrums=shares, fields=dict(list(changed.items())[:_MOST_NAMED]))


def _shares(
    past: Mapping[str, float], recent: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float], float]:
    """Shares before and now, and the population stability index, sum of (q - p) ln(q / p), with half a turn added to
    each so that none is 0."""
    names = sorted({*past, *recent})

    def of(counts: Mapping[str, float]) -> dict[str, float]:
        total = sum(counts.values()) + 0.5 * len(names)
        return {name: (counts.get(name, 0.0) + 0.5) / total for name in names}

    before, after = of(past), of(recent)
    return before, after, sum((after[name] - before[name]) * math.log(after[name] / before[name]) for name in names)


def _present(signals: Iterable[Signal]) -> dict[str, float]:
    """Share of customers that have each field; empty with too few customers. The name "" counts the customers."""
    counts: dict[str, int] = {}
    for signal in signals:
        counts[signal.value] = counts.get(signal.value, 0) + signal.count
    customers = counts.pop("", 0)
    return {name: count / customers for name, count in counts.items()} if customers >= _FEWEST_CUSTOMERS else {}


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
    shown = [row for row in since if _counts(row, episode.body)]
    count, total, squares = (sum(row[name] for row in shown) for name in _SUMS[-3:])
    scores = Moments.of_sums(count=count, total=total, squares=squares)
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
    return {"start_ms": window.start_ms, **window.cell._asdict(), **{name: window.sums[name] for name in _SUMS}}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["start_ms"], row["model"], row["spectrum"], row["prompt_version"]
