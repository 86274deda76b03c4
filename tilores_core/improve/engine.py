"""Runs a strategy under the rules that hold for all: checked candidates, a budget, training questions alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tilores_core.contracts import (
    Candidate,
    Change,
    Lesson,
    OptimizerStrategy,
    ScoredCandidate,
    ScoredCase,
    rank_candidates,
)
from tilores_core.errors import BudgetSpentError, ProviderError
from tilores_core.improve.candidates import CandidateScorer, average
from tilores_core.improve.journal import CycleJournal, ModelReply, prompt_key
from tilores_core.improve.strategy_run import StrategyRun, TrainingTask

log = structlog.get_logger(part="improve")

_MOST_FINDINGS: Final = 50
_MOST_BEST: Final = 3
_SHARE_OF_TIME: Final = 0.75
"""Of the time that is left, for the search; the rest is for what comes after it."""
_LONGEST: Final = 2_000
_Name = Annotated[str, StringConstraints(max_length=200)]
Ask = Callable[[str], Awaitable[ModelReply]]


class Observation(BaseModel):
    """What one cycle has measured of one instruction, as it is kept, exported and imported: paired differences of the
    overall score, by model and by spectrum. `helped` and `hurt` count pairs that changed."""

    model_config = ConfigDict(allow_inf_nan=False, frozen=True)

    cycle: str = Field("", max_length=64)
    part: str = Field(min_length=1, max_length=_LONGEST)
    instruction: str = Field(min_length=1, max_length=_LONGEST)
    fault: str | None = Field(max_length=40)
    pairs: int
    total: float
    squares: float
    helped: int
    hurt: int
    by_model: dict[_Name, float] = {}
    by_spectrum: dict[_Name, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a strategy came to. `best`: the candidates that beat the present prompt on training questions, best first.
    `rejected`: by check, how many candidates it refused, with one finding each. `ended`: why it ended early."""

    best: tuple[ScoredCandidate, ...] = ()
    tried: int = 0
    rejected: tuple[str, ...] = ()
    gains: tuple[Observation, ...] = ()
    ended: str = ""


@dataclass(kw_only=True)
class ContinuousOptimizationEngine:
    """Scores the present prompt, runs a strategy on a `TrainingTask`, and says what it came to.

    `ask`: the reflection model, None without one. `baseline`: what candidates are compared with; without scores at
    first.
    """

    scorer: CandidateScorer
    journal: CycleJournal
    seed: int
    lessons: Sequence[Lesson] = ()
    ask: Ask | None = None
    baseline: ScoredCandidate = field(init=False)

    def __post_init__(self) -> None:
        self.baseline = ScoredCandidate(candidate=Candidate(parts=self.scorer.present), score=0.0, tokens=0)

    async def measure_baseline(self) -> None:
        """Score the present prompt. Raises `BudgetSpentError`, and as `Evaluator.evaluate`."""
        self.baseline = await self.scorer.score_all(self.baseline.candidate)

    async def score(self, candidate: Candidate) -> ScoredCandidate | None:
        """A candidate on all training questions; None when a check rejects it. Raises as `measure_baseline`."""
        return next(iter(await self.scorer.select([candidate], 1)), None)

    async def run(self, strategy: OptimizerStrategy) -> SearchResult:
        """Run a strategy to its end, or until the budget or the time is spent or it fails: then the best that was
        scored counts. Raises what the core raised in its calls: `ConfigError`, `SourceError`, `StoreError`."""
        task = TrainingTask(self)
        wanted, ended = await self._improve(strategy, task)
        if isinstance(task.failure, BudgetSpentError):
            ended = task.failure.message
        elif isinstance(task.failure, ProviderError):
            ended = f"the reflection model failed: {type(task.failure).__name__}"
            log.warning("improve.reflection_failed", error=type(task.failure).__name__)
        elif task.failure is not None:
            raise task.failure
        tried = self.scorer.tried
        keys = [prompt_key(one.parts) for one in wanted] if not ended else list(tried)
        best = [one for key in keys if (one := tried.get(key)) and self.scorer.is_whole(one)]
        if self.baseline.candidate.changes and not best:
            best = [self.baseline]  # what was learned earlier has improved it already
        return self.build_result(best, ended)

    async def _improve(self, strategy: OptimizerStrategy, task: TrainingTask) -> tuple[Sequence[Candidate], str]:
        """What the strategy found, and why it ended early. It is cancelled when its share of the time is over; one
        that does not end then is left behind."""
        seconds = self.journal.seconds_left
        running = StrategyRun(strategy, task)
        try:
            in_time = await running.wait(None if seconds is None else _SHARE_OF_TIME * seconds)
        finally:
            await running.stop()
        if not in_time:
            return (), "the time is over"
        if (error := running.found.exception()) is None:
            return running.found.result(), ""
        if isinstance(error, asyncio.CancelledError) and task.failure is not None:
            return (), ""
        if task.failure is None:
            log.warning("improve.strategy_failed", error=type(error).__name__)
        return (), f"the strategy failed: {type(error).__name__}"  # what a plugin's error says may hold anything

    def build_result(self, best: Sequence[ScoredCandidate], ended: str = "") -> SearchResult:
        """The best of these that beat the present prompt, with all that was found on the way."""
        scorer = self.scorer
        present = prompt_key(scorer.present)
        better = [
            one
            for one in rank_candidates(best)
            if one.candidate.changes
            and prompt_key(one.candidate.parts) != present
            and round(one.score, 9) > round(scorer.tried[present].score, 9)
        ]
        return SearchResult(
            best=tuple(better[:_MOST_BEST]),
            tried=len(scorer.tried) - 1,
            rejected=tuple(sorted(scorer.rejected.values()))[:_MOST_FINDINGS],
            gains=_gains(scorer.tried.values()),
            ended=ended,
        )


def _gains(tried: Iterable[ScoredCandidate]) -> tuple[Observation, ...]:
    """Of each candidate that differs by one instruction from another one that was scored; a whole part rewritten fits
    no other prompt."""
    by_changes = {one.candidate.changes: one for one in tried}
    gains: dict[Change, Observation] = {}
    for changes, one in by_changes.items():
        parent = by_changes.get(changes[:-1]) if changes and len(changes[-1].instruction) <= _LONGEST else None
        if parent is not None and (gain := _compare(changes[-1], parent.cases, one.cases)).pairs:
            before = gains.get(changes[-1])
            if before is None or gain.pairs > before.pairs:
                gains[changes[-1]] = gain
    return tuple(gains.values())


def _compare(change: Change, before: Sequence[ScoredCase], after: Sequence[ScoredCase]) -> Observation:
    known = {(case.model, case.id): case.score for case in before}
    pairs = [(case, case.score - known[case.model, case.id]) for case in after if (case.model, case.id) in known]
    differences = [difference for _, difference in pairs]

    def means(place: Callable[[ScoredCase], str]) -> dict[str, float]:
        names = sorted({place(case) for case, _ in pairs})
        return {name: average([difference for case, difference in pairs if place(case) == name]) for name in names}

    return Observation(
        **asdict(change),
        pairs=len(pairs),
        total=math.fsum(differences),
        squares=math.fsum(difference * difference for difference in differences),
        helped=sum(difference > 0 for difference in differences),
        hurt=sum(difference < 0 for difference in differences),
        by_model=means(lambda case: case.model),
        by_spectrum=means(lambda case: case.spectrum),
    )


def build_row(one: ScoredCandidate) -> dict[str, Any]:
    """A candidate as a cycle keeps it, without its cases."""
    changes = [asdict(change) for change in one.candidate.changes]
    return {"parts": dict(one.candidate.parts), "changes": changes, "score": one.score, "tokens": one.tokens}
