"""The strategy `mock`: instructions known beforehand for each fault, for tests and the demo; no model is asked.

It tries each instruction alone, and puts those that help together.
What it proposes is measured as any other candidate: with models that its instructions do not help it finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tilores_core import Candidate, Change, Fault, OptimizerTask
from tilores_plugins.optimizers.instructions import LEAST_GAIN, register, score_changes

_KNOWN: Final[Mapping[Fault, Sequence[tuple[str, str]]]] = {
    "inexact": (
        ("answer_style", "Copy every figure digit for digit and never round it."),
        ("answer_style", "Give each figure with its unit or currency."),
        ("hedging", "Compare the dates of values and give the most recent value."),
    ),
    "incomplete": (("answer_style", "Answer every part of the question and name all items of a list."),),
    "unsupported": (("refusal", "Answer only from the records and do not guess."),),
    "invented": (("refusal", "If there is no such field, say that this is not in the records."),),
    "refused": (("refusal", "Look at all fields of the records before you say that something is missing."),),
    "format": (
        ("answer_style", "Answer in at most two sentences of plain words, without an introduction."),
        ("answer_style", "Give only what was asked for."),
    ),
}


class MockAIPromptOptimizer:
    """An `OptimizerStrategy`."""

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        said = "\n".join(task.parts.values())
        faults = {fault for case in task.baseline.cases for fault in case.faults}
        singles = [
            task.baseline.candidate.with_change(Change(part=part, instruction=text, fault=fault))
            for fault, known in _KNOWN.items()
            if fault in faults
            for part, text in known
            if text not in said
        ]
        best, *_ = await score_changes(task, task.baseline, singles, keep=len(singles))
        return [best.candidate] if best.score - task.baseline.score > LEAST_GAIN else []


register_optimizer_strategies = register(
    lambda _: MockAIPromptOptimizer(),
    name="mock",
    mock=True,
    summary="A mock: instructions known beforehand; no model is asked",
)
