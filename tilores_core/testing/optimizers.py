"""What every optimizer strategy must do, and a task whose answers get better with certain instructions.

    from tilores_core.testing.optimizers import OptimizerStrategySuite, FakeTask

    class TestAcmeStrategy(OptimizerStrategySuite):
        @pytest.fixture
        def strategy(self):
            return AcmeStrategy()

        @pytest.fixture
        def reply(self):                    # of the reflection model, for strategies that ask it
            return lambda prompt: '[{"part": "answer_style", "instruction": "Copy every digit."}]'

A fault goes away where a candidate's texts have the words that `mends` gives for it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pytest

from tilores_core.contracts import (
    FAULTS,
    Candidate,
    Fault,
    Lesson,
    OptimizerStrategy,
    ScoredCandidate,
    ScoredCase,
    rank_candidates,
)
from tilores_core.errors import BudgetSpentError

MENDS: Final[Mapping[Fault, str]] = {
    "inexact": r"digit",
    "incomplete": r"every part|all items",
    "unsupported": r"only from the records",
    "invented": r"not in the records",
    "refused": r"all fields",
    "format": r"two sentences|only what was asked",
}
PARTS: Final[Mapping[str, str]] = {
    "role": "You help.",
    "answer_style": "Answer at length.",
    "refusal": "Be polite.",
    "hedging": "Speak plainly.",
    "disambiguation": "Ask who is calling.",
}
_CASES_PER_FAULT: Final = 4
_BAD: Final = 0.5


class FakeTask:
    """An `OptimizerTask` in memory. `calls`: how many cases may be scored, and replies asked for; `asked` counts.
    `mends` empty: nothing helps."""

    def __init__(
        self,
        *,
        mends: Mapping[Fault, str] = MENDS,
        reply: Callable[[str], str] = lambda prompt: "",
        lessons: Sequence[Lesson] = (),
        calls: int = 100_000,
        parts: Mapping[str, str] = PARTS,
    ) -> None:
        self.seed = 7
        self.parts = parts
        self.lessons = lessons
        self.asked = 0
        self.prompts: list[str] = []
        self._mends = mends
        self._reply = reply
        self._calls = calls
        self.baseline = self._score(Candidate(parts=parts))

    async def score(self, candidates: Sequence[Candidate], *, keep: int = 1) -> list[ScoredCandidate]:
        scored = []
        for candidate in candidates:
            assert set(candidate.parts) == set(self.parts), "a candidate is a whole prompt, with the same parts"
            self._spend(len(FAULTS) * _CASES_PER_FAULT)
            scored.append(self._score(candidate))
        return rank_candidates(scored)[:keep]

    async def evaluate(self, candidate: Candidate, ids: Sequence[str]) -> list[ScoredCase]:
        known = {case.id for case in self.baseline.cases}
        assert known >= set(ids), "the training questions are those of `baseline.cases`"
        self._spend(len(set(ids)))
        return [case for case in self._score(candidate).cases if case.id in ids]

    async def reflect(self, prompt: str) -> str:
        self._spend(1)
        self.prompts.append(prompt)
        return self._reply(prompt)

    def _spend(self, calls: int) -> None:
        if self.asked + calls > self._calls:
            raise BudgetSpentError("no calls are left")
        self.asked += calls

    def _score(self, candidate: Candidate) -> ScoredCandidate:
        text = "\n".join(candidate.parts.values()).lower()
        cases = []
        for fault in FAULTS:
            mended = fault in self._mends and re.search(self._mends[fault], text) is not None
            for number in range(_CASES_PER_FAULT):
                faults: tuple[Fault, ...] = () if mended else (fault,)
                cases.append(
                    ScoredCase(
                        id=f"{fault}-{number}",
                        model="acme:large",
                        spectrum="billing",
                        question=f"What is the {fault} value of <name>?",
                        score=1.0 if mended else _BAD,
                        scores={"overall": 1.0 if mended else _BAD},
                        faults=faults,
                    )
                )
        mean = sum(case.score for case in cases) / len(cases)
        return ScoredCandidate(candidate=candidate, score=mean, tokens=len(text) // 4, cases=tuple(cases))

    def score_of(self, candidate: Candidate) -> float:
        """What a candidate is worth, not counted."""
        return self._score(candidate).score


class OptimizerStrategySuite:
    """Override `strategy`, and `reply` for one that asks the reflection model."""

    @pytest.fixture
    def strategy(self) -> OptimizerStrategy:
        raise NotImplementedError

    @pytest.fixture
    def reply(self) -> Callable[[str], str]:
        return lambda prompt: ""

    async def test_a_prompt_that_can_be_improved_is_improved(
        self, strategy: OptimizerStrategy, reply: Callable[[str], str]
    ) -> None:
        task = FakeTask(reply=reply)
        found = await strategy.improve(task)
        assert found, "nothing was found, although instructions help"
        assert task.score_of(found[0]) > task.baseline.score
        for candidate in found:
            assert set(candidate.parts) == set(task.parts)
            assert candidate.changes, "what was changed is what is learned from"
            for change in candidate.changes:
                assert change.instruction in candidate.parts[change.part]

    async def test_where_nothing_helps_nothing_is_proposed(
        self, strategy: OptimizerStrategy, reply: Callable[[str], str]
    ) -> None:
        assert not await strategy.improve(FakeTask(mends={}, reply=reply))

    async def test_the_same_task_gives_the_same_candidates(
        self, strategy: OptimizerStrategy, reply: Callable[[str], str]
    ) -> None:
        first, second = FakeTask(reply=reply), FakeTask(reply=reply)
        assert list(await strategy.improve(first)) == list(await strategy.improve(second))
        assert first.prompts == second.prompts
        assert first.asked == second.asked

    async def test_a_spent_budget_ends_it(self, strategy: OptimizerStrategy, reply: Callable[[str], str]) -> None:
        task = FakeTask(reply=reply, calls=30)
        with contextlib.suppress(BudgetSpentError):
            await strategy.improve(task)
        assert task.asked <= 30

    @pytest.mark.parametrize("said", ["", "I cannot help with that.", "[[[", '[{"part": 7}]', "<instructions>"])
    async def test_replies_that_are_of_no_use_do_no_harm(self, strategy: OptimizerStrategy, said: str) -> None:
        await strategy.improve(FakeTask(reply=lambda prompt: said))

    async def test_a_prompt_that_is_good_is_left_alone(
        self, strategy: OptimizerStrategy, reply: Callable[[str], str]
    ) -> None:
        good = {**PARTS, "answer_style": "digit, every part, only from the records, not in the records, all fields"}
        good["refusal"] = "In at most two sentences."
        assert not await strategy.improve(FakeTask(parts=good, reply=reply))
