"""Generated conversations: never the wrong customer, and few clear requests are refused."""

from __future__ import annotations

import pytest

from benchmarks.customers.bench_conversations import MOST_REFUSED
from benchmarks.customers.conversations import KINDS, make_conversation
from benchmarks.customers.judge import judge

COUNT = 1_500


@pytest.mark.slow
async def test_generated_conversations_are_never_about_the_wrong_customer() -> None:
    talks = [make_conversation(seed) for seed in range(COUNT)]
    assert {talk.kind for talk in talks} == set(KINDS)
    scores = await judge(talks, examples=3)
    wrong = [example for score in scores.values() for example in score.examples if example.startswith("WRONG")]
    assert wrong == []
    consistent = sum(score.consistent for score in scores.values())
    refused = sum(score.refused for score in scores.values())
    assert refused <= MOST_REFUSED * consistent


def test_conversation_of_a_seed_is_always_the_same() -> None:
    assert make_conversation(7) == make_conversation(7)
