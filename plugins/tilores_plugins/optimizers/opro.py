"""The strategy `opro`: a model gets the best instructions so far with their scores and writes others.

After Yang et al., arXiv 2309.03409 (OPRO), with what it writes put at the end of one part, the answer style.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from tilores_core import Candidate, Change, OptimizerTask, ScoredCandidate, rank_candidates
from tilores_plugins.optimizers.instructions import StrategySettings, describe_case, register

_PART: Final = "answer_style"
_SHOWN: Final = 8
_LONGEST: Final = 1_000
_CASES: Final = 5
_WRITTEN = re.compile(r"<instructions>(.*?)</instructions>", re.DOTALL)
_ASKED: Final = """\
An assistant answers questions about a customer from records. These texts were added to its instructions, each with
the mean score of its answers, worst first:
{texts}
Some of the questions that it still answers badly, with what is wrong:
{cases}
Write {most} other texts that would score higher, of at most five general sentences each, without any customer or
value. Put each between <instructions> and </instructions>."""


class OproSettings(StrategySettings):
    """Settings of the `opro` strategy."""

    steps: int = Field(5, ge=1, le=50, description="times that the model is asked for texts")
    proposals: int = Field(4, ge=1, le=16, description="texts that it writes each time")


class OproOptimizer:
    """An `OptimizerStrategy`. It ends early when two steps in a row improve nothing."""

    def __init__(self, settings: OproSettings) -> None:
        self._settings = settings

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        known: list[ScoredCandidate] = [task.baseline]
        without = 0
        for _ in range(self._settings.steps):
            reply = await task.reflect(self._build_question(known))
            texts = [" ".join(text.split()) for text in _WRITTEN.findall(reply)][: self._settings.proposals]
            seen = {_describe_candidate(one) for one in known}
            fresh = [text for text in dict.fromkeys(texts) if text and len(text) <= _LONGEST and text not in seen]
            children = [task.baseline.candidate.with_change(Change(part=_PART, instruction=text)) for text in fresh]
            scored = await task.score(children, keep=2) if children else []
            best = known[0].score
            known = rank_candidates([*known, *scored])[:_SHOWN]
            without = 0 if known[0].score > best else without + 1
            if without == 2:
                break
        return [one.candidate for one in known[:2] if one.candidate.changes and one.score > task.baseline.score]

    def _build_question(self, known: Sequence[ScoredCandidate]) -> str:
        failed = [case for case in known[0].cases if case.faults][:_CASES]
        return _ASKED.format(
            texts="\n".join(
                f"- {one.score:.3f}: {_describe_candidate(one) or '(nothing added)'}" for one in reversed(known)
            ),
            cases="\n".join(map(describe_case, failed)),
            most=self._settings.proposals,
        )


def _describe_candidate(one: ScoredCandidate) -> str:
    return " ".join(change.instruction for change in one.candidate.changes)


register_optimizer_strategies = register(
    OproOptimizer,
    name="opro",
    settings=OproSettings,
    reflects=True,
    summary="A model writes instructions from the best ones so far and their scores",
)
