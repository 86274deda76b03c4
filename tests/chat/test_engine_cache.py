"""Which answers are kept, for whom, and for how long. Each reply of the model differs, so that a hit shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from typing import Any

import msgspec
import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, PRICED, ROBIN, World, customer, question, table
from tilores_core.cache.keys import namespace_of, wire_key
from tilores_core.chat.prompts import BUILTIN, BUILTIN_PARTS, build_prompt
from tilores_core.chat.turn_context import KeyMemo
from tilores_core.contracts import CachePolicy, Caller, Message, Prompt, PromptChoice, Turn
from tilores_core.errors import ProviderUnavailableError
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import settle

NO_CACHE = CachePolicy(no_cache=True)
NO_STORE = CachePolicy(no_store=True)
CALL = {"id": "c1", "type": "function", "function": {"name": "transfer", "arguments": "{}"}}


def numbered() -> Callable[[FakeCall], str]:
    numbers = count(1)
    return lambda call: f"answer {next(numbers)}"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(provider=FakeProvider(infos=(PRICED,), otherwise=numbered())) as world:
        yield world


# --- hits ------------------------------------------------------------------------------------------------


async def test_the_second_time_is_a_hit(world: World) -> None:
    first = await world.ask()
    world.clock.advance(7)
    second = await world.ask()
    assert second == msgspec.structs.replace(first, cache_tier="l1", age=7.0, cost=0.0)
    assert first.cost
    assert world.calls == 1
    assert world.crm.calls == ["find Edwina Hawthorne"]


async def test_the_peek_finds_the_hit_without_asking_anybody(world: World) -> None:
    turn = question()
    assert world.key(turn) is None
    first = await world.engine.answer(turn)
    asked = len(world.crm.calls)
    key = world.key(turn)
    assert key is not None
    hit = world.peek(turn, key)
    assert hit is not None
    assert hit.tier == "l1"
    assert first.text.encode() in hit.value
    assert len(world.crm.calls) == asked


class OnePrompt:
    """A `PromptSource`."""

    prompt = BUILTIN
    varies = False

    def choose(self, turn: Turn, model: str) -> PromptChoice:
        return PromptChoice(self.prompt)


async def test_a_repeated_request_begins_again_with_the_prompt_of_now_and_for_its_caller_alone() -> None:
    prompts = OnePrompt()
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, prompts=prompts, observers=()) as world:
        turn, memo = question(), KeyMemo()
        await world.engine.answer(turn)
        assert world.engine.begin_again(memo, turn.caller) is None, "it was not answered from memory yet"
        context = world.engine.begin(turn, memo)
        assert world.engine.get_cached_reply(context, "p", lambda answer: answer.text.encode(), "run") is not None
        assert world.engine.begin_again(memo, turn.caller) is context
        assert world.engine.begin_again(memo, Caller(name="other")) is None
        prompts.varies = True
        assert world.engine.begin_again(memo, turn.caller) is None, "its arm may be another than before"
        prompts.varies = False
        prompts.prompt = build_prompt(2, {**BUILTIN_PARTS, "role": "You are brief."})
        again = world.engine.begin_again(memo, turn.caller)
        assert again is not None
        assert again.prompt is prompts.prompt
        assert world.engine.get_cached_reply(again, "p", lambda answer: b"", "run") is None
        assert world.engine.begin(turn, memo, like=again).prompt is prompts.prompt


async def test_the_peek_does_no_io() -> None:
    store = SharedStore()
    async with World(provider=FakeProvider(infos=(PRICED,), otherwise="one"), store=store) as world:
        store.clock = world.clock
        await world.ask()
        asked = world.shared.calls
        key = world.key(question())
        assert key is not None
        assert world.peek(question(), key) is not None
        assert world.key(question("Somebody else?")) is None
        assert world.shared.calls == asked


async def test_a_new_question_that_names_no_customer_reads_the_tiers_below_once() -> None:
    async with World(provider=FakeProvider(infos=(PRICED,), otherwise="one"), store=SharedStore()) as world:
        asked = world.shared.calls
        turn = question("What can you do?")
        assert await world.find_stored(turn, KeyMemo()) is None
        assert world.shared.calls - asked == 1, "what it names, and the answer for no customer"
        assert (await world.ask("What can you do?")).cache_tier == "miss"


async def test_an_answer_says_for_a_while_that_its_conversation_names_no_customer() -> None:
    """What is not named is stored only when it was read again."""
    store, asked = SharedStore(), "What are your opening hours?"
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, store=store, answers=table(1000), customers=table(100)) as world:
        store.clock = world.clock
        first = await world.ask(asked)

        def stored() -> set[str]:
            return {namespace_of(key) for key in store.entries}

        await settle()
        assert stored() == {"answers"}
        for seconds in (0, 99):
            world.clock.advance(seconds)
            assert world.engine.get_from_memory(question(asked)) is not None
        world.clock.advance(2)
        assert world.engine.get_from_memory(question(asked)) is None
        again = await world.ask(asked)
        assert (again.text, again.cache_tier) == (first.text, "l1")
        await settle()  # it is written behind the request
        assert stored() == {"answers", "mentions"}
        assert world.engine.get_from_memory(question(asked)) is not None
        async with World(provider=provider, store=store, answers=table(1000), customers=table(100)) as other:
            other.clock.advance(101)
            assert (await other.ask(asked)).text == first.text
        assert world.calls == 1


async def test_an_answer_for_no_customer_is_not_one_of_other_rules(world: World) -> None:
    asked = question("What are your opening hours?")
    await world.engine.answer(asked)
    world.lookup.unnamed_mark += "newer"
    assert world.engine.get_from_memory(asked) is None
    assert (await world.engine.answer(asked)).cache_tier == "miss"


async def test_the_same_request_again_reads_the_tiers_below_once() -> None:
    store = SharedStore()
    provider = FakeProvider(infos=(PRICED,), otherwise="one")
    async with World(provider=provider, store=store, memory=False) as world:
        store.clock = world.clock
        await world.ask()
        memo = KeyMemo()
        for expected in (3, 1, 1):  # whom it names, the fingerprint, the answer; then all at once
            asked = world.shared.calls
            assert await world.find_stored(question(), memo) is not None
            assert world.shared.calls - asked == expected
        await world.cache.invalidate(tags=[f"customer:{EDWINA.id}"])
        assert await world.find_stored(question(), memo) is None


async def test_a_remembered_key_is_made_anew_for_another_scope(world: World) -> None:
    memo = KeyMemo()
    await world.ask()
    first = world.key(question(), memo)
    other = world.key(question(caller=Caller(name="x", scope="back office")), memo)
    assert first is not None
    assert first != other
    assert other == world.key(question(caller=Caller(name="x", scope="back office")))
    assert first == world.key(question(), memo)


async def test_the_peek_finds_the_bytes_made_of_an_answer(world: World) -> None:
    turn, limited = question(), question(cache=CachePolicy(max_age=5))
    await world.engine.answer(turn)
    key = world.key(turn)
    assert key is not None
    hit = world.peek(turn, key)
    assert hit is not None
    stored = wire_key(key, "sse")
    world.cache.put_in_memory(stored, b"data: answer 1", hit)
    for asked, seconds, found in ((turn, 0, True), (limited, 5, True), (limited, 1, False), (turn, 0, True)):
        world.clock.advance(seconds)
        wire = world.peek(asked, stored)
        assert (wire is not None and wire.value == b"data: answer 1") is found
    await world.cache.invalidate(tags=[f"customer:{EDWINA.id}"])
    assert world.peek(turn, stored) is None


async def test_the_peek_works_for_a_general_question_and_for_a_given_id(world: World) -> None:
    for turn in (question("What are your opening hours?"), question("Score?", customer_id=EDWINA.id)):
        await world.engine.answer(turn)
        key = world.key(turn)
        assert key is not None
        assert world.peek(turn, key) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": "r-2"},
        {"session_id": "s-2"},
        {"run_id": "00000000-0000-0000-0000-000000000002"},
        {"caller": Caller(name="somebody else of the same scope")},
        {"purpose": "prewarm"},
        {"deadline": 5.0},
        {"model": "fake-1"},
        {"cache": CachePolicy(max_age=3600)},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_does_not_matter_shares_the_answer(world: World, change: dict[str, Any]) -> None:
    await world.ask()
    turn = question(**change)
    key = world.key(turn)
    assert key is not None
    assert world.peek(turn, key) is not None
    assert (await world.engine.answer(turn)).text == "answer 1"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "fake:fake-2"},
        {"parameters": {"temperature": 0.1}},
        {"parameters": {"stop": ["."]}},
        {"prompt": Prompt(version="v2", template="{customer}")},
        {"caller": Caller(scope="other")},
        {"messages": ({"role": "user", "content": ABOUT_EDWINA + " "},)},
        {"messages": ({"role": "system", "content": "Be brief."}, {"role": "user", "content": ABOUT_EDWINA})},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_matters_makes_another_answer(world: World, change: dict[str, Any]) -> None:
    await world.ask()
    turn = question(**change)
    key = world.key(turn)
    assert key is None or world.peek(turn, key) is None
    assert (await world.engine.answer(turn)).text == "answer 2"
    assert (await world.ask()).text == "answer 1"


async def test_another_given_customer_makes_another_answer(world: World) -> None:
    assert (await world.ask("Score?", customer_id=EDWINA.id)).text == "answer 1"
    assert (await world.ask("Score?", customer_id=ROBIN.id)).text == "answer 2"
    assert (await world.ask("Score?", customer_id=EDWINA.id)).text == "answer 1"


async def test_changed_records_make_another_answer() -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, customers=table(60)) as world:
        await world.ask(customer_id=EDWINA.id)
        world.crm.change(EDWINA.id, "mark-new")
        answer = await world.ask(customer_id=EDWINA.id, cache=NO_CACHE)
        assert answer.text == "answer 2"
        assert "mark-new" in provider.asked[-1].text
        assert (await world.ask(customer_id=EDWINA.id)).text == "answer 2"


async def test_a_changed_schema_makes_another_answer(world: World) -> None:
    await world.ask()
    world.crm.fields = ("credit_score", "city", "employer")
    await world.lookup.refresh_schema()
    assert (await world.ask()).text == "answer 2"


async def test_customers_without_records_do_not_share() -> None:
    """Their records are the same (none), they are not."""
    people = [replace(customer(*who, ""), records=()) for who in (("A-1", "Ann Bell"), ("B-2", "Bob Cole"))]
    provider = FakeProvider(infos=(PRICED,), otherwise=lambda call: call.system)
    async with World(provider=provider) as world:
        world.crm.people = {person.id: person for person in people}
        first = await world.ask("Who is it?", customer_id="A-1")
        second = await world.ask("Who is it?", customer_id="B-2")
    assert "Ann Bell" in first.text
    assert "Bob Cole" in second.text
    assert "Ann Bell" not in second.text


# --- what a request may demand ---------------------------------------------------------------------------


async def test_an_answer_too_old_is_made_again(world: World) -> None:
    await world.ask(customer_id=EDWINA.id)
    world.clock.advance(50)
    limited = question(customer_id=EDWINA.id, cache=CachePolicy(max_age=49))
    key = world.key(limited)
    assert key is None or world.peek(limited, key) is None
    answer = await world.engine.answer(limited)
    assert (answer.text, answer.age) == ("answer 2", 0.0)
    assert (await world.ask(customer_id=EDWINA.id)).text == "answer 2"
    assert (await world.ask(customer_id=EDWINA.id, cache=CachePolicy(max_age=0))).text == "answer 2"


@pytest.mark.parametrize("customer_id", [EDWINA.id, None], ids=["by id", "by name"])
async def test_records_too_old_are_asked_for_again(world: World, customer_id: str | None) -> None:
    await world.ask(customer_id=customer_id)
    world.clock.advance(50)
    world.crm.change(EDWINA.id, "mark-new")
    await world.ask(customer_id=customer_id, cache=CachePolicy(max_age=49))
    assert "mark-new" in world.provider.asked[-1].text
    assert "mark-edwina" not in world.provider.asked[-1].text.replace("mark-edwina-billing", "")


async def test_whom_it_is_about_may_not_be_older_either(world: World) -> None:
    """A namesake has come meanwhile: an old look-up would answer about the one that was there first."""
    await world.ask()
    world.clock.advance(50)
    namesake = customer("EDW_HAWTHORNE_002", EDWINA.name or "", "mark-namesake", born="1990-01-01")
    world.crm.people[namesake.id] = namesake
    assert world.key(question(cache=CachePolicy(max_age=49))) is None
    assert (await world.ask(cache=CachePolicy(max_age=49))).customer.kind == "several"


async def test_no_cache_gives_a_fresh_answer_that_is_kept(world: World) -> None:
    await world.ask()
    world.crm.change(EDWINA.id, "mark-new")
    assert (await world.ask(cache=NO_CACHE)).text == "answer 2"
    assert "mark-new" in world.provider.asked[-1].text
    assert (await world.ask()).text == "answer 2"
    assert (await world.ask(cache=NO_CACHE)).text == "answer 3"
    assert (await world.ask()).text == "answer 3"
    assert world.calls == 3


@pytest.mark.parametrize("said", [ABOUT_EDWINA, "Score?"])
async def test_no_store_reads_and_writes_nothing(world: World, said: str) -> None:
    given = {"customer_id": EDWINA.id} if said == "Score?" else {}
    assert (await world.ask(said, cache=NO_STORE, **given)).text == "answer 1"
    assert (await world.cache.stats())["tiers"]["l1"]["entries"] == 0
    assert (await world.ask(said, **given)).text == "answer 2"
    entries = (await world.cache.stats())["tiers"]["l1"]["entries"]
    world.crm.change(EDWINA.id, "mark-new")
    assert (await world.ask(said, cache=NO_STORE, **given)).text == "answer 3"
    assert "mark-new" in world.provider.asked[-1].text
    assert (await world.cache.stats())["tiers"]["l1"]["entries"] == entries
    assert (await world.ask(said, **given)).text == "answer 2"


async def test_no_store_keeps_nothing_of_many_customers_at_once(world: World) -> None:
    """More than are kept at hand for the answers under way, so that the source is asked again for some."""
    people = [customer(f"X-{number}", f"Xavier Number{number}", f"mark-x{number}.") for number in range(400)]
    world.crm.people = {person.id: person for person in people}
    world.provider.otherwise = lambda call: call.system
    answers = await asyncio.gather(*(world.ask("Score?", customer_id=p.id, cache=NO_STORE) for p in people))
    for number, answer in enumerate(answers):
        assert f"mark-x{number}." in answer.text
    assert (await world.cache.stats())["tiers"]["l1"]["entries"] == 0


async def test_no_store_writes_no_ask_back_either(world: World) -> None:
    assert (await world.ask("What is John Smith's score?", cache=NO_STORE)).customer.kind == "several"
    assert (await world.ask("Score?", customer_id="nobody", cache=NO_STORE)).customer.kind == "none"
    assert (await world.cache.stats())["tiers"]["l1"]["entries"] == 0


async def test_the_peek_keeps_out_of_the_way(world: World) -> None:
    await world.ask()
    for policy in (NO_CACHE, NO_STORE):
        assert world.key(question(cache=policy)) is None


# --- lives -----------------------------------------------------------------------------------------------


async def test_a_spectrum_may_live_shorter_or_longer() -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    lives = {"credit_analysis": 10.0, "customer_profile": 5000.0}
    async with World(provider=provider, answers=table(100), customers=table(5), spectrums=lives) as world:
        score, address, general = "What is the credit score?", "What is the phone number?", "Is she nice?"
        asked = [await world.ask(text, customer_id=EDWINA.id) for text in (score, address, general)]
        assert [answer.spectrum for answer in asked] == ["credit_analysis", "customer_profile", "general"]

        async def tiers() -> list[str]:
            answers = [await world.ask(text, customer_id=EDWINA.id) for text in (score, address, general)]
            return [answer.cache_tier for answer in answers]

        world.clock.advance(9)
        assert await tiers() == ["l1", "l1", "l1"]
        world.clock.advance(2)
        assert await tiers() == ["miss", "l1", "l1"]
        world.clock.advance(95)
        assert await tiers() == ["miss", "l1", "miss"]
        world.crm.down = True  # the longest-lived answer can be had for as long as it lives
        world.clock.advance(4000)
        assert (await world.ask(address, customer_id=EDWINA.id)).cache_tier == "l1"


# --- only whole answers are kept -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        FakeReply(text="", tool_calls=(CALL,), finish_reason="tool_calls"),
        FakeReply(text="I will transfer it.", tool_calls=(CALL,), finish_reason="stop"),
        FakeReply(text="It is 7", finish_reason="length"),
        FakeReply(text="It", finish_reason="content_filter"),
        FakeReply(text="It is 7", finish_reason="brand_new_reason"),
    ],
    ids=lambda reply: f"{reply.finish_reason}-{len(reply.text)}-{len(reply.tool_calls)}",
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_not_whole_is_not_kept(world: World, reply: FakeReply, streamed: bool) -> None:
    world.provider.enqueue(reply)
    if streamed:
        await world.listen()
    else:
        await world.ask()
    assert (await world.ask()).text == "answer 1"
    assert world.calls == 2


@pytest.mark.parametrize("after", [0, 2])
async def test_a_failure_is_not_kept(world: World, after: int) -> None:
    error = ProviderUnavailableError("down", provider="fake")
    world.provider.enqueue(FakeReply(text="one two three", error=error, error_after=after))
    with pytest.raises(ProviderUnavailableError):
        await world.listen()
    assert (await world.ask()).text == "answer 1"


async def test_a_fallbacks_answer_is_not_kept() -> None:
    first = FakeProvider("first", otherwise=numbered())
    first.enqueue(ProviderUnavailableError("down", provider="first"))
    spare = FakeProvider("spare", otherwise="from the spare")
    providers = {"first": first, "spare": spare}
    async with World(providers=providers, model="first:m", fallbacks=["spare:m"]) as world:
        answer = await world.ask()
        assert (answer.text, answer.model) == ("from the spare", "spare:m")
        assert (await world.ask()).text == "answer 1"


async def test_a_tool_turn_is_not_kept(world: World) -> None:
    messages: tuple[Message, ...] = (
        {"role": "user", "content": ABOUT_EDWINA},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "700", "tool_call_id": "c1"},
    )
    assert (await world.ask(messages=messages)).text == "answer 1"
    assert (await world.ask(messages=messages)).text == "answer 2"


# --- ask-backs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "kind"),
    [
        (question("What is Zelda Quimby's credit score?"), "none"),
        (question("Score?", customer_id="Z-1"), "none"),
    ],
    ids=["by name", "by id"],
)
async def test_a_customer_that_is_added_is_found(turn: Turn, kind: str) -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, customers=table(300, negative=10)) as world:
        assert (await world.engine.answer(turn)).customer.kind == kind
        asked = len(world.crm.calls)
        again = await world.engine.answer(turn)
        assert (again.customer.kind, again.cache_tier) == (kind, "miss")
        assert len(world.crm.calls) == asked, "the source is not asked again and again for nobody"
        world.crm.people["Z-1"] = customer("Z-1", "Zelda Quimby", "mark-zelda")
        world.clock.advance(10)
        assert (await world.engine.answer(turn)).customer.customer_id == "Z-1"


@pytest.mark.parametrize(("seconds", "tier"), [(50, "miss"), (200, "l1")])
async def test_answer_lives_for_the_ttl_of_answers(seconds: float, tier: str) -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, answers=table(seconds), customers=table(1000)) as world:
        await world.ask("Score?", customer_id=EDWINA.id)
        world.clock.advance(100)
        assert (await world.ask("Score?", customer_id=EDWINA.id)).cache_tier == tier


@pytest.mark.parametrize(("seconds", "tier"), [(10, "miss"), (100, "l1")])
async def test_answer_is_served_stale_for_the_stale_seconds_of_answers(seconds: float, tier: str) -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, answers=table(50, stale=seconds), customers=table(1000)) as world:
        await world.ask("Score?", customer_id=EDWINA.id)
        world.clock.advance(100)
        assert (await world.ask("Score?", customer_id=EDWINA.id)).cache_tier == tier


@pytest.mark.parametrize(("seconds", "again"), [(50, True), (200, False)])
async def test_source_is_asked_again_after_the_ttl_of_customers(seconds: float, again: bool) -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, answers=table(1000), customers=table(seconds)) as world:
        await world.ask("Score?", customer_id=EDWINA.id)
        asked = len(world.crm.calls)
        world.clock.advance(100)
        await world.ask("Score?", customer_id=EDWINA.id)
        await settle()
        assert (len(world.crm.calls) > asked) == again


@pytest.mark.parametrize("seconds", [5, 20])
async def test_question_that_no_customer_fits_is_kept_for_the_negative_ttl_of_answers(seconds: float) -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    lives: dict[str, Any] = {"customers": table(300, negative=100), "answers": table(300, negative=seconds)}
    async with World(provider=provider, **lives) as world:
        assert (await world.ask("What is Zelda Quimby's credit score?")).customer.kind == "none"
        asked = len(world.crm.calls)
        world.clock.advance(6)
        await world.ask("What is Zelda Quimby's credit score?")
        assert (len(world.crm.calls) > asked) == (seconds == 5)


async def test_a_namesake_that_goes_leaves_the_other() -> None:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, customers=table(300, negative=10)) as world:
        assert (await world.ask("What is John Smith's score?")).customer.kind == "several"
        del world.crm.people["C-1002"]
        world.clock.advance(10)
        assert (await world.ask("What is John Smith's score?")).customer.customer_id == "C-1001"
