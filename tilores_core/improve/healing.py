"""Self-healing: what is wrong is diagnosed, something is done about it, and live traffic says whether it helped.

An episode is in the store before anything is done, so that a worker that takes over goes on with it; what is done may
be done twice. It ends with what was learned, and an alert that says what was done.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from tilores_core.contracts import Alert, AlertSink, Severity
from tilores_core.improve.healing_diagnosis import Action, Finding, choose, diagnose, lessons
from tilores_core.improve.healing_evidence import Verdict, gather, snapshot, verify
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.quality.evaluation.plan import new_run_id
from tilores_core.release.monitor import ProductionPerformanceMonitor, Regression
from tilores_core.release.prompts import ProductionPromptManager
from tilores_core.resilience import Lease, lead
from tilores_core.settings.improve import HealingTable
from tilores_core.store.healing import LEASE, Episode, EpisodeState
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import HEALING

log = structlog.get_logger(part="improve")

ACTOR: Final = "healing"
LEASE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 10.0
_DAY: Final = 86_400.0
_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What may be done here. `chain`: the models of `[use]`, the default first. `cycles`: whether cycles run by
    themselves. `roll_back`: whether prompts may be rolled back without a person. `good`: the mean score that must
    hold after an action."""

    chain: tuple[str, ...]
    cycles: bool
    roll_back: bool
    good: float


class SelfHealing:
    """Diagnoses faults of live answers, acts, verifies on live traffic, and keeps what was learned.

    `run` in the worker process; several may run, one leads. `clock`: seconds since the epoch.
    """

    def __init__(
        self,
        store: LazyStore,
        prompts: ProductionPromptManager,
        monitor: ProductionPerformanceMonitor,
        orchestrator: ContinuousImprovementOrchestrator,
        table: HealingTable,
        means: Means,
        *,
        alerts: AlertSink,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counted: Counter[tuple[str, str, str]] = Counter()
        """Episodes that ended in this process, by diagnosis, action and state."""
        self._store = store
        self._prompts = prompts
        self._monitor = monitor
        self._orchestrator = orchestrator
        self._table = table
        self._means = means
        self._alerts = alerts
        self._clock = clock

    async def run(self) -> None:
        """Lead whenever no other process does, until cancelled. Raises `StoreError`."""
        await lead(self._store.leases, LEASE, self._lead, seconds=LEASE_SECONDS, pause=LOOK_SECONDS)

    async def _lead(self, lease: Lease) -> None:
        while not lease.lost.is_set():
            await self.look(lease.fence)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, fence: int) -> list[Episode]:
        """Verify what was done, diagnose, and act; the episodes that began or changed. Raises `StoreError`, also when
        the lease with this fence is over."""
        store = await self._store.get()
        changed = []
        for episode in await store.healing.recent(limit=_MOST, state="verifying"):
            if not episode.body.get("acted"):  # a process ended in the middle
                episode = await self._do(episode, fence)
            verdict = await verify(
                episode, self._store, now=self._clock(), answers=self._table.verify_answers, good=self._means.good
            )
            if verdict is not None:
                changed.append(await self._end(episode, verdict, fence))
            elif self._age(episode) > self._table.verify_hours * 3600:
                said = f"not sure after {self._table.verify_hours:g} hours"
                changed.append(await self._end(episode, Verdict(healed=False, said=said), fence))
        await self._prompts.refresh()
        evidence = await gather(
            self._store,
            self._monitor,
            production=self._prompts.state.production.version,
            now_ms=round(self._clock() * 1000),
        )
        findings = diagnose(evidence)
        if not findings:
            return changed
        deploying = await store.rollouts.current() is not None  # then scores are those of two releases of the code
        episodes = await store.healing.recent(limit=_MOST)
        for finding in findings:
            if deploying and finding.breaches:
                continue
            if not self._is_known(finding, episodes):
                begun = await self._begin(finding, episodes, set(evidence.down), fence)
                changed.append(begun)
                episodes.insert(0, begun)
        return changed

    # --- what to do --------------------------------------------------------------------------------------

    def _is_known(self, finding: Finding, episodes: list[Episode]) -> bool:
        """Whether an episode is about this already, or was a short time ago, or has reported just this."""
        for one in episodes:
            same = (one.diagnosis, one.subject) == (finding.diagnosis, finding.subject)
            if one.body["spectrums"] and finding.spectrums:  # a model may get worse in one spectrum after another
                same = same and set(finding.spectrums) <= set(one.body["spectrums"])
            if same and one.state == "reported" and not finding.breaches:
                if self._age(one) < _DAY and one.body["evidence"].get("now") == finding.evidence.get("now"):
                    return True
                continue
            if one.state == "reported" and one.diagnosis == "not explained" and not same:
                continue  # now it is explained
            if not same and not set(finding.spectrums) & set(one.body["spectrums"]):
                continue
            if one.state == "verifying":
                return True
            ended = (one.ended or one.created).timestamp()
            only_reported = one.state == "reported" and not one.body["spectrums"] and bool(finding.spectrums)
            if not only_reported and self._clock() - ended < self._table.cooldown_minutes * 60:
                return True
        return False

    async def _begin(self, finding: Finding, episodes: list[Episode], down: set[str], fence: int) -> Episode:
        failed = {
            one.body["action"]
            for one in episodes
            if (one.diagnosis, one.subject, one.state) == (finding.diagnosis, finding.subject, "not healed")
            and self._age(one) < _DAY
        }
        action = choose(finding, self._possible(finding, down) - failed, lessons(episodes))
        held = await self._hold_reason(action, episodes)
        now = datetime.fromtimestamp(self._clock(), UTC)
        body: dict[str, Any] = {
            "spectrums": list(finding.spectrums),
            "model": finding.model,
            "evidence": dict(finding.evidence),
            "breaches": [one.fingerprint for one in finding.breaches],
            "action": action,
            "baseline": await snapshot(self._store, now=self._clock()),
        }
        if finding.regression is not None:
            regression = finding.regression
            body["regression"] = asdict(regression)
            body["restored"] = await self._monitor.version_name(regression.previous)
        episode = Episode(
            id=new_run_id(now),
            state="verifying",
            diagnosis=finding.diagnosis,
            subject=finding.subject,
            created=now,
            body=body,
        )
        if action == "report" or held:
            needed = bool(finding.breaches) or finding.model in down
            said = "nothing can be done by itself" if needed else "nothing needs doing yet"
            body["action"] = "report"
            body["done"] = f"reported: {said}" if not held else f"{held}; it would be: {action}"
            return await self._end(episode, None, fence)
        await self._put(episode, fence)
        log.warning("healing.episode_begun", diagnosis=finding.diagnosis, subject=finding.subject, action=action)
        return await self._do(episode, fence)

    def _possible(self, finding: Finding, down: set[str]) -> set[str]:
        possible: set[str] = {"report"}
        others = [name for name in self._means.chain if name != finding.model and name not in down]
        if finding.model and others:
            possible.add("fail over")
        if finding.regression is not None and self._means.roll_back:
            possible.add("roll back")
        if self._means.cycles and finding.spectrums:
            possible.add("re-optimise")
        return possible

    async def _hold_reason(self, action: Action, episodes: list[Episode]) -> str:
        """Why nothing may be done now; empty when it may."""
        if self._table.mode == "watch":
            return 'dry run ([healing] mode = "watch")'
        if (paused := await self._orchestrator.get_pause()) is not None:
            return f"paused by {paused['by']}: {paused['reason']}"
        today = [one for one in episodes if one.body["action"] != "report" and self._age(one) < _DAY]
        if len(today) >= self._table.actions_per_day:
            return f"{len(today)} actions in the last 24 hours, which is the limit"
        return ""

    # --- doing it ----------------------------------------------------------------------------------------

    async def _do(self, episode: Episode, fence: int) -> Episode:
        body = dict(episode.body)
        if body["action"] == "fail over":
            body["held_until_ms"] = round((self._clock() + self._table.fail_over_minutes * 60) * 1000)
            about = f" about {', '.join(body['spectrums'])}" if body["spectrums"] else ""
            body["done"] = f"{body['model']} is not asked{about} for {self._table.fail_over_minutes:g} minutes"
        elif body["action"] == "roll back":
            regression = Regression(**body["regression"])
            moved = await self._monitor.roll_back(regression, actor=ACTOR)
            how = "put back" if moved else "put back by another process or a person"
            body["done"] = f"version {regression.previous} was {how} in place of {regression.version}"
        else:
            body["done"] = f"an improvement cycle is asked for, for {', '.join(body['spectrums'])}"
        done = replace(episode, body={**body, "acted": True})
        await self._put(done, fence)
        self._raise(done, "healing.acted", "MEDIUM", f"Healing: {done.diagnosis} ({done.subject})", body["done"])
        return done

    async def _end(self, episode: Episode, verdict: Verdict | None, fence: int) -> Episode:
        """End an episode. `verdict`: None for what was reported only."""
        body = dict(episode.body)
        body.pop("baseline", None)
        state: EpisodeState
        severity: Severity
        if verdict is None:
            state, severity = "reported", "MEDIUM" if body["breaches"] or episode.diagnosis == "model down" else "LOW"
        else:
            state, severity = ("healed", "INFO") if verdict.healed else ("not healed", "HIGH")
            body |= {"result": verdict.said, "figures": dict(verdict.figures)}
            helped = "helped" if verdict.healed else "did not help"
            body["lesson"] = f"'{body['action']}' {helped} against '{episode.diagnosis}'"
            if not verdict.healed and "held_until_ms" in body:
                body["held_until_ms"] = 0  # no reason to go on
        ended = replace(episode, state=state, ended=datetime.fromtimestamp(self._clock(), UTC), body=body)
        await self._put(ended, fence)
        self.counted[ended.diagnosis, body["action"], state] += 1
        log.info("healing.episode_ended", diagnosis=ended.diagnosis, subject=ended.subject, state=state)
        self._alerts.clear(self._alert(episode, "healing.acted").fingerprint)
        if verdict is not None and verdict.healed:
            for fingerprint in body["breaches"]:  # what they are about is not served any more, or good again
                self._alerts.clear(fingerprint)
        said = [f"evidence: {_format_evidence(body['evidence'])}", body["done"], body.get("result", "")]
        title = f"Healing: {ended.diagnosis} ({ended.subject}): {state}"
        self._raise(ended, "healing.ended", severity, title, "; ".join(filter(None, said)))
        return ended

    async def _put(self, episode: Episode, fence: int) -> None:
        await (await self._store.get()).healing.put(episode, fence=fence)
        self._store.notify(HEALING)

    def _raise(self, episode: Episode, kind: str, severity: Severity, title: str, detail: str) -> None:
        self._alerts.raise_alert(replace(self._alert(episode, kind), severity=severity, title=title, detail=detail))

    def _alert(self, episode: Episode, kind: str) -> Alert:
        labels = {"episode": episode.id, "diagnosis": episode.diagnosis}
        return Alert(kind=kind, severity="INFO", title="", source="improve.healing", labels=labels)

    def _age(self, episode: Episode) -> float:
        return self._clock() - episode.created.timestamp()


def _format_evidence(evidence: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}" for name, value in evidence.items()
    )
