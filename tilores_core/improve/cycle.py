"""Cycles of improvement: six phases, each kept in the store when it has ended, and gone on with after a crash.

baseline          the present prompt on training and validation questions
trends            how it scored in earlier cycles
opportunities     which faults cost most, and where
generation        a strategy proposes, training questions choose, validation questions choose again
validation        the winner against the present prompt on held-out questions, which no strategy has seen
recommendations   what was decided, done and learned, and what the next cycle should look at
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.contracts import Alert, Candidate, ScoredCandidate, rank_candidates
from tilores_core.errors import BudgetSpentError, ConfigError, InvalidRequestError, StoreError, TiloresError
from tilores_core.improve.analysis import baseline_output, opportunities, recommendations, trends
from tilores_core.improve.decision import Decision, HeldOutTest, question_differences
from tilores_core.improve.engine import ContinuousOptimizationEngine, build_row
from tilores_core.improve.journal import CycleJournal
from tilores_core.improve.learning import LearningAccumulator, SelfImprovingOptimizer, measure_gains, observations
from tilores_core.improve.parts import CycleParts, CycleQuestions, CycleRequest
from tilores_core.quality.evaluation import Evaluator, compare
from tilores_core.quality.evaluation.plan import new_run_id
from tilores_core.statistics import average

if TYPE_CHECKING:
    from tilores_core.store.improvement import Improvement, StoredCycle

log = structlog.get_logger(part="improve")

LEASE_SECONDS: Final = 30.0
PHASES: Final = ("baseline", "trends", "opportunities", "generation", "validation", "recommendations")
_LOOKS: Final = 4
_FEWEST_IN_A_LOOK: Final = 20
_MOST_FINDINGS: Final = 50
Progress = Callable[[str, int], None]


class CycleWork:
    def __init__(
        self,
        parts: CycleParts,
        store: Improvement,
        cycle: StoredCycle,
        fence: int,
        progress: Progress | None,
        ground: CycleQuestions | None = None,
    ) -> None:
        self._given = ground
        self._parts = parts
        self._store = store
        self._cycle = cycle
        self.fence = fence
        self._progress = progress
        self.request = CycleRequest.from_state(cycle.options)
        self.journal = CycleJournal(
            store,
            cycle.id,
            self.request.budget,
            Evaluator(engine=parts.engine, source=parts.source, concurrent=parts.concurrent),
            models=self.request.models,
            seed=self.request.seed,
        )
        self.phases: dict[str, Any] = dict(cycle.phases)
        self._lessons: Sequence[Mapping[str, Any]] = ()

    async def run(self) -> None:
        await self.journal.load()
        if "generation" in self.phases:
            self.journal.restore(self.phases["generation"]["spent"])
        elif "baseline" in self.phases:
            self.journal.restore(self.phases["baseline"]["spent"], present=self.request.parts)
        self._ground = self._given or await self._parts.ground(self.request)
        if self.phases.get("baseline", {}).get("questions", self._ground.golden.digest) != self._ground.golden.digest:
            raise ConfigError(
                "the customers' records have changed since the cycle began",
                where="improve",
                fix="begin another cycle: tilores improve run",
            )
        for name in PHASES:
            if self._progress is not None:
                self._progress(name, PHASES.index(name))
            if name in self.phases:
                continue
            self._lessons = ()
            self.phases[name] = await getattr(self, f"_{name}")()
            await self._store.keep(self._cycle.id, self.phases, fence=self.fence, lessons=self._lessons)

    async def _baseline(self) -> dict[str, Any]:
        ground = self._ground
        rows = await self.journal.evaluate(self.request.parts, [*ground.training, *ground.golden.validation])
        return {
            **baseline_output([*rows.values()], ground.answerable),
            "questions": ground.golden.digest,
            "spent": asdict(self.journal.spent),
        }

    async def _trends(self) -> dict[str, Any]:
        before = [
            one
            for one in reversed(await self._store.recent(limit=20, state="done"))
            if one.id != self._cycle.id and tuple(one.options["models"]) == self.request.models
        ]
        return trends([one.phases["baseline"]["spectrums"] for one in before], self.phases["baseline"]["spectrums"])

    async def _opportunities(self) -> dict[str, Any]:
        return opportunities(self.phases["baseline"])

    async def _generation(self) -> dict[str, Any]:
        accumulator = LearningAccumulator(self._store)
        at_ms = round(self._cycle.created.timestamp() * 1000)
        known = await accumulator.summarise(
            models=self.request.models, spectrums=self.request.spectrums, now_ms=at_ms
        )
        engine = ContinuousOptimizationEngine(
            self.request,
            self._ground,
            self.journal,
            max_tokens=self._parts.max_tokens,
            lessons=[one.lesson for one in known],
            ask=self._parts.ask,
        )
        asked, models = self._ground.sizes, len(self.request.models)
        # Three candidates on validation questions; the winner and the present prompt on held-out ones.
        self.journal.reserved = models * (3 * asked["validation"] + 2 * asked["held-out"])
        await engine.measure_baseline()
        present = engine.baseline.score
        found, ended = await SelfImprovingOptimizer(self._parts.strategy_of(self.request.strategy)).run(engine)
        gains = measure_gains(engine.tried.values())
        self._lessons = observations(self._cycle.id, at_ms, gains)
        self.journal.reserved = 0
        try:
            best, validated = await self._choose(found)
        except BudgetSpentError:
            best, validated = found[0], {}
        return {
            "tried": len(engine.tried) - 1,
            "rejected": sorted(engine.rejected.values())[:_MOST_FINDINGS],
            "ended": ended,
            "learned": len(gains),
            "training": {"present": present, "best": best.score if best else None},
            "validation": validated,
            "winner": None if best is None else build_row(best),
            "spent": asdict(self.journal.spent),
        }

    async def _choose(self, best: Sequence[ScoredCandidate]) -> tuple[ScoredCandidate | None, dict[str, float]]:
        """The best on validation questions, of equal ones the shorter; none when the present prompt is as good."""
        if not best:
            return None, {}

        async def measure(candidate: Candidate) -> float:
            rows = await self.journal.evaluate(candidate.parts, self._ground.golden.validation)
            return average([row.scores.overall if row.scores else 0.0 for row in rows.values()])

        present = await measure(Candidate(parts=self.request.parts))
        scored = [replace(one, score=await measure(one.candidate)) for one in best]
        first = rank_candidates(scored)[0]
        scores = {"present": present, **{f"candidate {place}": one.score for place, one in enumerate(scored, 1)}}
        return (best[scored.index(first)] if first.score > present else None), scores

    async def _validation(self) -> dict[str, Any]:
        winner = self.phases["generation"]["winner"]
        if winner is None:
            reason = "no candidate is better than the present prompt on training and validation questions"
            return {"decision": asdict(Decision(outcome="optimize more", reasons=(reason,)))}
        try:
            return await self._compare(winner)
        except BudgetSpentError as error:
            return {"decision": asdict(Decision(outcome="validate more", reasons=(error.message,)))}

    async def _compare(self, winner: Mapping[str, Any]) -> dict[str, Any]:
        """The winner and the present prompt on held-out questions."""
        journal = self.journal
        test = HeldOutTest(self.request.thresholds, self.request.automatic)
        before: dict[tuple[str, str], Any] = {}
        after: dict[tuple[str, str], Any] = {}
        questions = self._ground.held_out(self.request.seed)
        size = max(_FEWEST_IN_A_LOOK, -(-len(questions) // _LOOKS))
        for start in range(0, len(questions), size):
            batch = questions[start : start + size]
            pairs = [
                await journal.evaluate(parts, batch, purpose="evaluation")
                for parts in (self.request.parts, winner["parts"])
            ]
            before.update(pairs[0])
            after.update(pairs[1])
            if test.add(question_differences(*pairs)):
                break
        return {
            "decision": asdict(test.decide(compare(before.values(), after.values()).worse_cells)),
            "present": baseline_output([*before.values()], self._ground.answerable),
            "winner": baseline_output([*after.values()], self._ground.answerable),
            "spent": asdict(self.journal.spent),
        }

    async def _recommendations(self) -> dict[str, Any]:
        decision = Decision(**self.phases["validation"]["decision"])
        winner = self.phases["generation"]["winner"]
        carried_out: Mapping[str, Any] = {"version": None, "done": "nothing"}
        if winner is not None:
            carried_out = await self._parts.deployment.carry_out(
                decision,
                self._cycle.id,
                winner["parts"],
                parent=self.request.number,
            )
        return {**carried_out, "next": recommendations(self.phases)}


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
                    await opened.improvement.keep(cycle.id, {**cycle.phases, "rollout": outcome}, fence=lease.fence)
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
