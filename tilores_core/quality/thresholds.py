"""Does live quality hold its levels: floors, the own past and variance, watched by always-valid tests. Scores from
the time of a code roll-out are left out.

    the store's log of scores  ->  per model, spectrum and prompt version: a `FloorTest` for each level, a quick and a
    slow mean  ->  alerts `quality.floor`, `quality.degradation` and `quality.variance`, raised and cleared

The state of each is in the store, written with the scores that it includes: it survives a restart, and several
workers may run. One of them watches, under the lease `quality`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import structlog

from tilores_core.contracts import Alert, AlertSink, Severity
from tilores_core.resilience import Lease, lead
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import QualityTable
from tilores_core.statistics import FloorTest
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import DAY_MS, Cell

log = structlog.get_logger(part="quality")

Level = Literal["target", "warning", "critical"]
LEVELS: Final[tuple[Level, ...]] = ("critical", "warning", "target")
SEVERITIES: Final[Mapping[Level, Severity]] = {"critical": "CRITICAL", "warning": "HIGH", "target": "LOW"}

SOURCE: Final = "quality"
LEASE: Final = "quality"
LEASE_SECONDS: Final = 30.0
CHECK_SECONDS: Final = 10.0
_ROLL_UP_SECONDS: Final = 300.0
_FORGET_MS: Final = 30 * DAY_MS
_RECOVERY_SCORES: Final = 30
_QUICK: Final = 1 / 50
_SLOW: Final = 1 / 1000
_FEWEST_FOR_PAST: Final = 300
_Z_ALARM: Final = 5.0
_Z_CLEAR: Final = 2.0
_VARIANCE_RATIO: Final = 4.0
_LEAST_DEVIATION: Final = 0.05


@dataclass(slots=True)
class Average:
    """An exponentially weighted mean and variance; `weight` of the newest value, more at the beginning."""

    weight: float
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        weight = max(self.weight, 1 / self.count)
        away = value - self.mean
        self.variance = (1 - weight) * (self.variance + weight * away * away)
        self.mean += weight * away

    @property
    def effective(self) -> float:
        """How many values of equal weight would say as much."""
        return min(self.count, 2 / self.weight - 1)


@dataclass(slots=True)
class CellWatch:
    """What is known of one model, spectrum and prompt version. `breached`: the levels that do not hold, and for how
    many scores in a row the quick mean has been above them again."""

    floors: dict[str, FloorTest]
    quick: Average = field(default_factory=lambda: Average(_QUICK))
    slow: Average = field(default_factory=lambda: Average(_SLOW))
    breached: dict[str, int] = field(default_factory=dict)
    degraded: bool = False
    unsteady: bool = False

    @classmethod
    def of(cls, table: QualityTable) -> CellWatch:
        return cls({level: FloorTest(floor=getattr(table, level)) for level in LEVELS})

    def add(self, score: float) -> None:
        self.quick.add(score)
        self._watch_floors(score)
        self._watch_past()
        self.slow.add(score)

    def _watch_floors(self, score: float) -> None:
        for level, test in self.floors.items():
            test.add(score)
            if level not in self.breached:
                if test.breached:
                    self.breached[level] = 0
            else:
                # Above again for so many scores in a row of the quick mean: over. A new test begins then.
                self.breached[level] = self.breached[level] + 1 if self.quick.mean >= test.floor else 0
                if self.breached[level] >= _RECOVERY_SCORES:
                    del self.breached[level]
                    self.floors[level] = FloorTest(floor=test.floor)

    def _watch_past(self) -> None:
        """The last 50 scores or so against the last 1,000: five standard errors below, or four times the variance."""
        if self.slow.count < _FEWEST_FOR_PAST:
            return
        spread = max(self.slow.variance, 1e-6)
        error = math.sqrt(spread * (1 / self.quick.effective + 1 / self.slow.effective))
        z = (self.slow.mean - self.quick.mean) / error
        self.degraded = z >= (_Z_CLEAR if self.degraded else _Z_ALARM)
        ratio = self.quick.variance / spread
        wide = self.quick.variance >= _LEAST_DEVIATION**2
        self.unsteady = wide and ratio >= (_VARIANCE_RATIO / 2 if self.unsteady else _VARIANCE_RATIO)

    @property
    def level(self) -> Level | None:
        """The lowest level that is breached."""
        return next((level for level in LEVELS if level in self.breached), None)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], table: QualityTable) -> CellWatch:
        """From `asdict` of one; a level whose setting was changed since begins a new test."""
        fresh = cls.of(table)
        for level, test in fresh.floors.items():
            stored = state["floors"].get(level)
            if stored is not None and stored["floor"] == test.floor:
                fresh.floors[level] = FloorTest(**stored)
                if level in state["breached"]:
                    fresh.breached[level] = state["breached"][level]
        fresh.quick, fresh.slow = Average(**state["quick"]), Average(**state["slow"])
        fresh.degraded, fresh.unsteady = state["degraded"], state["unsteady"]
        return fresh


class QualityThresholdMonitor:
    """Watches the log of live scores and raises and clears alerts. `run` in the worker process.

    `mark`: with which the web processes wake the worker for it. `clock`: seconds since the epoch.
    """

    def __init__(
        self,
        store: LazyStore,
        alerts: AlertSink,
        table: QualityTable,
        *,
        mark: WorkMark | None = None,
        clock: Callable[[], float] = time.time,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._table = table
        self._mark = mark
        self._clock = clock
        self._check_seconds = check_seconds
        self.watched: dict[Cell, CellWatch] = {}

    async def run(self) -> None:
        """Watch whenever no other process does, until cancelled. Raises `StoreError`, `ConfigError`."""
        await lead(self._store.leases, LEASE, self._lead, seconds=LEASE_SECONDS, pause=self._check_seconds)

    async def _lead(self, lease: Lease) -> None:
        await self.load()
        rolled = -math.inf
        while not lease.lost.is_set():
            if self._mark is not None:
                self._mark.take()
            while await self.check(lease.fence):
                pass
            if self._mark is not None:
                self._mark.clear()
            if self._clock() - rolled >= _ROLL_UP_SECONDS:
                await self._roll_up(lease.fence)
                rolled = self._clock()
            await asyncio.sleep(self._check_seconds)

    async def load(self) -> None:
        """Read what was known, and raise again what was raised: an alert may have got lost with its process."""
        states = await (await self._store.get()).quality.get_all()
        self.watched = {cell: CellWatch.from_state(state, self._table) for cell, state in states.items()}
        for cell, watch in self.watched.items():
            self._update_alerts(cell, CellWatch.of(self._table), watch)

    async def check(self, fence: int) -> bool:
        """Look at what was logged, but for the times of code roll-outs; whether there may be more. Raises
        `StoreError`, also when `fence` is over."""
        store = await self._store.get()
        rows = await store.windows.list_logged()
        if not rows:
            return False
        before: dict[Cell, CellWatch] = {}
        rollouts = [rollout.span for rollout in await store.rollouts.recent()]
        for row in rows:
            watch = self.watched.setdefault(row.cell, CellWatch.of(self._table))
            if row.cell not in before:
                before[row.cell] = deepcopy(watch)
            if any(begin <= row.at_ms < end for begin, end in rollouts):
                continue  # versions of the code answer side by side: the prompt and the model are not the cause
            for score in row.scores:
                watch.add(min(1.0, max(0.0, float(score))))
        now_ms = round(self._clock() * 1000)
        states = {cell: asdict(self.watched[cell]) for cell in before}
        try:
            await store.quality.put(states, consumed=[row.id for row in rows], now_ms=now_ms, fence=fence)
        except BaseException:
            self.watched.update(before)  # the scores will be read again
            raise
        for cell, old in before.items():
            self._update_alerts(cell, old, self.watched[cell])
        return True

    async def _roll_up(self, fence: int) -> None:
        store = await self._store.get()
        now_ms = round(self._clock() * 1000)
        keep_ms = self._table.keep_days * DAY_MS
        await store.windows.roll_up(now_ms=now_ms, keep_ms=keep_ms, reached=self._table.warning)
        await store.quality.forget(now_ms - _FORGET_MS, fence=fence)

    # --- alerts ------------------------------------------------------------------------------------------

    def _update_alerts(self, cell: Cell, old: CellWatch, new: CellWatch) -> None:
        def update(
            holds: bool, held: bool, kind: str, title: str, severity: Severity = "MEDIUM", **more: float
        ) -> None:
            """One alert per kind and cell: another level is the same alert with another severity."""
            quick, slow = new.quick.mean, new.slow.mean
            alert = Alert(
                kind=kind,
                severity=severity,
                title=title,
                detail=f"mean of the last 50 scores or so {quick:.1%}, of the last 1,000 {slow:.1%}",
                source=SOURCE,
                **cell._asdict(),
                values={"mean": quick, "past_mean": slow, "scores": new.slow.count, **more},
            )
            if holds:
                self._alerts.raise_alert(alert)
            elif held:
                self._alerts.clear(alert.fingerprint)

        if (level := new.level) is not None:
            floor = new.floors[level].floor
            title = f"Quality is below {floor:.0%} ({level})"
            update(True, True, "quality.floor", title, SEVERITIES[level], floor=floor)
        else:
            update(False, old.level is not None, "quality.floor", "Quality holds its levels")
        update(new.degraded, old.degraded, "quality.degradation", "Quality has fallen below its own past")
        update(new.unsteady, old.unsteady, "quality.variance", "Quality varies much more than before")
        if old.level != level:
            log.info(
                "quality.level_changed",
                model=cell.model,
                spectrum=cell.spectrum,
                prompt_version=cell.prompt_version,
                below=level,
                mean=round(new.quick.mean, 4),
            )
