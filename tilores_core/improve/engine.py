"""Runs a strategy under the rules that hold for all: checked candidates, a budget, training questions alone."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import Candidate, Change, Lesson, OptimizerStrategy, ScoredCandidate, ScoredCase
from tilores_core.errors import BudgetSpentError, ConfigError, InvalidRequestError, ProviderError
from tilores_core.improve.cases import score_case
from tilores_core.improve.journal import CycleJournal, ModelReply, prompt_key
from tilores_core.quality.scoring import GoldenQuestion
from tilores_core.release.prompt_checks import (
    Check,
    PromptCase,
    check_copied,
    check_parts,
    check_personal,
    check_texts,
    check_variables,
)

log = structlog.get_logger(part="improve")

_FIRST_RUNG: Final = 0.25
_FEWEST: Final = 7
_MOST_FINDINGS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one instruction did: paired differences of the overall score, by model; `helped` and `hurt` count pairs
    that changed."""

    change: Change
    pairs: int
    total: float
    squares: float
    helped: int
    hurt: int
    by_model: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a strategy came to. `best`: the candidates that beat the present prompt on training questions, best first.
    `rejected`: by check, how many candidates it refused, with one finding each. `ended`: why it ended early."""

    best: tuple[ScoredCandidate, ...] = ()
    tried: int = 0
    rejected: tuple[str, ...] = ()
    gains: tuple[Gain, ...] = ()
    ended: str = ""


class ContinuousOptimizationEngine:
    """The `OptimizerTask` of one cycle, and what runs a strategy on it.

    `questions`: training questions; `texts`: by id, masked. `forbidden`: questions and customers whose words no
    candidate may copy. `max_tokens`: longest prompt. `ask`: the reflection model, None without one.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, str],
        questions: Sequence[GoldenQuestion],
        texts: Mapping[str, str],
        models: tuple[str, ...],
        journal: CycleJournal,
        forbidden: Sequence[PromptCase],
        max_tokens: int,
        seed: int,
        lessons: Sequence[Lesson] = (),
        ask: Callable[[str], Awaitable[ModelReply]] | None = None,
    ) -> None:
        self.parts = parts
        self.lessons = lessons
        self.seed = seed
        self.baseline = ScoredCandidate(candidate=Candidate(parts=parts), score=0.0, tokens=0)
        self._questions = list(questions)
        random.Random(seed).shuffle(self._questions)  # noqa: S311 - the order of questions
        self._texts = texts
        self._models = models
        self._journal = journal
        self._forbidden = forbidden
        self._max_tokens = max_tokens
        self._ask = ask
        self._tried: dict[str, ScoredCandidate] = {}
        self._rejected: dict[str, str] = {}

    # --- the task of a strategy --------------------------------------------------------------------------

    async def score(self, candidates: Sequence[Candidate], *, keep: int = 1) -> list[ScoredCandidate]:
        """As `OptimizerTask` says."""
        unique = {prompt_key(one.parts): one for one in candidates}
        left = [one for one in unique.values() if self._passes(one)]
        count = max(_FEWEST, math.ceil(_FIRST_RUNG * len(self._questions)))
        while len(left) > max(1, keep) and count < len(self._questions):
            ranked = _rank([await self._score(one, self._questions[:count]) for one in left])
            left = [one.candidate for one in ranked[: max(keep, math.ceil(len(ranked) / 2))]]
            count *= 2
        return _rank([await self._score(one, self._questions) for one in left])[: max(1, keep)]

    async def reflect(self, prompt: str) -> str:
        """As `OptimizerTask` says."""
        if self._ask is None:
            raise ConfigError(
                "this strategy asks a reflection model, and there is none",
                where="[improve] reflection_model",
                fix="name a model, or use another strategy",
            )
        return await self._journal.reply(prompt, self._ask)

    # --- what runs it ------------------------------------------------------------------------------------

    async def measure_baseline(self) -> None:
        """Score the present prompt. Raises `BudgetSpentError`, and as `Evaluator.evaluate`."""
        self.baseline = await self._score(self.baseline.candidate, self._questions)

    def rebase(self, better: ScoredCandidate) -> None:
        """What a strategy is given from now on is this candidate instead of the present prompt."""
        self.parts, self.baseline = better.candidate.parts, better

    async def run(self, strategy: OptimizerStrategy) -> SearchResult:
        """Run a strategy to its end, or until the budget is spent; then the best that was scored counts."""
        start, ended = self.baseline, ""
        wanted: Sequence[Candidate] = ()
        try:
            wanted = await strategy.improve(self)
        except BudgetSpentError as error:
            ended = error.message
        except ProviderError as error:
            ended = f"the reflection model failed: {type(error).__name__}"
            log.warning("improve.reflection_failed", error=type(error).__name__)
        keys = [prompt_key(one.parts) for one in wanted]
        if ended:
            keys = list(self._tried)
        best = [one for key in keys if (one := self._tried.get(key)) and self._is_whole(one)]
        if start.candidate.changes and not best:
            best = [start]  # what was learned earlier has improved it already
        return self.build_result(best, ended)

    def build_result(self, best: Sequence[ScoredCandidate], ended: str = "") -> SearchResult:
        present = self._tried[prompt_key(self._present())].score
        return SearchResult(
            best=tuple(one for one in _rank(best) if one.score > present and one.candidate.changes)[:3],
            tried=len(self._tried) - 1,
            rejected=tuple(sorted(self._rejected.values()))[:_MOST_FINDINGS],
            gains=self._gains(),
            ended=ended,
        )

    def _present(self) -> Mapping[str, str]:
        return next(one.candidate.parts for one in self._tried.values() if not one.candidate.changes)

    def _is_whole(self, one: ScoredCandidate) -> bool:
        return len(one.cases) == len(self._questions) * len(self._models)

    async def _score(self, candidate: Candidate, questions: Sequence[GoldenQuestion]) -> ScoredCandidate:
        prompt = build_prompt(0, candidate.parts)
        rows = await self._journal.evaluate(prompt, questions, self._models, seed=self.seed)
        by_id = {question.id: question for question in questions}
        cases = tuple(
            score_case(row, by_id[row.question_id], self._texts[row.question_id]) for _, row in sorted(rows.items())
        )
        tokens = estimate_tokens(prompt.template)
        scored = ScoredCandidate(candidate=candidate, score=_mean(cases), tokens=tokens, cases=cases)
        key = prompt_key(candidate.parts)
        if key not in self._tried or len(self._tried[key].cases) <= len(cases):
            self._tried[key] = scored
        return scored

    def _passes(self, candidate: Candidate) -> bool:
        key = prompt_key(candidate.parts)
        if key in self._rejected:
            return False
        try:
            check_texts(candidate.parts)
        except InvalidRequestError as error:
            self._rejected[key] = f"parts: {error.message}"
            return False
        tokens = estimate_tokens(build_prompt(0, candidate.parts).template)
        checks = (
            check_parts(candidate.parts),
            check_variables(candidate.parts),
            Check(name="length", passed=tokens <= self._max_tokens, said=f"{tokens} tokens"),
            check_personal(candidate.parts),
            check_copied(candidate.parts, self._forbidden),
        )
        refused = [check for check in checks if check.ran and not check.passed]
        if refused:
            # The finding names kinds and parts, never what was found.
            self._rejected[key] = f"{refused[0].name}: {refused[0].said}"
            log.warning("improve.candidate_rejected", check=refused[0].name)
        return not refused

    def _gains(self) -> tuple[Gain, ...]:
        """Of each candidate that differs by one instruction from another one that was scored."""
        by_changes = {one.candidate.changes: one for one in self._tried.values()}
        gains: dict[Change, Gain] = {}
        for one in self._tried.values():
            changes = one.candidate.changes
            parent = by_changes.get(changes[:-1]) if changes else None
            if parent is not None and (gain := _gain(changes[-1], parent.cases, one.cases)).pairs:
                before = gains.get(changes[-1])
                if before is None or gain.pairs > before.pairs:
                    gains[changes[-1]] = gain
        return tuple(gains.values())


def _gain(change: Change, before: Sequence[ScoredCase], after: Sequence[ScoredCase]) -> Gain:
    known = {(case.model, case.id): case.score for case in before}
    pairs = [
        (case.model, case.score - known[case.model, case.id]) for case in after if (case.model, case.id) in known
    ]
    models = sorted({model for model, _ in pairs})
    return Gain(
        change=change,
        pairs=len(pairs),
        total=math.fsum(difference for _, difference in pairs),
        squares=math.fsum(difference * difference for _, difference in pairs),
        helped=sum(difference > 0 for _, difference in pairs),
        hurt=sum(difference < 0 for _, difference in pairs),
        by_model={name: _average([difference for model, difference in pairs if model == name]) for name in models},
    )


def _average(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _mean(cases: Sequence[ScoredCase]) -> float:
    return _average([case.score for case in cases])


def _rank(scored: Sequence[ScoredCandidate]) -> list[ScoredCandidate]:
    """Best first; of equal ones the shorter."""
    return sorted(scored, key=lambda one: (-round(one.score, 9), one.tokens, prompt_key(one.candidate.parts)))


def as_row(one: ScoredCandidate) -> dict[str, Any]:
    """A candidate as a cycle keeps it, without its cases."""
    changes = [
        {"part": change.part, "instruction": change.instruction, "fault": change.fault}
        for change in one.candidate.changes
    ]
    return {"parts": dict(one.candidate.parts), "changes": changes, "score": one.score, "tokens": one.tokens}
