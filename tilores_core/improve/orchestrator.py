"""When a cycle runs without anyone asking for it: on breaches that live quality has found, within limits.

What it decides on is in the store: open alerts, cycles of the last day, and who paused it. So any process can show it
and any worker can take it over; the lease of cycles keeps two from running at once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

from tilores_core.settings.improve import ImproveTable
from tilores_core.store.lazy import LazyStore

if TYPE_CHECKING:
    from tilores_core.store.improvement import StoredCycle

log = structlog.get_logger(part="improve")

SUBJECT: Final = "improvement"
BREACHES: Final = frozenset(("quality.floor", "quality.degradation"))
_DAY: Final = 86_400.0
_MOST_ALERTS: Final = 1_000
_MOST_EPISODES: Final = 200
REOPTIMISE: Final = "re-optimise"
"""The action of an episode of healing that asks for a cycle."""

Run = Callable[[tuple[str, ...]], "Awaitable[StoredCycle | None]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Which spectrums need a cycle, and whether one may run now.

    `breached`: spectrums with an open breach. `due`: those of them that a cycle may take now. `held`: why the
    others, or all, may not. `paused`: who did it, when and why; None while it is not. `rolling_out`: a code roll-out
    is in progress, during which no cycle begins or goes on.
    """

    breached: tuple[str, ...]
    due: tuple[str, ...]
    held: tuple[str, ...] = ()
    paused: dict[str, Any] | None = None
    cycles_today: int = 0
    interrupted: bool = False
    rolling_out: bool = False


class ContinuousImprovementOrchestrator:
    """Triggers improvement cycles on quality breaches, within limits; one process leads.

    `run`: runs a cycle for these spectrums, or goes on with an interrupted one; None when another process does.
    Without it this process only looks, pauses and resumes. `clock`: seconds since the epoch.
    """

    def __init__(
        self, store: LazyStore, table: ImproveTable, run: Run | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.triggered = table.triggered
        """Whether cycles begin by themselves."""
        self._store = store
        self._table = table
        self._run = run
        self._clock = clock

    async def look(self) -> Situation:
        """What there is to do. Raises `StoreError`."""
        store, now = await self._store.get(), self._clock()
        raised = await store.alerts.recent(states=("open", "acknowledged"), limit=_MOST_ALERTS)
        breached = {one.alert.spectrum for one in raised if one.alert.kind in BREACHES and one.alert.spectrum}
        healing = await store.healing.recent(limit=_MOST_EPISODES, state="verifying")
        asked = {name for one in healing if one.body["action"] == REOPTIMISE for name in one.body["spectrums"]}
        healed = {name for one in healing for name in one.body["spectrums"]} - asked
        kinds = sorted(breached | asked)
        cycles = await store.improvement.recent(limit=100)
        today = [cycle for cycle in cycles if now - cycle.created.timestamp() < _DAY]
        paused, rollout = await self.get_pause(), await store.rollouts.current()
        stops = []
        if paused is not None:
            stops.append(f"paused by {paused['by']}: {paused['reason']}")
        if rollout is not None:
            stops.append(f"a code roll-out is in progress ({rollout.target or rollout.version})")
        if waits := next((one for one in cycles if one.state == "rolling out"), None):
            name = waits.phases["recommendations"]["rollout"]
            experiment = await store.experiments.get(name)
            if experiment is None or experiment.state != "ended":  # else the next look of the worker ends the cycle
                stops.append(
                    f"what cycle {waits.id} has found is being rolled out ({name}), which needs callers of `tilores "
                    f"serve` and its worker; end it: tilores experiments stop {name}"
                )
        if len(today) >= self._table.cycles_per_day:
            stops.append(f"{len(today)} cycles in the last 24 hours, which is the limit")
        recent = f"a cycle took it within {self._table.cooldown_hours:g} hours"
        rest = {name: recent for name in kinds if self._is_cooling(name, cycles, now)}
        rest |= {name: "what healing did there is being verified" for name in kinds if name in healed}
        due = [name for name in kinds if name not in rest]
        return Situation(
            breached=tuple(kinds),
            due=() if stops else tuple(due[: self._table.spectrums_at_once]),
            held=(*stops, *(f"{name}: {reason}" for name, reason in rest.items())),
            paused=paused,
            cycles_today=len(today),
            interrupted=any(cycle.state == "running" for cycle in cycles),
            rolling_out=rollout is not None,
        )

    async def step(self) -> StoredCycle | None:
        """Run a cycle when one is due or was interrupted. Raises as `run`."""
        found = await self.look()
        blocked = found.paused is not None or found.rolling_out
        if self._run is None or blocked or not (found.due or found.interrupted):
            return None
        log.info("improve.cycle_triggered", spectrums=list(found.due), resumed=found.interrupted)
        return await self._run(found.due)

    async def pause(self, *, actor: str, reason: str) -> None:
        """No cycle begins or goes on until `resume`; one that runs goes on to its end. Raises `StoreError`."""
        await self._switch("pause", actor, reason)

    async def resume(self, *, actor: str, reason: str) -> None:
        await self._switch("resume", actor, reason)

    async def get_pause(self) -> dict[str, Any] | None:
        """Who paused it, when and why; None while it is not. Raises `StoreError`."""
        last = next(iter(await (await self._store.get()).audit.recent(subject=SUBJECT, limit=1)), None)
        if last is None or last.action != "improve.pause":
            return None
        return {"by": last.actor, "at": last.at.isoformat(), "reason": last.reason}

    async def _switch(self, what: Literal["pause", "resume"], actor: str, reason: str) -> None:
        store = await self._store.get()
        await store.audit.add(actor=actor, action=f"improve.{what}", subject=SUBJECT, reason=reason)

    def _is_cooling(self, spectrum: str, cycles: Sequence[StoredCycle], now: float) -> bool:
        """Whether a cycle has taken this spectrum, or all, too short a time ago."""
        for cycle in cycles:
            ended: datetime = cycle.ended or cycle.created
            if now - ended.timestamp() < self._table.cooldown_hours * 3600:
                taken = cycle.options.get("spectrums") or ()
                if not taken or spectrum in taken:
                    return True
        return False
