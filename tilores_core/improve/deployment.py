"""What follows from a decision: a version of the candidate, and a guarded roll-out on live traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog

from tilores_core.errors import DeploymentRefusedError, InvalidRequestError
from tilores_core.improve.decision import Decision
from tilores_core.release import ProductionPromptManager
from tilores_core.release.experiments import ExperimentPlan, ProductionABTester
from tilores_core.release.experiments.plan import ROLLOUT_STEPS
from tilores_core.settings.improve import ImproveTable

log = structlog.get_logger(part="improve")

ACTOR: Final = "improvement"


class AutomatedImprovementDeployment:
    """Makes a version of a candidate, and deploys it by a guarded roll-out where the decision says so.

    Every step may be made again after a crash: the version and the roll-out of the same cycle are found again.
    """

    def __init__(
        self, prompts: ProductionPromptManager, tester: ProductionABTester, table: ImproveTable | None = None
    ) -> None:
        self._prompts = prompts
        self._tester = tester
        self._table = table or ImproveTable()

    async def carry_out(
        self, decision: Decision, cycle_id: str, parts: Mapping[str, str], *, parent: int
    ) -> dict[str, Any]:
        """Do what was decided; returned are the `version` that was made, or None; `done`: what was done, for the
        report; `rollout`: the experiment that goes on, where one was begun. Raises `StoreError`."""
        if decision.outcome not in ("deploy", "propose"):
            return {"version": None, "done": "nothing"}
        reason = f"improvement cycle {cycle_id}: {decision.reasons[0]}"
        number = await self._find_or_make(cycle_id, parts, reason, parent)
        if decision.outcome == "propose":
            return {"version": number, "done": f"proposed: tilores prompts deploy {number}"}
        name = f"improve-{cycle_id[-6:]}"
        if name not in {one.name for one in await self._tester.recent()}:
            try:
                await self._tester.start(self._plan(name, number), actor=ACTOR, reason=reason)
            except (DeploymentRefusedError, InvalidRequestError) as error:
                log.warning("improve.not_deployed", version=number, error=type(error).__name__)
                return {"version": number, "done": f"proposed, as the roll-out was refused: {error.message}"}
        done = (
            f"a guarded roll-out of version {number} was begun ({name}); it goes on with the callers of "
            f"`tilores serve` and its worker, and waits while there are none; end it: tilores experiments stop {name}"
        )
        return {"version": number, "done": done, "rollout": name}

    async def find_outcome(self, name: str) -> dict[str, Any] | None:
        """What became of a roll-out; None while it goes on. Raises `StoreError`, `InvalidRequestError` without
        one of this name."""
        found = await self._tester.get(name)
        if found.state != "ended":
            return None
        verdict = found.verdict
        return {
            "experiment": name,
            "outcome": found.outcome,
            "reason": found.reason,
            "steps": list(found.weights),
            "hours": 0.0 if found.ended is None else (found.ended - found.started).total_seconds() / 3600,
            "lift": verdict.get("lift"),
            "units": dict(verdict.get("units", {})),
            "means": dict(verdict.get("means", {})),
        }

    def _plan(self, name: str, number: int) -> ExperimentPlan:
        table = self._table
        return ExperimentPlan(
            name=name,
            candidate=number,
            weights=ROLLOUT_STEPS,
            auto_confidence=0.95,
            min_hours=table.rollout_hours,
            step_hours=table.rollout_step_hours,
            risk=table.rollout_risk,
            min_per_arm=table.rollout_scores,
        )

    async def _find_or_make(self, cycle_id: str, parts: Mapping[str, str], reason: str, parent: int) -> int:
        for version in await self._prompts.versions.recent(limit=100):
            if version.author == ACTOR and cycle_id in version.reason:
                return version.number
        number, _ = await self._prompts.versions.new(parts, author=ACTOR, reason=reason, parent=parent)
        return number
