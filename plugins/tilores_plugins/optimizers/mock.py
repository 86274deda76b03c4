"""The strategy `mock`: instructions known beforehand for each fault, for tests and the demo; no model is asked.

It tries each instruction alone, puts those that help together, and leaves out again what the whole does not need.
What it proposes is measured as any other candidate: with models that its instructions do not help it finds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tilores_core import (
    Candidate,
    Change,
    Fault,
    OptimizerStrategySpec,
    OptimizerTask,
    PluginContext,
    ScoredCandidate,
    hookimpl,
)

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
_SURE: Final = 0.8
_LEAST_GAIN: Final = 0.002
_MOST_LESSONS: Final = 12


class MockAIPromptOptimizer:
    """An `OptimizerStrategy`. Lessons of earlier cycles that are sure enough are applied at once, before it tries
    instructions alone."""

    async def improve(self, task: OptimizerTask) -> Sequence[Candidate]:
        best = await _with_lessons(task) or task.baseline
        remaining = {fault for case in best.cases for fault in case.faults}
        used = {change.instruction for change in best.candidate.changes}
        said = "\n".join(best.candidate.parts.values())
        changes = [
            Change(part=part, instruction=text, fault=fault)
            for fault, known in _KNOWN.items()
            if fault in remaining
            for part, text in known
            if text not in used and text not in said
        ]
        if changes:
            singles = [best.candidate.with_change(change) for change in changes]
            scored = await task.score(singles, keep=len(singles))
            helpful = [one for one in scored if one.score - best.score > _LEAST_GAIN]
            together = best.candidate
            for one in helpful:
                together = together.with_change(one.candidate.changes[-1])
            if len(helpful) > 1:
                best = _better(best, await task.score([together]))
            best = _better(best, helpful[:1])
        return [best.candidate] if best.candidate.changes else []


def _better(best: ScoredCandidate, others: Sequence[ScoredCandidate]) -> ScoredCandidate:
    return max([best, *others], key=lambda one: (one.score, -one.tokens))


async def _with_lessons(task: OptimizerTask) -> ScoredCandidate | None:
    said = "\n".join(task.parts.values())
    candidate = task.baseline.candidate
    for lesson in task.lessons[:_MOST_LESSONS]:
        if lesson.confidence >= _SURE and lesson.gain > 0 and lesson.change.instruction not in said:
            candidate = candidate.with_change(lesson.change)
    if not candidate.changes:
        return None
    scored = await task.score([candidate])
    return scored[0] if scored and scored[0].score - task.baseline.score > _LEAST_GAIN else None


def build(context: PluginContext) -> MockAIPromptOptimizer:
    return MockAIPromptOptimizer()


@hookimpl
def register_optimizer_strategies() -> list[OptimizerStrategySpec]:
    return [
        OptimizerStrategySpec(
            name="mock", factory=build, mock=True, summary="A mock: instructions known beforehand; no model is asked"
        )
    ]
