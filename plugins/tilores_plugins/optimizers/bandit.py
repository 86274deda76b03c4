"""The strategy `bandit`: many instructions, the best of which are found by successive halving with few calls.

After Shi et al., arXiv 2402.09723 (TRIPLE). The instructions are your own, those of earlier cycles, and what the
reflection model writes in one reply. Every strategy's candidates are halved in the same way, by the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import Field

from tilores_core import Candidate, Change, Fault, OptimizerTask
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

_CASES_SHOWN: Final = 12
_LESSONS: Final = 12
_FEWEST_KEPT: Final = 3
_ASKED: Final = """\
You improve the instructions of an assistant that answers questions about a customer from records. Below are the
parts of its instructions, and questions that it answered badly, with what was wrong:
{faults}
Write at most {most} different instructions, some for each fault.
"""


class BanditSettings(StrategySettings):
    """Settings of the `bandit` strategy."""

    instructions: dict[str, list[str]] = Field({}, description="instructions to choose from, by part of the prompt")
    proposals: int = Field(16, ge=0, le=64, description="instructions that the reflection model writes; 0: none")
    rounds: int = Field(2, ge=1, le=10, description="how often instructions are added to the best so far")


class BanditOptimizer:
    """An `OptimizerStrategy`. It ends early when a round improves nothing."""

    def __init__(self, settings: BanditSettings) -> None:
        self.reflects = settings.proposals > 0
        self._settings = settings

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        best, changes = task.baseline, await self._collect(task)
        for _ in range(self._settings.rounds):
            used = set(best.candidate.changes)
            arms = [best.candidate.with_change(change) for change in changes if change not in used]
            if not arms:
                break
            first = (await score_changes(task, best, arms, keep=max(_FEWEST_KEPT, len(arms) // 2)))[0]
            if first.score - best.score <= LEAST_GAIN:
                break
            best = first
        return [] if best is task.baseline else [best.candidate]

    async def _collect(self, task: OptimizerTask) -> list[Change]:
        said = "\n".join(task.parts.values())
        changes = [
            Change(part=part, instruction=" ".join(text.split()))
            for part, texts in self._settings.instructions.items()
            for text in texts
        ]
        changes += [one.change for one in task.lessons[:_LESSONS] if one.gain > 0]
        if self._settings.proposals and (faults := count_faults(task.baseline.cases)):
            changes += await self._ask(task, list(faults))
        fitting = [one for one in changes if one.part in task.parts and one.instruction not in said]
        return list({one.instruction: one for one in reversed(fitting)}.values())[::-1]

    async def _ask(self, task: OptimizerTask, faults: Sequence[Fault]) -> list[Change]:
        cases = task.baseline.cases
        begin = _ASKED.format(
            faults="\n".join(f"{fault}: {MEANINGS[fault]}" for fault in faults), most=self._settings.proposals
        )
        each = max(1, _CASES_SHOWN // len(faults))
        shown = [case for fault in faults for case in [one for one in cases if fault in one.faults][:each]]
        reply = await task.reflect(build_request(begin, task, task.parts, shown, faults))
        return read_changes(reply, task.parts, fault=None, most=self._settings.proposals)


register_optimizer_strategies = register(
    BanditOptimizer,
    name="bandit",
    settings=BanditSettings,
    reflects=True,
    summary="Your own and a model's instructions, the best found by successive halving",
)
