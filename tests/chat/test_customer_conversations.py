"""Whole conversations: never about the wrong customer, and few clear requests are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.customers.bench_conversations import MOST_REFUSED
from benchmarks.customers.conversations import KINDS, make_conversation
from benchmarks.customers.judge import judge
from tests.sources.file_world import make
from tilores_core.chat.customer.finder import CustomerFinder, Resolution, clarification
from tilores_core.contracts import Message
from tilores_core.spectrums import classify

COUNT = 1_000
FOLDER = Path(__file__).parents[1] / "data" / "conversations"
ROLES: dict[str, Any] = {"@A ": "assistant", "@S ": "system", "@T ": "tool"}
ASKED_BACK = ("none", "several", "unnamed")


async def last_of(finder: CustomerFinder, turns: list[str]) -> Resolution | None:
    """What comes of the last turn, the assistant answering as the product does."""
    messages: list[Message] = []
    said: list[str] = []
    found = None
    for turn in turns:
        if turn[:3] in ROLES:
            messages.append({"role": ROLES[turn[:3]], "content": turn[3:]})
            continue
        messages.append({"role": "user", "content": turn})
        found = await finder.resolve(messages, None, spectrum=classify(turn))
        asks = found.outcome.kind in ("none", "several")
        said.append(clarification(found.outcome, said) if asks else "Certainly.")
        messages.append({"role": "assistant", "content": said[-1]})
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
async def test_written_conversations_are_about_the_right_customer_or_none(path: Path) -> None:
    """A line is a conversation: its turns between `||`, then what may come of it (`-`: the user is asked)."""
    first, *lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#")
    name, *settings = first.removeprefix("file: ").split()
    options = dict(setting.split("=") for setting in settings)
    source = make(FOLDER / name, reload_seconds=0, **options)
    await source.schema()
    order = {"true": True}.get(options.get("day_first", ""))
    finder = CustomerFinder(source, options.get("phone_region", "US"), day_first=order)
    wrong = []
    for line in lines:
        said, _, wanted = line.rpartition(" => ")
        turns = [turn.strip() for turn in _plain(said).split(" || ")]
        found = await last_of(finder, turns)
        assert found is not None
        who = found.outcome.customer_id or found.outcome.kind
        right = wanted.split("/")
        if who not in right and not ("-" in right and who in ASKED_BACK):
            wrong.append(f"{line}: {who} ({found.reason})")
    await source.aclose()
    assert wrong == []


def _plain(line: str) -> str:
    """The line with its escapes (`\\n`, `\\u200b`) read."""
    for code in ("200b", "200e", "202e", "feff", "00a0", "0009"):
        line = line.replace(f"\\u{code}", chr(int(code, 16)))
    return line.replace("\\n", "\n")


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
