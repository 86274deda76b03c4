"""The strategy `critique`: a model criticises failed answers and proposes instructions; the best few go on (a beam).

After Pryzant et al., arXiv 2305.03495 (ProTeGi), with instructions added to parts of the prompt instead of one text.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from pydantic import Field

from tilores_core import Candidate, Change, Fault, OptimizerTask, ScoredCandidate, rank_candidates
from tilores_plugins.optimizers.instructions import (
    LEAST_GAIN,
    MEANINGS,
    StrategySettings,
    build_request,
    count_faults,
    read_changes,
    register,
    score_changes,
)

_CASES_SHOWN: Final = 6
_PROPOSALS: Final = 4
_ASKED: Final = """\
You improve the instructions of an assistant that answers questions about a customer from records. Below are the
parts of its instructions, and questions that it answered badly in one way: {fault}: {meaning}.
Say to yourself what in the instructions lets this happen. Then write at most {most} different instructions that would
prevent it.
"""


class CritiqueSettings(StrategySettings):
    """Settings of the `critique` strategy."""

    rounds: int = Field(3, ge=1, le=10, description="rounds of criticism and selection")
    beam: int = Field(3, ge=1, le=8, description="candidates that go on after each round")


class CritiqueOptimizer:
    """An `OptimizerStrategy`. It ends early when a round improves nothing."""

    def __init__(self, settings: CritiqueSettings) -> None:
        self._settings = settings

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        dice = random.Random(task.seed)  # noqa: S311 - chooses examples, nothing secret
        beam: list[ScoredCandidate] = [task.baseline]
        replies: dict[str, str] = {}
        for _ in range(self._settings.rounds):
            children: list[Candidate] = []
            for parent in beam:
                changes: list[Change] = []
                parts = parent.candidate.parts
                for fault in count_faults(parent.cases):
                    prompt = _criticise(task, parent, fault, dice)
                    if prompt not in replies:
                        replies[prompt] = await task.reflect(prompt)
                    changes += read_changes(replies[prompt], parts, fault=fault, most=_PROPOSALS)
                children += [parent.candidate.with_change(change) for change in changes]
                # The first proposal for each fault together: faults are often independent of each other.
                firsts = {change.fault: change for change in reversed(changes)}
                if len(firsts) > 1:
                    children.append(parent.candidate.with_change(*reversed(firsts.values())))
            if not children:
                break
            best = beam[0].score
            scored = await score_changes(task, beam[0], children, keep=max(self._settings.beam, len(children) // 4))
            beam = rank_candidates([*scored, *beam[1:]])[: self._settings.beam]
            if beam[0].score - best <= LEAST_GAIN:
                break
        return [one.candidate for one in beam if one.candidate.changes and one.score > task.baseline.score]


def _criticise(task: OptimizerTask, parent: ScoredCandidate, fault: Fault, dice: random.Random) -> str:
    failed = [case for case in parent.cases if fault in case.faults]
    shown = dice.sample(failed, min(_CASES_SHOWN, len(failed)))
    begin = _ASKED.format(fault=fault, meaning=MEANINGS[fault], most=_PROPOSALS)
    return build_request(begin, task, parent.candidate.parts, shown, [fault])


register_optimizer_strategies = register(
    CritiqueOptimizer,
    name="critique",
    settings=CritiqueSettings,
    reflects=True,
    summary="A model criticises failed answers and proposes instructions; the best go on",
)
