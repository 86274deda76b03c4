"""Conversations about invented customers: how often is it the wrong one, and how often is a clear request refused?

    python -m benchmarks.customers.bench_conversations [--count 20000] [--seed 0] [--show 3]

Prints the table of docs/customers.md. Ends with 1 when a customer was wrong or more than 3 % of the consistent
requests were refused.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from benchmarks.customers.conversations import make_conversation
from benchmarks.customers.judge import Score, judge

MOST_REFUSED = 0.03


def table(scores: dict[str, Score]) -> str:
    """The scores as a table of Markdown."""
    total = Score()
    lines = [
        "| kind | conversations | wrong customer | consistent | needlessly refused |",
        "| --- | --: | --: | --: | --: |",
    ]
    for kind, score in sorted(scores.items()):
        lines.append(_row(kind.replace("_", " "), score))
        total.count += score.count
        total.wrong += score.wrong
        total.consistent += score.consistent
        total.refused += score.refused
    lines.append(_row("all", total))
    return "\n".join(lines)


def _row(kind: str, score: Score) -> str:
    return f"| {kind} | {score.count} | {score.wrong} | {score.consistent} | {score.refused} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first conversation")
    parser.add_argument("--show", type=int, default=3, help="examples to show of each kind that went wrong")
    chosen = parser.parse_args()
    talks = [make_conversation(seed) for seed in range(chosen.seed, chosen.seed + chosen.count)]
    scores = asyncio.run(judge(talks, examples=chosen.show))
    print(table(scores))
    for kind, score in scores.items():
        for example in score.examples:
            print(f"{kind}: {example}")
    wrong = sum(score.wrong for score in scores.values())
    refused = sum(score.refused for score in scores.values())
    consistent = sum(score.consistent for score in scores.values())
    return 1 if wrong or refused > MOST_REFUSED * consistent else 0


if __name__ == "__main__":
    sys.exit(main())
