"""What strategies that ask a reflection model share: what faults mean, how cases are shown, how replies are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tilores_core import FAULTS, Candidate, Change, Fault, OptimizerTask, ScoredCandidate, ScoredCase

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


def combine(candidate: Candidate, changes: Iterable[Change]) -> Candidate:
    """All changes together."""
    for change in changes:
        candidate = candidate.with_change(change)
    return candidate


async def score_changes(
    task: OptimizerTask, parent: ScoredCandidate, children: Sequence[Candidate], *, keep: int
) -> list[ScoredCandidate]:
    """The best `keep` of the children, the changes that helped `parent` alone put together, and `parent`, best first.

    Raises as `OptimizerTask.score`.
    """
    scored = await task.score(children, keep=keep)
    count = len(parent.candidate.changes)
    helpful = [
        one.candidate.changes[-1]
        for one in rank(scored)
        if one.candidate.changes[:-1] == parent.candidate.changes
        and len(one.candidate.changes) == count + 1
        and one.score - parent.score > LEAST_GAIN
    ]
    if len(helpful) > 1:
        scored += await task.score([combine(parent.candidate, helpful)])
    return rank([*scored, parent])


def rank(scored: Iterable[ScoredCandidate]) -> list[ScoredCandidate]:
    """Best first; of equal ones the shorter."""
    return sorted(scored, key=lambda one: (-one.score, one.tokens))
