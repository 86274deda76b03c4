"""The six phases of a cycle, each kept in the store when it has ended.

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

from tilores_core.contracts import Candidate, ScoredCandidate, rank_candidates
from tilores_core.errors import BudgetSpentError, ConfigError
from tilores_core.improve.analysis import baseline_output, opportunities, recommendations, trends
from tilores_core.improve.decision import Decision, HeldOutTest, question_differences
from tilores_core.improve.engine import ContinuousOptimizationEngine, build_row
from tilores_core.improve.journal import CycleJournal
from tilores_core.improve.learning import LearningAccumulator, SelfImprovingOptimizer, measure_gains, observations
from tilores_core.improve.parts import CycleParts, CycleQuestions, CycleRequest
from tilores_core.quality.evaluation import Evaluator, compare
from tilores_core.statistics import average

if TYPE_CHECKING:
    from tilores_core.store.improvement import Improvement, StoredCycle

PHASES: Final = ("baseline", "trends", "opportunities", "generation", "validation", "recommendations")
_LOOKS: Final = 4
_FEWEST_IN_A_LOOK: Final = 20
_MOST_FINDINGS: Final = 50
Progress = Callable[[str, int], None]


class CycleWork:
    """The work of one cycle in one process."""

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
        lessons = [one.lesson for one in known]
        engine = ContinuousOptimizationEngine(
            self.request,
            self._ground,
            self.journal,
            max_tokens=self._parts.max_tokens,
            lessons=lessons,
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
        decision = test.decide(compare(before.values(), after.values()).worse_cells)
        return {
            "decision": asdict(decision),
            "present": baseline_output([*before.values()], self._ground.answerable),
            "winner": baseline_output([*after.values()], self._ground.answerable),
            "spent": asdict(self.journal.spent),
        }

    async def _recommendations(self) -> dict[str, Any]:
        validation = self.phases["validation"]
        decision = Decision(**validation["decision"])
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
