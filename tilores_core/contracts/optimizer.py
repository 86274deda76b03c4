"""Improving a prompt: what a strategy gets (`OptimizerTask`), and what it hands back (`Candidate`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

Fault = Literal["inexact", "incomplete", "unsupported", "invented", "refused", "format"]
"""What is wrong with an answer.

`inexact`: a value is wrong or not as it is written; `incomplete`: a fact asked for is missing; `unsupported`: a value
that the records do not bear out; `invented`: a value where the records hold none; `refused`: no value where the
records hold one; `format`: long, with markup, or with values that were not asked for.
"""
FAULTS: Final[tuple[Fault, ...]] = ("inexact", "incomplete", "unsupported", "invented", "refused", "format")
_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCase:
    """A training question with the scores of one model's answer to it.

    `question`: with typed placeholders such as `[name]` in place of the customer's values. `score`: the overall one,
    0 to 1; `scores`: by name, those that apply. `faults`: what follows from the scores; empty for a good answer.
    """

    id: str
    model: str
    spectrum: str
    question: str
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One instruction that was put into a part of the prompt, and the fault that it is meant to mend, if known."""

    part: str
    instruction: str
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What an instruction did in earlier cycles: the mean gain of the overall score over `observations` cycles and
    models, and how likely it is to help (0 to 1)."""

    change: Change
    gain: float
    confidence: float
    observations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The parts of a whole prompt, and how they differ from the present one; `changes` is what is learned from."""

    parts: Mapping[str, str]
    changes: tuple[Change, ...] = ()

    def with_change(self, *changes: Change) -> Candidate:
        """This one with instructions, each at the end of a part."""
        parts = dict(self.parts)
        for one in changes:
            before = parts.get(one.part, "").rstrip()
            parts[one.part] = f"{before}\n{one.instruction}" if before else one.instruction
        return Candidate(parts=parts, changes=(*self.changes, *changes))

    def with_text(self, part: str, text: str, fault: Fault | None = None) -> Candidate:
        """This one with another text of a part. The change is what is new in it, from the first new sentence to the
        last, or all of it where nothing is."""
        before, text = self.parts.get(part, ""), text.strip()
        new = [found.span() for found in _SENTENCE.finditer(text) if found[0].strip() not in before]
        instruction = text[new[0][0] : new[-1][1]].strip() if new else text
        change = Change(part=part, instruction=instruction, fault=fault)
        return Candidate(parts={**self.parts, part: text}, changes=(*self.changes, change))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCandidate:
    """A candidate with its mean overall score over all training cases, its length, and the cases themselves."""

    candidate: Candidate
    score: float
    tokens: int
    cases: tuple[ScoredCase, ...] = ()


def rank_candidates(scored: Iterable[ScoredCandidate]) -> list[ScoredCandidate]:
    """Best first; of equal ones the shorter. The order in which they come does not matter."""
    return sorted(scored, key=lambda one: (-round(one.score, 9), one.tokens, sorted(one.candidate.parts.items())))


class OptimizerTask(Protocol):
    """What the core gives a strategy. Held-out questions and customers' values are not in it.

    `parts`: the present prompt. `baseline`: it with its scores. `lessons`: of earlier cycles, the surest first.
    `seed`: of all that a strategy draws at random, so that a cycle that is gone on with comes to the same end.
    """

    @property
    def parts(self) -> Mapping[str, str]: ...

    @property
    def baseline(self) -> ScoredCandidate: ...

    @property
    def lessons(self) -> Sequence[Lesson]: ...

    @property
    def seed(self) -> int: ...

    async def score(self, candidates: Sequence[Candidate], *, keep: int = 1) -> list[ScoredCandidate]:
        """The best `keep` of the candidates on all training cases, ordered as `rank_candidates` does.

        The others were left behind on fewer cases (successive halving). Candidates that the checks reject are not
        asked and not returned, so that the list may be shorter. Raises `BudgetSpentError`: a strategy lets it
        through, and the best that was scored counts.
        """

    async def evaluate(self, candidate: Candidate, ids: Sequence[str]) -> list[ScoredCase]:
        """The answers of all models to the training questions with these ids, those of `baseline.cases`; none when a
        check rejects the candidate. Raises as `score`, and `InvalidRequestError` for another id."""

    async def reflect(self, prompt: str) -> str:
        """What the reflection model says to `prompt`. Raises `BudgetSpentError`, `ConfigError` without such a model,
        `ProviderError`."""


class OptimizerStrategy(Protocol):
    """A way to improve a prompt. It asks nothing by itself: models are reached through the task, which counts."""

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        """The candidates to be compared with the present prompt, best first, at most a few; none when nothing
        improves it. The same task gives the same candidates."""
