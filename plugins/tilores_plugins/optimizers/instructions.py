"""What the strategies share: what faults mean, how cases are shown, how replies are read, and their registration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tilores_core import (
    FAULTS,
    Candidate,
    Change,
    Fault,
    OptimizerStrategy,
    OptimizerStrategySpec,
    OptimizerTask,
    ScoredCandidate,
    ScoredCase,
    hookimpl,
    rank_candidates,
)

MEANINGS: Final[Mapping[Fault, str]] = {
    "inexact": "a value was wrong, outdated, without its unit, or not as the records have it",
    "incomplete": "a fact that was asked for was left out",
    "unsupported": "a value was stated that the records do not bear out",
    "invented": "a value was given although the records hold none",
    "refused": "the answer said that the records hold nothing, although they do",
    "format": "it was long, had markup, or gave values that were not asked for",
}
LEAST_GAIN: Final = 0.002
"""Of the mean score; less is not worth a longer prompt."""

_LONGEST: Final = 300
_LESSONS_SHOWN: Final = 5
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_RULES: Final = """\
Instructions are one sentence each, general, and never mention a customer or a value.
Reply with a JSON list alone: [{{"part": "one of {parts}", "instruction": "…"}}].
{lessons}
<parts>
{texts}
</parts>
<questions>
{cases}
</questions>"""


class StrategySettings(BaseModel):
    """Those of one strategy; a name that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid")


def register(strategy: Callable[[Any], OptimizerStrategy], **spec: Any) -> Callable[[], list[OptimizerStrategySpec]]:
    """The hook of a plugin with one strategy, which is made of its settings. `spec`: as `OptimizerStrategySpec`."""

    @hookimpl
    def register_optimizer_strategies() -> list[OptimizerStrategySpec]:
        return [OptimizerStrategySpec(factory=lambda context: strategy(context.settings), **spec)]

    return register_optimizer_strategies


def build_request(
    begin: str, task: OptimizerTask, parts: Mapping[str, str], cases: Iterable[ScoredCase], faults: Sequence[Fault]
) -> str:
    """What a reflection model is asked: `begin`, the rules for its reply, lessons, the parts and the cases."""
    lessons = [one for one in task.lessons if one.change.fault in faults][:_LESSONS_SHOWN]
    return begin + _RULES.format(
        parts=", ".join(parts),
        lessons="".join(
            f"\nTried before, changed the score by {one.gain:+.3f}: {one.change.instruction}" for one in lessons
        ),
        texts="\n".join(f"[{name}]\n{text}" for name, text in parts.items()),
        cases="\n".join(describe_case(case) for case in cases),
    )


def describe_case(case: ScoredCase) -> str:
    return f"- {case.question} (score {case.score:.2f}; {', '.join(case.faults) or 'good'})"


def count_faults(cases: Sequence[ScoredCase]) -> dict[Fault, int]:
    """The faults that there are, the most frequent first."""
    counts = {fault: sum(fault in case.faults for case in cases) for fault in FAULTS}
    return dict(sorted(((fault, count) for fault, count in counts.items() if count), key=lambda one: -one[1]))


def read_changes(reply: str, parts: Mapping[str, str], *, fault: Fault | None, most: int) -> list[Change]:
    """The instructions of a reply; what is not as asked for, or is in the prompt already, is passed over."""
    found = _LIST.search(reply)
    try:
        rows = json.loads(found[0]) if found else []
    except ValueError:
        return []
    changes = []
    said = "\n".join(parts.values())
    for row in rows if isinstance(rows, list) else []:
        part, text = (row.get("part"), row.get("instruction")) if isinstance(row, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(part, str) or part not in parts:
            continue
        text = " ".join(text.split())
        if 0 < len(text) <= _LONGEST and text not in said:
            changes.append(Change(part=part, instruction=text, fault=fault))
    return changes[:most]


async def score_changes(
    task: OptimizerTask, parent: ScoredCandidate, children: Sequence[Candidate], *, keep: int
) -> list[ScoredCandidate]:
    """The best `keep` of the children, the changes that helped `parent` alone put together, and `parent`, best first.

    Raises as `OptimizerTask.score`.
    """
    scored = await task.score(children, keep=keep)
    helpful = [
        one.candidate.changes[-1]
        for one in rank_candidates(scored)
        if one.candidate.changes
        and one.candidate.changes[:-1] == parent.candidate.changes
        and one.score - parent.score > LEAST_GAIN
    ]
    if len(helpful) > 1:
        scored += await task.score([parent.candidate.with_change(*helpful)])
    return rank_candidates([*scored, parent])
