"""The guard in the engine: reporting, blocking, streams, the cache, the log."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from structlog.testing import capture_logs

from tests.chat.engine_world import EDWINA, ROBIN, Crm, World
from tilores_core.chat.grounding.guard import WITHHELD, Guard
from tilores_core.contracts import Answer, Customer, Delta, Prompt, Record
from tilores_core.settings import ChatTable
from tilores_core.testing import FakeReply

PERSON = Customer(
    id=EDWINA.id,
    name=EDWINA.name,
    records=(Record(id="r1", system="crm", fields={"credit_score": 742, "city": "Manchester", "balance": 1234.5}),),
    traits=EDWINA.traits,
)
GOOD = "The score is 742. The balance is 1,234.50."
WRONG = "The score is 742. The balance is 9,876.50. Anything else?"
PROMPT = Prompt(version="v", template="Answer from the records. Our line is (503) 555-0199. {customer}")
both_ways = pytest.mark.parametrize("streamed", [False, True])


def world(mode: str, *more: Customer) -> World:
    return World(chat=ChatTable.model_validate({"grounding": mode}), crm=Crm([PERSON, *more]))


async def ask(one: World, streamed: bool, *said: str, **turn: Any) -> tuple[str, Answer]:
    """What the caller reads, and the answer."""
    said = said or ("What is the score?",)
    turn = {"customer_id": PERSON.id, **turn}
    if not streamed:
        answer = await one.ask(*said, **turn)
        return answer.text, answer
    pieces, answer = await one.listen(*said, **turn)
    return "".join(piece.text for piece in pieces), answer


@both_ways
@pytest.mark.parametrize("mode", ["off", "report", "block"])
async def test_what_the_records_say_passes(mode: str, streamed: bool) -> None:
    async with world(mode) as one:
        one.provider.enqueue(GOOD)
        read, answer = await ask(one, streamed)
    assert read == answer.text == GOOD
    assert (answer.ungrounded, answer.finish_reason) == (0, "stop")


@both_ways
async def test_report_counts_and_logs_without_the_value(streamed: bool) -> None:
    with capture_logs() as logs:
        async with world("report") as one:
            one.provider.enqueue(WRONG)
            read, answer = await ask(one, streamed)
            again = (await ask(one, streamed))[1]
    assert read == answer.text == WRONG
    assert (answer.ungrounded, answer.finish_reason) == (1, "stop")
    assert (again.cache_tier, again.ungrounded) == ("l1", 1)
    assert one.engine._guard.counts.flagged == one.engine._guard.counts.checked == 1
    assert dict(one.engine._guard.counts.values) == {"number": 1}
    line = next(entry for entry in logs if entry["event"] == "grounding.flagged")
    assert line["number"] == 1
    assert not re.search("9.?876", repr(logs))
    assert one.outcomes[0].answer is not None
    assert one.outcomes[0].answer.ungrounded == 1


@both_ways
async def test_block_ends_the_answer_before_the_value_and_keeps_nothing(streamed: bool) -> None:
    async with world("block") as one:
        one.provider.enqueue(WRONG, GOOD)
        read, answer = await ask(one, streamed)
        assert read == answer.text == f"The score is 742. {WITHHELD}"
        assert (answer.ungrounded, answer.finish_reason) == (1, "content_filter")
        assert answer.usage.output_tokens > 0
        assert one.engine._guard.counts.blocked == 1
        assert (await ask(one, streamed))[1].text == GOOD
    assert one.calls == 2


@both_ways
async def test_off_looks_at_nothing(streamed: bool) -> None:
    async with world("off") as one:
        one.provider.enqueue(WRONG)
        read, answer = await ask(one, streamed)
    assert read == WRONG
    assert answer.ungrounded == 0
    assert one.engine._guard.counts.checked == 0


async def test_a_sentence_goes_out_before_the_next_is_there_and_only_when_it_is_whole() -> None:
    pieces = ("The sc", "ore is 7", "42. The bal", "ance is 1,2", "34.50.")
    async with world("block") as one:
        one.provider.enqueue(FakeReply(pieces=pieces))
        got, _ = await one.listen("What is the score?", customer_id=PERSON.id)
    assert [piece.text for piece in got] == ["The score is 742. ", "The balance is 1,234.50."]
    async with world("report") as one:
        one.provider.enqueue(FakeReply(pieces=pieces))
        got, _ = await one.listen("What is the score?", customer_id=PERSON.id)
    assert [piece.text for piece in got] == list(pieces)


@both_ways
async def test_another_customers_value_is_caught(streamed: bool) -> None:
    async with world("block", ROBIN) as one:
        one.provider.enqueue("Robin Ashdown was born on 8 August 1988.")
        read, answer = await ask(one, streamed)
    assert read == WITHHELD
    assert answer.ungrounded == 2


async def test_what_the_user_the_application_and_the_prompt_say_is_fine() -> None:
    async with world("report") as one:
        one.provider.enqueue("Yes, Zelda Finch paid 555.25 on 3 May; call (503) 555-0199.")
        prompt = Prompt(version="own", template=PROMPT.template)
        said = "Did Zelda Finch pay 555.25 on 3 May 2020?"
        assert (await ask(one, False, said, prompt=prompt))[1].ungrounded == 0


async def test_what_the_assistant_said_before_is_no_evidence() -> None:
    guard = Guard()
    watch = guard.watch(
        [
            {"role": "user", "content": "Her score?"},
            {"role": "assistant", "content": "It is 688."},
            {"role": "user", "content": "Sure?"},
        ],
        PROMPT,
    )
    assert watch is not None
    watch.about(PERSON)
    assert [claim.text for claim in watch.find_ungrounded("Yes, 688, not 742.")] == ["688"]


async def test_without_a_customer_only_identifying_values_are_looked_at() -> None:
    async with world("report") as one:
        one.provider.enqueue("Scores range from 300 to 850. Call (503) 555-0142 or write to zelda@example.com.")
        answer = await one.ask("What is a good credit score?")
    assert answer.customer.kind == "unnamed"
    assert answer.ungrounded == 2


async def test_two_customers_in_play() -> None:
    watch = Guard().watch([{"role": "user", "content": "Compare them."}], PROMPT)
    assert watch is not None
    other = Customer(id="C-2", name="Zelda Finch", records=(Record(id="x", system="crm", fields={"score": 688}),))
    watch.about(PERSON)
    watch.about(other)
    assert watch.find_ungrounded("Edwina Hawthorne has 742, Zelda Finch 688.") == []
    assert len(watch.find_ungrounded("Edwina Hawthorne has 741.")) == 1


async def test_the_index_is_made_once_for_a_fingerprint() -> None:
    guard = Guard()
    one = guard.records("f" * 64, "credit_score: 742", PERSON)
    assert guard.records("f" * 64, "credit_score: 742", PERSON) is one


async def test_a_blocked_answer_calls_no_tools() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}
    async with world("block") as one:
        one.provider.enqueue(FakeReply(text="It is 9,876.50.", tool_calls=(call,), finish_reason="tool_calls"))
        answer = (await ask(one, False))[1]
    assert answer.tool_calls == ()
    assert answer.finish_reason == "content_filter"


sentences = st.lists(
    st.sampled_from(
        ["The score is 742. ", "It is 9,876.50. ", "Dr. Finch? ", "Hm… ", "No!\n", "1. First ", "客。", "x "]
    ),
    max_size=8,
)


@given(sentences, st.lists(st.integers(1, 12), min_size=1, max_size=40), st.booleans())
@settings(max_examples=150)
def test_the_pieces_make_no_difference(parts: list[str], cuts: list[int], block: bool) -> None:
    """Streamed in whatever pieces or not at all, the caller reads the same; nothing wrong gets through a block."""
    text = "".join(parts)

    def run(pieces: list[str]) -> tuple[str, str, int, str]:
        watch = Guard("block" if block else "report").watch([{"role": "user", "content": "?"}], PROMPT)
        assert watch is not None
        watch.about(PERSON, known="f")
        read: list[str] = []

        def emit(delta: Delta) -> None:
            read.append(delta.text)

        through = watch.through(emit)
        for piece in pieces:
            through(Delta(text=piece))
        said = watch.finish(text, "stop", emit if pieces else None)
        return *said, "".join(read)

    pieces: list[str] = []
    at = 0
    while at < len(text):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(text[at : at + size])
        at += size
    streamed, whole = run(pieces), run([])
    assert streamed[:3] == whole[:3]
    assert not pieces or streamed[3] == streamed[0]
    if block:
        assert "9,876" not in streamed[0]
        assert (streamed[1] == "content_filter") == streamed[0].endswith(WITHHELD)
    else:
        assert streamed[0] == text
