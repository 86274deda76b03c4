"""The search of a cycle: candidates checked, scored on training questions, and a strategy run under the rules that
hold for all."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import (
    FAULTS,
    Candidate,
    Lesson,
    OptimizerStrategy,
    ScoredCandidate,
    ScoredCase,
    rank_candidates,
)
from tilores_core.errors import BudgetSpentError, InvalidRequestError, ProviderError
from tilores_core.improve.analysis import score_case
from tilores_core.improve.journal import CycleJournal, ModelReply, prompt_key
from tilores_core.improve.strategy_run import StrategyRun, TrainingTask
from tilores_core.release.prompt_checks import (
    Check,
    CopyCheck,
    check_parts,
    check_personal,
    check_texts,
    check_variables,
)
from tilores_core.statistics import average

if TYPE_CHECKING:
    from tilores_core.improve.parts import CycleQuestions, CycleRequest

log = structlog.get_logger(part="improve")

_FIRST_RUNG: Final = 0.125
_FEWEST: Final = 7
_MOST_AT_ONCE: Final = 200
_MOST_BEST: Final = 3
_SHARE_OF_TIME: Final = 0.75
"""Of the time that is left, for the search; the rest is for what comes after it."""
Ask = Callable[[str], Awaitable[ModelReply]]


class ContinuousOptimizationEngine:
    """Scores the present prompt and candidates, and runs a strategy on a `TrainingTask`.

    `max_tokens`: longest prompt. `ask`: the reflection model, None without one. `baseline`: what candidates are
    compared with; without scores at first.

    `tried`: what was scored, on as many questions as it came to, by `prompt_key`. `rejected`: by the same key, the
    check that refused a candidate and what it found, never the value.
    """

    def __init__(
        self,
        request: CycleRequest,
        ground: CycleQuestions,
        journal: CycleJournal,
        *,
        max_tokens: int,
        lessons: Sequence[Lesson] = (),
        ask: Ask | None = None,
    ) -> None:
        self.journal = journal
        self.seed = request.seed
        self.lessons = lessons
        self.ask = ask
        self.baseline = ScoredCandidate(candidate=Candidate(parts=request.parts), score=0.0, tokens=0)
        self.tried: dict[str, ScoredCandidate] = {}
        self.rejected: dict[str, str] = {}
        self._present = request.parts
        self._questions = {question.id: question for question in ground.training}
        self._order = list(self._questions)
        random.Random(request.seed).shuffle(self._order)  # noqa: S311 - the order of questions
        self._texts = ground.texts
        self._copied = CopyCheck(ground.forbidden)
        self._max_tokens = max_tokens

    async def measure_baseline(self) -> None:
        """Score the present prompt, without the checks. Raises as `CycleJournal.evaluate`."""
        self.baseline = await self._score(self.baseline.candidate, self._order)

    async def run(self, strategy: OptimizerStrategy) -> tuple[list[ScoredCandidate], str]:
        """Run a strategy to its end, or until the budget or the time is spent or it fails: then the best that was
        scored counts. The candidates that beat the present prompt, best first, and why it ended early.

        Raises what the core raised in its calls: `ConfigError`, `SourceError`, `StoreError`."""
        task = TrainingTask(self)
        wanted, ended = await self._improve(strategy, task)
        if isinstance(task.failure, BudgetSpentError):
            ended = task.failure.message
        elif isinstance(task.failure, ProviderError):
            ended = f"the reflection model failed: {type(task.failure).__name__}"
            log.warning("improve.reflection_failed", error=type(task.failure).__name__)
        elif task.failure is not None:
            raise task.failure
        keys = [prompt_key(one.parts) for one in wanted] if not ended else list(self.tried)
        whole = len(self._order) * len(self.journal.models)
        best = [one for key in keys if (one := self.tried.get(key)) and len(one.cases) == whole]
        if self.baseline.candidate.changes and not best:
            best = [self.baseline]  # what was learned earlier has improved it already
        return self.choose_better(best), ended

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

    def choose_better(self, best: Sequence[ScoredCandidate]) -> list[ScoredCandidate]:
        """Those of these that beat the present prompt, three at most."""
        present = prompt_key(self._present)
        better = [
            one
            for one in rank_candidates(best)
            if one.candidate.changes
            and prompt_key(one.candidate.parts) != present
            and round(one.score, 9) > round(self.tried[present].score, 9)
        ]
        return better[:_MOST_BEST]

    async def select(self, candidates: Sequence[Candidate], keep: int) -> list[ScoredCandidate]:
        """The best `keep` of those that pass the checks, by successive halving (Jamieson and Talwalkar, 2016)."""
        unique = {prompt_key(one.parts): one for one in candidates[:_MOST_AT_ONCE]}
        left = [one for one in unique.values() if self._passes(one)]
        count = max(_FEWEST, math.ceil(_FIRST_RUNG * len(self._order)))
        while len(left) > max(1, keep) and count < len(self._order):
            ranked = rank_candidates([await self._score(one, self._order[:count]) for one in left])
            left = [one.candidate for one in ranked[: max(keep, math.ceil(len(ranked) / 2))]]
            count *= 2
        return rank_candidates([await self._score(one, self._order) for one in left])[: max(1, keep)]

    async def score_cases(self, candidate: Candidate, ids: Sequence[str]) -> list[ScoredCase]:
        """A candidate on the training questions with these ids; none when a check rejects it. Raises
        `InvalidRequestError` for an id that is not one of a training question."""
        if not self._questions.keys() >= set(ids):
            raise InvalidRequestError("only training questions can be scored", param="ids")
        if prompt_key(candidate.parts) != prompt_key(self._present) and not self._passes(candidate):
            return []
        return list((await self._score(candidate, list(dict.fromkeys(ids)))).cases)

    async def _score(self, candidate: Candidate, ids: Sequence[str]) -> ScoredCandidate:
        rows = await self.journal.evaluate(candidate.parts, [self._questions[one] for one in ids])
        cases = tuple(
            score_case(row, self._questions[row.question_id], self._texts[row.question_id])
            for _, row in sorted(rows.items())
        )
        tokens = estimate_tokens(build_prompt(0, candidate.parts).template)
        score = average([case.score for case in cases])
        scored = ScoredCandidate(candidate=candidate, score=score, tokens=tokens, cases=cases)
        key = prompt_key(candidate.parts)
        if key not in self.tried or len(self.tried[key].cases) < len(cases):
            self.tried[key] = scored
        return scored

    def _passes(self, candidate: Candidate) -> bool:
        key = prompt_key(candidate.parts)
        if key in self.rejected:
            return False
        refused = next((check for check in self._checks(candidate) if check.result == "refused"), None)
        if refused is not None:
            self.rejected[key] = f"{refused.name}: {refused.said}"
            log.warning("improve.candidate_rejected", check=refused.name)
        return refused is None

    def _checks(self, candidate: Candidate) -> list[Check]:
        """What they say names kinds and parts, never what was found."""
        parts = candidate.parts
        if parts.keys() != self._present.keys():
            return [Check("parts", "refused", "they are not the parts of the present prompt")]
        try:
            check_texts(parts)
        except InvalidRequestError as error:
            return [Check("parts", "refused", error.message)]
        tokens = estimate_tokens(build_prompt(0, parts).template)
        honest = all(
            one.instruction.strip()
            and one.instruction in parts.get(one.part, "")
            and (one.fault is None or one.fault in FAULTS)
            for one in candidate.changes
        )
        return [
            check_parts(parts),
            check_variables(parts),
            Check.of("length", tokens <= self._max_tokens, f"{tokens} tokens"),
            check_personal(parts),
            self._copied.run(parts),
            Check.of("changes", honest, "a change that is not in the parts of the candidate"),
        ]


def build_row(one: ScoredCandidate) -> dict[str, Any]:
    """A candidate as a cycle keeps it, without its cases."""
    changes = [asdict(change) for change in one.candidate.changes]
    return {"parts": dict(one.candidate.parts), "changes": changes, "score": one.score, "tokens": one.tokens}
