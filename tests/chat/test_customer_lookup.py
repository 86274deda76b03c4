"""What is remembered of customers: whom a conversation names, the fingerprint of the records, the records."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, MAY_NOT_SEARCH, ROBIN, World, customer, question, table
from tilores_core.cache.keys import customer_tags
from tilores_core.chat.customer import finder
from tilores_core.chat.customer_match import CustomerMatch
from tilores_core.chat.records import fingerprint, render
from tilores_core.chat.stored import customer_from_bytes, customer_to_bytes, outcome_from_bytes, outcome_to_bytes
from tilores_core.contracts import CachePolicy, Customer, CustomerChoice, CustomerOutcome, Record, Turn
from tilores_core.errors import PermissionDeniedError
from tilores_core.testing.tiers import SharedStore

BY_ID = question("Score?", customer_id=EDWINA.id)
BY_NAME = question(ABOUT_EDWINA)
GENERAL = question("What are your opening hours?")
BOTH = pytest.mark.parametrize("turn", [BY_ID, BY_NAME], ids=["by id", "by name"])


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(customers=table(30, negative=10)) as world:
        yield world


async def locate(world: World, turn: Turn) -> CustomerMatch:
    return await world.lookup.resolve(world.context(turn))


def peek(world: World, turn: Turn) -> str | None:
    return world.key_part(turn)


@BOTH
async def test_a_customer_is_located_and_remembered(world: World, turn: Turn) -> None:
    assert peek(world, turn) is None
    located = await locate(world, turn)
    assert located.outcome == CustomerOutcome(kind="one", customer_id=EDWINA.id)
    assert located.fingerprint == fingerprint(EDWINA)
    assert located.record_ids == ("r1-EDW_HAWTHORNE_001", "r2-EDW_HAWTHORNE_001")
    assert not located.overdue
    assert await locate(world, turn) == located
    assert peek(world, turn) == located.fingerprint
    assert len(world.crm.calls) == 1


async def test_a_customer_found_by_name_is_known_by_id_too(world: World) -> None:
    located = await locate(world, BY_NAME)
    assert await locate(world, BY_ID) == located
    assert await world.lookup.load_records(located) == located
    assert len(world.crm.calls) == 1


async def test_a_general_question_is_known_to_be_one(world: World) -> None:
    assert (await locate(world, GENERAL)).outcome.kind == "unnamed"
    assert peek(world, GENERAL) is None, "that is not stored"
    assert world.crm.calls == []


async def test_the_tags_survive_merges_and_splits(world: World) -> None:
    located = await locate(world, BY_ID)
    assert located.tags == (f"customer:{EDWINA.id}", f"record:r1-{EDWINA.id}", f"record:r2-{EDWINA.id}")
    assert customer_tags(None, ()) == ()
    await world.cache.invalidate(tags=[f"record:r2-{EDWINA.id}"])
    assert peek(world, BY_ID) is None
    await locate(world, BY_ID)
    assert len(world.crm.calls) == 2


async def test_concurrent_look_ups_ask_the_source_once(world: World) -> None:
    located = await asyncio.gather(*(locate(world, turn) for turn in (BY_ID,) * 50))
    assert len(set(located)) == 1
    assert len(world.crm.calls) == 1


async def test_one_who_may_not_search_is_refused_before_anything_is_read(world: World) -> None:
    await locate(world, BY_NAME)
    with pytest.raises(PermissionDeniedError, match="customer_id"):
        await locate(world, msgspec.structs.replace(BY_NAME, caller=MAY_NOT_SEARCH))
    assert (await locate(world, msgspec.structs.replace(BY_ID, caller=MAY_NOT_SEARCH))).outcome.kind == "one"


async def test_sources_do_not_share(world: World) -> None:
    """Two sources may use one id for different people."""
    store = SharedStore(world.clock)
    async with World(store=store, clock=world.clock) as one, World(store=store, clock=world.clock) as other:
        other.lookup._name = "another"
        other.crm.people[EDWINA.id] = customer(EDWINA.id, "Somebody Else", "mark-other")
        first, second = await locate(one, BY_ID), await locate(other, BY_ID)
    assert first.fingerprint != second.fingerprint


async def test_what_other_rules_found_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade that reads messages otherwise, what the version before it found may be another customer."""
    store = SharedStore()
    async with World(store=store) as before:
        store.clock = before.clock
        await locate(before, BY_NAME)
        async with World(store=store, crm=before.crm, clock=before.clock) as same:
            await locate(same, BY_NAME)
        assert len(before.crm.calls) == 1
        monkeypatch.setattr(finder, "_rules", lambda: "other")
        async with World(store=store, crm=before.crm, clock=before.clock) as after:
            await locate(after, BY_NAME)
        assert len(before.crm.calls) == 2


# --- records ---------------------------------------------------------------------------------------------


async def test_the_records_come_with_their_text(world: World) -> None:
    known = (await world.lookup.load_records(await locate(world, BY_ID))).records
    assert known is not None
    assert known.customer == EDWINA
    assert known.text == render(EDWINA)


async def test_the_records_come_from_the_cache_in_another_process() -> None:
    store = SharedStore()
    async with World(store=store) as one:
        store.clock = one.clock
        located = await locate(one, BY_ID)
        async with World(store=store, crm=one.crm, clock=one.clock) as two:
            assert await locate(two, BY_ID) == located
            again = await two.lookup.load_records(replace(located, records=None))
            known = again.records
    assert again == located
    assert known is not None
    assert known.customer == EDWINA
    assert len(one.crm.calls) == 1


async def test_records_that_have_changed_meanwhile_come_with_their_fingerprint() -> None:
    store = SharedStore()
    async with World(store=store) as one:
        store.clock = one.clock
        located = await locate(one, BY_ID)
        await one.cache.invalidate(namespace="customers")
        one.crm.change(EDWINA.id, "mark-new")
        async with World(store=store, crm=one.crm, clock=one.clock) as two:
            again = await two.lookup.load_records(replace(located, records=None))
            known = again.records
            assert known is not None
            assert "mark-new" in known.text
            assert again.fingerprint == fingerprint(known.customer) != located.fingerprint
            assert await locate(two, BY_ID) == again


async def test_records_stored_under_another_fingerprint_are_not_taken(world: World) -> None:
    """The cache may hold older records than the fingerprint speaks of."""
    old = await locate(world, BY_ID)
    world.crm.change(EDWINA.id, "mark-new")
    async with World(crm=world.crm, clock=world.clock) as other:
        new = await locate(other, BY_ID)
    located = await world.lookup.load_records(replace(new, records=None))
    known = located.records
    assert known is not None
    assert "mark-new" in known.text
    assert located == new != old


async def test_nobody_located_has_no_records(world: World) -> None:
    with pytest.raises(LookupError):
        await world.lookup.load_records(await locate(world, GENERAL))


# --- ages ------------------------------------------------------------------------------------------------


@BOTH
async def test_an_old_look_up_is_not_peeked_at(world: World, turn: Turn) -> None:
    await locate(world, turn)
    world.clock.advance(20)
    assert peek(world, turn) is not None
    assert peek(world, msgspec.structs.replace(turn, cache=CachePolicy(max_age=20))) is not None
    assert peek(world, msgspec.structs.replace(turn, cache=CachePolicy(max_age=19))) is None
    world.clock.advance(11)
    assert peek(world, turn) is None


@BOTH
async def test_a_demanded_age_asks_the_source_again_and_renews(world: World, turn: Turn) -> None:
    await locate(world, turn)
    world.clock.advance(20)
    limited = msgspec.structs.replace(turn, cache=CachePolicy(max_age=19))
    assert not (await locate(world, limited)).overdue
    assert len(world.crm.calls) == 2
    await locate(world, limited)
    assert len(world.crm.calls) == 2


@BOTH
@pytest.mark.parametrize("policy", [CachePolicy(no_cache=True), CachePolicy(no_store=True)])
async def test_fresh_means_fresh(world: World, turn: Turn, policy: CachePolicy) -> None:
    await locate(world, turn)
    for number in range(2, 5):
        await locate(world, msgspec.structs.replace(turn, cache=policy))
        assert len(world.crm.calls) == number


@BOTH
async def test_records_older_than_demanded_are_overdue_when_the_source_is_down(world: World, turn: Turn) -> None:
    await locate(world, turn)
    world.crm.down = True
    world.clock.advance(20)
    assert (await locate(world, msgspec.structs.replace(turn, cache=CachePolicy(max_age=19)))).overdue
    assert not (await locate(world, turn)).overdue


async def test_nobody_is_remembered_only_briefly(world: World) -> None:
    turn = question("Score?", customer_id="Z-1")
    for _ in range(3):
        assert (await locate(world, turn)).outcome.kind == "none"
        assert peek(world, turn) is None
    assert len(world.crm.calls) == 1
    world.clock.advance(10)
    world.crm.people["Z-1"] = ROBIN
    assert (await locate(world, turn)).outcome.kind == "one"


# --- as stored -------------------------------------------------------------------------------------------


def test_a_customer_survives_being_stored() -> None:
    fields = {"text": "Größe", "number": 2.5, "none": None, "list": [1, {"a": True}]}
    stored = Customer(
        id="C-1",
        name=None,
        records=(Record(id="r1", system="crm", fields=fields, updated_at="2026-01-02"),),
        traits={"born": "1990-01-01"},
    )
    assert customer_from_bytes(customer_to_bytes(stored)) == stored
    empty = Customer(id="C-2", name="Nobody", records=())
    assert customer_from_bytes(customer_to_bytes(empty)) == empty


def test_an_outcome_survives_being_stored() -> None:
    for outcome in (
        CustomerOutcome(kind="none"),
        CustomerOutcome(kind="several", choices=(CustomerChoice(traits={"born": "1990"}), CustomerChoice(traits={}))),
    ):
        assert outcome_from_bytes(outcome_to_bytes(outcome)) == outcome


def test_rules_change_with_each_module_and_word_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(finder.__file__).parent
    shutil.copytree(package, tmp_path / "customer", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(finder, "__file__", str(tmp_path / "customer" / "finder.py"))
    rules = finder._rules.__wrapped__
    before = rules()
    for path in sorted(path for path in (tmp_path / "customer").rglob("*") if path.is_file()):
        path.write_bytes(path.read_bytes() + b"\n")
        after = rules()
        assert after != before, path.name
        before = after
