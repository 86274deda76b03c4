"""Records within a model's window: estimated, shortened, for each model of the chain anew, and said to be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.chat.engine_world import EDWINA, Crm, World, question
from tilores_core.chat.context.estimate import estimate_tokens
from tilores_core.chat.records import render, shorten
from tilores_core.contracts import Customer, ModelInfo, Record
from tilores_core.errors import ProviderUnavailableError
from tilores_core.settings import ChatTable, RoutingTable
from tilores_core.spectrums import SPECTRUMS
from tilores_core.testing import FakeProvider

LARGE = Customer(
    id=EDWINA.id,
    name=EDWINA.name,
    records=(
        Record(
            id="r1",
            system="crm",
            fields={f"note_{number}": f"text {number} " * 20 for number in range(400)}
            | {"credit_score": 742, "city": "Leeds"},
        ),
    ),
)
NOTE = re.compile(r"^\(left out for length: (\d+) of (\d+) fields(?:: ([^)]*))?\)$", re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("a" * 11, 4), ("é" * 10, 10), ("客" * 10, 15), ("😀" * 10, 20), ("a" * 11 + "é", 5)],
)
def test_the_estimate_is_as_documented(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(st.characters()), st.text(st.characters()))
def test_two_texts_take_no_less_apart_than_joined(one: str, other: str) -> None:
    assert estimate_tokens(one) + estimate_tokens(other) >= estimate_tokens(one + other)


values = st.text(max_size=30) | st.integers() | st.lists(st.text(max_size=8), max_size=3) | st.booleans()
names = st.sampled_from(["credit_score", "city", "email", "last_call_on", "shoes", "note"]) | st.text(max_size=12)
customers = st.builds(
    lambda rows: Customer(
        id="C-1",
        name="Edwina Hawthorne",
        records=tuple(Record(id=f"r{n}", system="crm", fields=fields) for n, fields in enumerate(rows)),
    ),
    st.lists(st.dictionaries(names, values, max_size=12), max_size=4),
)


@given(customers, st.integers(0, 400), st.sampled_from([None, *(s.name for s in SPECTRUMS)]))
@settings(max_examples=200)
def test_a_budget_in_tokens_is_kept_and_what_is_left_out_is_said(
    one: Customer, budget: int, spectrum: str | None
) -> None:
    whole = render(one)
    text = shorten(whole, budget, spectrum=spectrum, measure=estimate_tokens)
    fields = [line for line in whole.split("\n")[1:-1] if not line.startswith("[")]
    kept = [line for line in text.split("\n")[1:-1] if not line.startswith(("[", "("))]
    assert text.count("</records>") == 1
    assert set(kept) <= set(fields)
    if text == whole:
        assert estimate_tokens(whole) <= budget
        return
    note = NOTE.search(text)
    assert note
    assert (int(note[1]), int(note[2])) == (len(fields) - len(kept), len(fields))
    if note[3]:
        assert sum(int(part.rpartition(" ")[2]) for part in note[3].split(", ")) == int(note[1])
    least = "\n".join((whole.split("\n")[0], note[0], "</records>"))
    assert estimate_tokens(text) <= budget or text == least


def test_what_is_left_out_is_said_by_section_where_there_is_room() -> None:
    text = shorten(render(LARGE), 4_000, spectrum="credit_analysis", measure=estimate_tokens)
    note = NOTE.search(text)
    assert note
    assert note[3].startswith("Other ")
    assert "credit_score: 742" in text


def provider(name: str, window: int | None) -> FakeProvider:
    return FakeProvider(name, (ModelInfo(id="m", context_window=window, max_output_tokens=256),))


class Chain(World):
    def __init__(self, one: FakeProvider, two: FakeProvider, **more: Any) -> None:
        crm = Crm([LARGE])
        super().__init__(providers={"one": one, "two": two}, model="one:m", fallbacks=["two:m"], crm=crm, **more)


async def ask(world: World, **turn: Any) -> None:
    await world.ask("What is the credit score?", customer_id=LARGE.id, **turn)


async def test_a_fallback_with_a_smaller_window_gets_less() -> None:
    one, two = provider("one", 128_000), provider("two", 8_000)
    one.enqueue(ProviderUnavailableError("down", provider="one"))
    two.enqueue("742.")
    async with Chain(one, two) as world:
        await ask(world)
    assert render(LARGE) in one.asked[0].system
    small = two.asked[0].system
    assert NOTE.search(small)
    assert estimate_tokens(small) <= 8_000 - 256
    assert "credit_score: 742" in small


@pytest.mark.parametrize(
    ("window", "chat", "routing", "most"),
    [
        (None, ChatTable(default_context_window=4_000), RoutingTable(attempts=1), 2_000),
        (20_000, ChatTable(records_share=0.1), RoutingTable(attempts=1), 2_000),
        (128_000, ChatTable(), RoutingTable(attempts=1, context_windows={"one:m": 6_000}), 3_000),
    ],
)
async def test_where_the_window_comes_from(
    window: int | None, chat: ChatTable, routing: RoutingTable, most: int
) -> None:
    one = provider("one", window)
    one.enqueue("742.")
    async with Chain(one, provider("two", None), chat=chat, routing=routing) as world:
        await ask(world)
    block = one.asked[0].system
    block = block[block.index("<records customer=") : block.index("\n</records>") + 11]
    assert NOTE.search(block)
    assert most * 0.9 <= estimate_tokens(block) <= most


async def test_a_long_conversation_and_a_long_answer_leave_less() -> None:
    one = provider("one", 16_000)
    one.enqueue("742.", "742.", "742.")
    async with Chain(one, provider("two", None), chat=ChatTable(records_share=1.0)) as world:
        await ask(world)
        await world.ask("word " * 4_000, "What is the credit score?", customer_id=LARGE.id)
        await ask(world, parameters={"max_tokens": 9_000})
    lengths = [estimate_tokens(call.system) for call in one.asked]
    assert lengths[0] > lengths[1] + 6_000
    assert lengths[0] > lengths[2] + 6_000
    for call, answer in zip(one.asked, (256, 256, 9_000), strict=True):
        assert estimate_tokens(call.text) + answer <= 16_000


async def test_a_customer_who_fits_is_given_as_rendered_once() -> None:
    async with World() as world:
        world.provider.enqueue("742.")
        await world.ask()
    assert render(EDWINA) in world.provider.asked[0].system


@pytest.mark.parametrize(
    "chat", [ChatTable(records_share=0.2), ChatTable(default_context_window=9_000), ChatTable(grounding="block")]
)
async def test_settings_that_change_what_is_told_change_the_key(chat: ChatTable) -> None:
    async with World() as one, World(chat=chat, crm=one.crm, clock=one.clock) as other:
        for world in (one, other):
            world.provider.enqueue("742.")
            await world.ask()
        keys = {world.key(question()) for world in (one, other)}
        assert len(keys) == 2
        assert None not in keys
