"""One cycle of improvement: six phases, each kept in the store when it has ended, and gone on with after a crash.

Its phases are in `phases`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog

from tilores_core.contracts import Alert
from tilores_core.errors import InvalidRequestError, StoreError, TiloresError
from tilores_core.improve.parts import CycleParts, CycleQuestions, CycleRequest
from tilores_core.improve.phases import CycleWork, Progress
from tilores_core.quality.evaluation.plan import new_run_id

if TYPE_CHECKING:
    from tilores_core.store.improvement import Improvement, StoredCycle

log = structlog.get_logger(part="improve")

LEASE_SECONDS: Final = 30.0


class VirtuousCycleOrchestrator:
    """Runs cycles, one at a time among all processes: the holder of the lease `improve` does."""

    def __init__(self, parts: CycleParts, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._parts = parts
        self._lease_seconds = lease_seconds

    async def estimate(self, request: CycleRequest) -> dict[str, int]:
        """Model calls that a cycle takes at least (with one candidate) and at most (the budget), and the questions of
        each split. Asks no model. Raises as `run`."""
        return _estimate(request, await self._parts.ground(request))

    async def run(self, request: CycleRequest | None, *, progress: Progress | None = None) -> StoredCycle | None:
        """Go on with the cycle that was interrupted, else begin the one that is asked for; None without either.

        Raises `InvalidRequestError` while another process runs one or for a budget of too few calls, `ConfigError`,
        `SourceError`, `StoreError`.
        """
        from tilores_core.store.improvement import LEASE  # SQLAlchemy is imported with the open store

        opened = await self._parts.store.get()
        store = opened.improvement
        await self.conclude_rollouts()
        lease = await opened.leases.take(LEASE, seconds=self._lease_seconds)
        if lease is None:
            raise InvalidRequestError(
                "another process runs an improvement cycle", fix="wait for its end: tilores improve status"
            )
        ground = None
        async with lease:
            running = await store.recent(limit=1, state="running")
            if running:
                cycle = running[0]
            elif request is None:
                return None
            else:
                self._parts.strategy_of(request.strategy)  # an unknown one begins no cycle
                ground = await self._parts.ground(request)
                _estimate(request, ground)
                cycle = await store.begin(new_run_id(), asdict(request), fence=lease.fence)
            work = CycleWork(self._parts, store, cycle, lease.fence, progress, ground)
            await lease.run(self._go(store, cycle, work))
            return await store.get(cycle.id)

    async def conclude_rollouts(self) -> list[StoredCycle]:
        """End the cycles whose roll-out on live traffic has ended, with what became of it. Call it now and then.
        Raises `StoreError`."""
        from tilores_core.store.improvement import LEASE

        opened = await self._parts.store.get()
        waiting = await opened.improvement.recent(state="rolling out")
        if not waiting:
            return []
        lease = await opened.leases.take(LEASE, seconds=self._lease_seconds)
        if lease is None:
            return []
        ended = []
        async with lease:
            for cycle in waiting:
                outcome = await self._parts.deployment.find_outcome(cycle.phases["recommendations"]["rollout"])
                if outcome is not None:
                    phases = {**cycle.phases, "rollout": outcome}
                    await opened.improvement.keep(cycle.id, phases, fence=lease.fence)
                    await opened.improvement.end(cycle.id, "done", fence=lease.fence)
                    log.info("improve.rollout_ended", cycle=cycle.id, outcome=outcome["outcome"])
                    ended.append(cycle)
        return ended

    async def _go(self, store: Improvement, cycle: StoredCycle, work: CycleWork) -> None:
        log.info("improve.cycle", cycle=cycle.id, finished=len(cycle.phases))
        try:
            await work.run()
        except StoreError:
            raise  # gone on with later
        except TiloresError as error:
            work.phases["error"] = {"error": type(error).__name__, "said": error.message}
            await store.keep(cycle.id, work.phases, fence=work.fence)
            await store.end(cycle.id, "failed", fence=work.fence)
            self._update_budget_alert(work.journal.ended)
            self._parts.alerts.raise_alert(failure_alert(error))
            raise
        waits = work.phases["recommendations"].get("rollout")
        await store.end(cycle.id, "rolling out" if waits else "done", fence=work.fence)
        self._update_budget_alert(work.journal.ended)

    def _update_budget_alert(self, ended: str | None) -> None:
        alert = Alert(
            kind="budget.spent",
            severity="LOW",
            title="The budget of an improvement cycle ended before its work",
            detail=ended or "",
            source="improve",
        )
        if ended is not None:
            self._parts.alerts.raise_alert(alert)
        else:
            self._parts.alerts.clear(alert.fingerprint)


def failure_alert(error: TiloresError) -> Alert:
    """Of a cycle that failed or could not begin."""
    return Alert(
        kind="improvement.failed",
        severity="MEDIUM",
        title="An improvement cycle failed",
        detail=error.message,
        source="improve",
    )


def _estimate(request: CycleRequest, ground: CycleQuestions) -> dict[str, int]:
    """Raises `InvalidRequestError` when the budget is smaller than the least."""
    sizes, budget = ground.sizes, request.budget.calls
    # The present prompt and a candidate on training questions; what is reserved for the phases after the search.
    least = len(request.models) * (2 * sizes["training"] + 4 * sizes["validation"] + 2 * sizes["held-out"])
    if budget is not None and budget < least:
        raise InvalidRequestError(
            f"a cycle with these questions and models takes {least} model calls at least, and {budget} are allowed",
            param="max_calls",
            fix=f"allow {least} or more (--max-calls, [improve] max_calls), or ask fewer models or questions "
            "([improve] per_spectrum)",
        )
    return {"least_calls": least, "most_calls": budget or least, **sizes}
