"""The strategy `critique`: a model criticises failed answers and proposes instructions; the best few go on (a beam).

After Pryzant et al., arXiv 2305.03495 (ProTeGi), with instructions added to parts of the prompt instead of one text.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import (
    FAULTS,
    Candidate,
    Change,
    Fault,
    OptimizerStrategySpec,
    OptimizerTask,
    PluginContext,
    ScoredCandidate,
    ScoredCase,
    hookimpl,
)

_FAULTS: Final = {
    "inexact": "a value was wrong, outdated, without its unit, or not as the records have it",
    "incomplete": "a fact that was asked for was left out",
    "unsupported": "a value was stated that the records do not bear out",
    "invented": "a value was given although the records hold none",
    "refused": "the answer said that the records hold nothing, although they do",
    "format": "it was long, had markup, or gave values that were not asked for",
}
_CASES_SHOWN: Final = 6
_LESSONS_SHOWN: Final = 5
_PROPOSALS: Final = 4
_LONGEST: Final = 300
_LEAST_GAIN: Final = 0.002
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_ASKED: Final = """\
You improve the instructions of an assistant that answers questions about a customer from records. Below are the
parts of its instructions, and questions that it answered badly in one way: {fault}: {meaning}.
Say to yourself what in the instructions lets this happen. Then write at most {most} different instructions of one
sentence each, general ones that would prevent it; never mention a customer or a value.
Reply with a JSON list alone: [{{"part": "one of {parts}", "instruction": "…"}}].
{lessons}
<parts>
{texts}
</parts>
<questions>
{cases}
</questions>"""


class CritiqueSettings(BaseModel):
    """Settings of the `critique` strategy. `rounds` of criticism; `beam`: how many candidates go on after each."""

    model_config = ConfigDict(extra="forbid")

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
                for fault in _faults(parent.cases):
                    prompt = _criticism(task, parent, fault, dice)
                    if prompt not in replies:
                        replies[prompt] = await task.reflect(prompt)
                    changes += _read(replies[prompt], fault, parent)
                children += [parent.candidate.with_change(change) for change in changes]
                # The first proposal for each fault together: faults are often independent of each other.
                firsts = {change.fault: change for change in reversed(changes)}
                if len(firsts) > 1:
                    children.append(_combine(parent.candidate, list(reversed(firsts.values()))))
            if not children:
                break
            scored = await task.score(children, keep=max(self._settings.beam, len(children) // 2))
            merged = _merge(beam[0], scored)
            if merged is not None:
                scored += await task.score([merged])
            best = beam[0].score
            ranked = sorted([*scored, *beam], key=lambda one: (-one.score, one.tokens))
            beam = ranked[: self._settings.beam]
            if beam[0].score - best <= _LEAST_GAIN:
                break
        return [one.candidate for one in beam if one.candidate.changes and one.score > task.baseline.score]


def _merge(parent: ScoredCandidate, scored: Sequence[ScoredCandidate]) -> Candidate | None:
    """All single changes of the best parent that helped, together."""
    count = len(parent.candidate.changes)
    helpful = [
        one.candidate.changes[-1]
        for one in sorted(scored, key=lambda one: -one.score)
        if len(one.candidate.changes) == count + 1
        and one.candidate.changes[:count] == parent.candidate.changes
        and one.score - parent.score > _LEAST_GAIN
    ]
    return _combine(parent.candidate, helpful) if len(helpful) > 1 else None


def _combine(candidate: Candidate, changes: Sequence[Change]) -> Candidate:
    for change in changes:
        candidate = candidate.with_change(change)
    return candidate


def _faults(cases: Sequence[ScoredCase]) -> list[Fault]:
    """The faults that there are, the most frequent first."""
    counts = {fault: sum(fault in case.faults for case in cases) for fault in FAULTS}
    return sorted((fault for fault in FAULTS if counts[fault]), key=lambda fault: -counts[fault])


def _criticism(task: OptimizerTask, parent: ScoredCandidate, fault: Fault, dice: random.Random) -> str:
    failed = [case for case in parent.cases if fault in case.faults]
    shown = dice.sample(failed, min(_CASES_SHOWN, len(failed)))
    lessons = [one for one in task.lessons if one.change.fault == fault][:_LESSONS_SHOWN]
    tried = "".join(
        f"\nTried before, changed the score by {one.gain:+.3f}: {one.change.instruction}" for one in lessons
    )
    return _ASKED.format(
        fault=fault,
        meaning=_FAULTS[fault],
        most=_PROPOSALS,
        parts=", ".join(parent.candidate.parts),
        lessons=tried,
        texts="\n".join(f"[{name}]\n{text}" for name, text in parent.candidate.parts.items()),
        cases="\n".join(f"- {case.question} (score {case.score:.2f})" for case in shown),
    )


def _read(reply: str, fault: Fault, parent: ScoredCandidate) -> list[Change]:
    """The instructions of a reply; what is not as asked for is passed over."""
    found = _LIST.search(reply)
    try:
        rows = json.loads(found[0]) if found else []
    except ValueError:
        return []
    changes = []
    said = "\n".join(parent.candidate.parts.values())
    for row in rows if isinstance(rows, list) else []:
        part, text = (row.get("part"), row.get("instruction")) if isinstance(row, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(part, str) or part not in parent.candidate.parts:
            continue
        text = " ".join(text.split())
        if 0 < len(text) <= _LONGEST and text not in said:
            changes.append(Change(part=part, instruction=text, fault=fault))
    return changes[:_PROPOSALS]


def build(context: PluginContext) -> CritiqueOptimizer:
    return CritiqueOptimizer(context.settings)


@hookimpl
def register_optimizer_strategies() -> list[OptimizerStrategySpec]:
    return [
        OptimizerStrategySpec(
            name="critique",
            factory=build,
            settings=CritiqueSettings,
            reflects=True,
            summary="A model criticises failed answers and proposes instructions; the best go on",
        )
    ]
