"""Candidates: checked before they are asked, scored on training questions, and what became of each."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.prompts import build_prompt
from tilores_core.contracts import FAULTS, Candidate, ScoredCandidate, ScoredCase, rank_candidates
from tilores_core.errors import InvalidRequestError
from tilores_core.improve.analysis import score_case
from tilores_core.improve.journal import CycleJournal, prompt_key
from tilores_core.quality.scoring import GoldenQuestion
from tilores_core.release.prompt_checks import (
    Check,
    CopyCheck,
    PromptCase,
    check_parts,
    check_personal,
    check_texts,
    check_variables,
)

log = structlog.get_logger(part="improve")

_FIRST_RUNG: Final = 0.125
_FEWEST: Final = 7
_MOST_AT_ONCE: Final = 200


class CandidateScorer:
    """`present`: the prompt to be improved. `questions`: training questions; `texts`: by id, masked. `forbidden`:
    questions and customers whose words no candidate may copy. `max_tokens`: longest prompt.

    `tried`: what was scored, on as many questions as it came to, by `prompt_key`. `rejected`: by the same key, the
    check that refused a candidate and what it found, never the value.
    """

    def __init__(
        self,
        present: Mapping[str, str],
        *,
        questions: Sequence[GoldenQuestion],
        texts: Mapping[str, str],
        journal: CycleJournal,
        forbidden: Sequence[PromptCase],
        max_tokens: int,
        seed: int,
    ) -> None:
        self.present = present
        self.tried: dict[str, ScoredCandidate] = {}
        self.rejected: dict[str, str] = {}
        self._questions = {question.id: question for question in questions}
        self._order = list(self._questions)
        random.Random(seed).shuffle(self._order)  # noqa: S311 - the order of questions
        self._texts = texts
        self._journal = journal
        self._copied = CopyCheck(forbidden)
        self._max_tokens = max_tokens

    async def score_all(self, candidate: Candidate) -> ScoredCandidate:
        """A candidate on all training questions, without the checks. Raises as `CycleJournal.evaluate`."""
        return await self._score(candidate, self._order)

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
        if prompt_key(candidate.parts) != prompt_key(self.present) and not self._passes(candidate):
            return []
        return list((await self._score(candidate, list(dict.fromkeys(ids)))).cases)

    def is_whole(self, one: ScoredCandidate) -> bool:
        """Whether it was scored on all training questions."""
        return len(one.cases) == len(self._order) * len(self._journal.models)

    async def _score(self, candidate: Candidate, ids: Sequence[str]) -> ScoredCandidate:
        rows = await self._journal.evaluate(candidate.parts, [self._questions[one] for one in ids])
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
        refused = next((check for check in self._checks(candidate) if check.ran and not check.passed), None)
        if refused is not None:
            self.rejected[key] = f"{refused.name}: {refused.said}"
            log.warning("improve.candidate_rejected", check=refused.name)
        return refused is None

    def _checks(self, candidate: Candidate) -> list[Check]:
        """What they say names kinds and parts, never what was found."""
        parts = candidate.parts
        if parts.keys() != self.present.keys():
            return [Check(name="parts", passed=False, said="they are not the parts of the present prompt")]
        try:
            check_texts(parts)
        except InvalidRequestError as error:
            return [Check(name="parts", passed=False, said=error.message)]
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
            Check(name="length", passed=tokens <= self._max_tokens, said=f"{tokens} tokens"),
            check_personal(parts),
            self._copied.run(parts),
            Check(name="changes", passed=honest, said="a change that is not in the parts of the candidate"),
        ]


def average(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0
