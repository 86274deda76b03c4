"""What is served past its life and renewed behind the request, what when the source is down, and what is never served
any more once records have changed or were invalidated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, PRICED, ROBIN, World, customer, finished, question, table
from tilores_core.chat import engine as engine_module
from tilores_core.contracts import CachePolicy
from tilores_core.errors import ProviderUnavailableError, SourceUnavailableError
from tilores_core.testing import FakeProvider, FakeReply
from tilores_core.testing.fake_provider import FakeCall
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import eventually, settle

DOWN = ProviderUnavailableError("down", provider="fake")


def numbered() -> Callable[[FakeCall], str]:
    numbers = count(1)
    return lambda call: f"answer {next(numbers)}"


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[World]:
    provider = FakeProvider(infos=(PRICED,), otherwise=numbered())
    async with World(provider=provider, **settings) as world:
        yield world


# --- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_stale_answer_is_served_and_renewed_behind_it(streamed: bool) -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        asked = [world.listen() for _ in range(5)] if streamed else [world.ask() for _ in range(5)]
        for found in await asyncio.gather(*asked):
            answer = found[1] if isinstance(found, tuple) else found
            assert (answer.text, answer.stale, answer.age, answer.cache_tier) == ("answer 1", True, 120.0, "l1")
        await eventually(lambda: world.calls == 2)
        await settle()
        renewed = await world.ask()
        assert (renewed.text, renewed.stale) == ("answer 2", False)
        assert world.calls == 2, "one refresh for all of them"


async def test_the_peek_leaves_a_stale_answer_to_the_engine() -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        key = world.key(question())
        assert key is not None
        assert world.peek(question(), key) is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_too_old_for_a_turn_is_better_than_none(streamed: bool) -> None:
    async with opened(answers=table(1000), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(50)
        world.provider.enqueue(DOWN)
        young = CachePolicy(max_age=10)
        if streamed:
            pieces, answer = await world.listen(cache=young)
            assert "".join(piece.text for piece in pieces) == "answer 1"
        else:
            answer = await world.ask(cache=young)
        assert (answer.text, answer.stale, answer.age) == ("answer 1", True, 50.0)
        world.provider.enqueue(DOWN)
        with pytest.raises(ProviderUnavailableError):  # whoever wants none of the cache gets none of it
            await world.ask(cache=CachePolicy(no_cache=True))
        assert not (await world.ask(cache=young)).stale


async def test_beyond_the_grace_it_is_gone() -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(150)
        assert (await world.ask()).text == "answer 2"


async def test_a_failed_refresh_leaves_the_stale_answer() -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        world.provider.enqueue(DOWN)
        assert (await world.ask()).stale
        await eventually(lambda: world.calls == 2)
        for _ in range(5):
            await settle()
            assert (await world.ask()).text == "answer 1"
        assert world.calls == 2, "a model that is down is left in peace for a moment"
        world.clock.advance(1)
        assert (await world.ask()).text == "answer 1"
        await eventually(lambda: world.calls == 3)
        await settle()
        assert (await world.ask()).text == "answer 2"


async def test_a_refresh_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_REFRESH_SECONDS", 0.05)
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        world.provider.enqueue(FakeReply(text="never", until=asyncio.Event()))
        assert (await world.ask()).stale
        await eventually(lambda: world.provider.cancelled == 1)
        world.clock.advance(100)
        assert (await world.ask()).text == "answer 2"


async def test_a_refresh_serves_who_comes_when_the_old_answer_is_gone() -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        gate = asyncio.Event()
        world.provider.enqueue(FakeReply(text="renewed behind", until=gate))
        await world.ask()
        await eventually(lambda: world.provider.running)
        world.clock.advance(100)
        asking, listening = asyncio.create_task(world.ask()), asyncio.create_task(world.listen())
        await settle()
        gate.set()
        whole, (pieces, streamed) = await asking, await listening
        assert whole.text == streamed.text == "".join(piece.text for piece in pieces) == "renewed behind"
        assert world.calls == 2


async def test_what_is_told_of_a_stale_hit_is_not_changed_by_the_refresh() -> None:
    async with opened(answers=table(100, stale=50), customers=table(1000)) as world:
        await world.ask()
        world.clock.advance(120)
        await world.ask()
        await eventually(lambda: world.calls == 2)
        await settle()
        await eventually(lambda: len(world.outcomes) == 2)
        stale = world.outcomes[1]
        assert stale.answer is not None
        assert stale.answer.stale
        assert stale.attempts == ()
        assert "model" not in stale.timings


# --- fingerprints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("customer_id", [EDWINA.id, None], ids=["by id", "by name"])
async def test_an_old_fingerprint_is_served_and_renewed_behind_it(customer_id: str | None) -> None:
    async with opened(customers=table(10)) as world:
        await world.ask(customer_id=customer_id)
        world.crm.change(EDWINA.id, "mark-new")
        world.crm.gate = asyncio.Event()
        world.clock.advance(11)
        asked = len(world.crm.calls)
        served = await world.ask(customer_id=customer_id)  # while the source still thinks
        assert (served.text, served.cache_tier) == ("answer 1", "l1")
        world.crm.gate.set()
        await eventually(lambda: len(world.crm.calls) > asked)
        await settle()
        changed = await world.ask(customer_id=customer_id)
        assert changed.text == "answer 2"
        assert "mark-new" in world.provider.asked[-1].text
        world.clock.advance(11)
        await world.ask(customer_id=customer_id)
        await settle()
        assert (await world.ask(customer_id=customer_id)).text == "answer 2", "never the old one again"


async def test_a_namesake_who_comes_is_noticed() -> None:
    async with opened(customers=table(10)) as world:
        assert (await world.ask()).customer.customer_id == EDWINA.id
        namesake = customer("EDW_HAWTHORNE_002", EDWINA.name or "", "mark-namesake", born="1990-01-01")
        world.crm.people[namesake.id] = namesake
        world.clock.advance(11)
        await world.ask()
        await settle()
        assert (await world.ask()).customer.kind == "several"


async def test_somebody_unknown_who_comes_is_noticed() -> None:
    """Nobody was named as far as the source could tell, so it counted as a general question."""
    async with opened(customers=table(10)) as world:
        text = "is zelda quimby nice"
        first = await world.ask(text)
        assert first.customer.kind in ("unnamed", "none")
        world.crm.people["Z-1"] = customer("Z-1", "Zelda Quimby", "mark-zelda")
        world.clock.advance(16)
        await world.ask(text)
        await settle()
        assert (await world.ask(text)).customer.customer_id == "Z-1"


async def test_a_customer_who_was_merged_is_found_again_by_name() -> None:
    async with opened(customers=table(10)) as world:
        assert (await world.ask()).customer.customer_id == EDWINA.id
        del world.crm.people[EDWINA.id]
        merged = customer("MERGED_7", EDWINA.name or "", "mark-merged")
        world.crm.people[merged.id] = merged
        await world.cache.invalidate(tags=[f"customer:{EDWINA.id}"])
        assert (await world.ask()).customer.customer_id == merged.id


async def test_a_remembered_name_whose_customer_is_gone_is_looked_up_anew() -> None:
    async with opened(customers=table(10)) as world:
        await world.ask("What is Edwina Hawthorne's city?")
        del world.crm.people[EDWINA.id]
        merged = customer("MERGED_7", EDWINA.name or "", "mark-merged")
        world.crm.people[merged.id] = merged
        # Somebody asked by the old id, so that it is known to be gone; the name is still remembered.
        assert (await world.ask("?", customer_id=EDWINA.id, cache=CachePolicy(no_cache=True))).customer.kind == "none"
        answer = await world.ask("What is Edwina Hawthorne's city?")
        assert answer.customer.customer_id == merged.id
        assert "mark-merged" in world.provider.asked[-1].text


async def test_an_answer_is_kept_for_the_records_that_it_was_made_from() -> None:
    """Another process has left an old fingerprint, and the records behind it are to be had no more."""
    store = SharedStore()
    async with opened(store=store) as first:
        store.clock = first.clock
        await first.ask(customer_id=EDWINA.id)
        await first.cache.invalidate(namespace="customers")
        first.crm.change(EDWINA.id, "mark-new")
        async with opened(store=store, crm=first.crm, clock=first.clock) as second:
            made = await second.ask("Is the score good?", customer_id=EDWINA.id)
            assert "mark-new" in second.provider.asked[-1].text
            again = await second.ask("Is the score good?", customer_id=EDWINA.id)
            assert (again.text, again.cache_tier) == (made.text, "l1")
            assert again.record_fingerprint == made.record_fingerprint
            assert second.calls == 1


# --- the source is down ----------------------------------------------------------------------------------


@pytest.mark.parametrize("customer_id", [EDWINA.id, None], ids=["by id", "by name"])
async def test_known_answers_go_on_while_the_source_is_down(customer_id: str | None) -> None:
    async with opened(customers=table(10), answers=table(1000)) as world:
        await world.ask(customer_id=customer_id)
        world.crm.down = True
        for _ in range(5):
            world.clock.advance(190)
            served = await world.ask(customer_id=customer_id)
            await settle()
            assert (served.text, served.cache_tier) == ("answer 1", "l1")
        world.clock.advance(100)
        with pytest.raises(SourceUnavailableError):
            await world.ask(customer_id=customer_id)
        world.crm.down = False
        assert (await world.ask(customer_id=customer_id)).text == "answer 2"


async def test_what_is_not_known_fails_and_the_failure_is_not_kept() -> None:
    async with opened() as world:
        world.crm.down = True
        for turn in (question(), question("Score?", customer_id=ROBIN.id)):
            with pytest.raises(SourceUnavailableError):
                await world.engine.answer(turn)
            with pytest.raises(SourceUnavailableError):
                await anext(world.engine.stream(turn))
        world.crm.down = False
        assert (await world.ask()).text == "answer 1"


async def test_a_source_that_hangs_is_unavailable() -> None:
    async with opened(source_seconds=0.05) as world:
        world.crm.gate = asyncio.Event()
        for turn in (question(), question("Score?", customer_id=ROBIN.id)):
            with pytest.raises(SourceUnavailableError, match="source_seconds"):
                await world.engine.answer(turn)


async def test_a_general_question_needs_no_source() -> None:
    async with opened() as world:
        world.crm.down = True
        assert (await world.ask("What are your opening hours?")).text == "answer 1"


async def test_an_older_answer_than_demanded_is_marked_when_the_source_is_down() -> None:
    """Better than an error, but it must not pass for what was demanded."""
    async with opened(customers=table(10), answers=table(1000)) as world:
        await world.ask(customer_id=EDWINA.id)
        world.crm.down = True
        world.clock.advance(100)
        answer = await world.ask(customer_id=EDWINA.id, cache=CachePolicy(max_age=60))
        assert answer.stale


# --- invalidation ----------------------------------------------------------------------------------------


TAG = f"customer:{EDWINA.id}"


@pytest.mark.parametrize("tag", [TAG, f"record:r2-{EDWINA.id}"])
async def test_an_invalidated_customer_is_asked_for_anew(tag: str) -> None:
    async with opened() as world:
        await world.ask()
        await world.ask("What is Robin Ashdown's credit score?")
        world.crm.change(EDWINA.id, "mark-new")
        await world.cache.invalidate(tags=[tag])
        assert world.key(question()) is None
        assert (await world.ask()).text == "answer 3"
        assert "mark-new" in world.provider.asked[-1].text
        assert (await world.ask("What is Robin Ashdown's credit score?")).text == "answer 2"


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_under_way_is_not_kept_over_an_invalidation(streamed: bool) -> None:
    async with opened() as world:
        gate = asyncio.Event()
        world.provider.enqueue(FakeReply(text="from the old records", until=gate))
        asking = asyncio.create_task(world.engine.answer(question()) if not streamed else world.listen())
        await eventually(lambda: world.provider.running)
        await world.cache.invalidate(tags=[TAG])
        gate.set()
        await asking
        assert (await world.ask()).text == "answer 1"
        assert world.calls == 2


async def test_records_under_way_are_not_kept_over_an_invalidation() -> None:
    """The source had read the old records before they changed, and answers only afterwards."""
    async with opened() as world:
        gate = world.crm.gate = asyncio.Event()
        old = dict(world.crm.people)
        asking = asyncio.create_task(world.ask(customer_id=EDWINA.id))
        await eventually(lambda: world.crm.calls)
        await world.cache.invalidate(tags=[TAG])
        gate.set()
        await asking
        assert old == world.crm.people
        world.crm.change(EDWINA.id, "mark-new")
        await world.ask(customer_id=EDWINA.id)
        assert "mark-new" in world.provider.asked[-1].text


async def test_who_comes_after_the_invalidation_does_not_board_the_flight_of_before() -> None:
    async with opened() as world:
        gate = asyncio.Event()
        world.provider.enqueue(FakeReply(text="from the old records", until=gate))
        first = asyncio.create_task(world.ask())
        await eventually(lambda: world.provider.running)
        world.crm.change(EDWINA.id, "mark-new")
        await world.cache.invalidate(tags=[TAG])
        second = await world.ask()
        assert second.text == "answer 1"
        assert "mark-new" in world.provider.asked[-1].text
        gate.set()
        assert (await finished(first))[0].text == "from the old records"
        assert (await world.ask(ABOUT_EDWINA)).text == "answer 1"
