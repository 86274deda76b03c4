"""Calls that begin: joined, bounded, never in the way of whoever asks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.jobs.prewarm_world import QUESTION, plan, table, talking, warming
from tilores_core.contracts import Identifiers
from tilores_core.testing import FakeReply
from tilores_core.testing.waiting import eventually, settle

LONG = {"answers": table(3600.0, stale=600.0), "customers": table(300.0)}
EDWINA = Identifiers(customer_id="EDW_HAWTHORNE_001")


def calls(**more: Any) -> Any:
    return plan(calls={"questions": [QUESTION], **more})


async def test_a_caller_is_ready_and_the_question_finds_the_answer() -> None:
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        assert service.calls.begins(EDWINA)
        await eventually(lambda: service.calls.stats.ended_at)
        assert service.calls.stats.results == {"fresh": 1, "warmed": 1}
        answer = await world.ask(QUESTION, customer_id=EDWINA.customer_id)
        assert answer.cache_tier == "l1"


async def test_a_question_that_is_asked_meanwhile_waits_for_the_same_answer() -> None:
    gate = asyncio.Event()
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        world.provider.enqueue(FakeReply(text="It is seven hundred.", until=gate))
        service.calls.begins(EDWINA)
        await eventually(lambda: world.calls)
        asked = asyncio.create_task(world.ask(QUESTION, customer_id=EDWINA.customer_id))
        await settle()
        gate.set()
        assert (await asked).text == "It is seven hundred."
        assert world.calls == 1


async def test_the_same_caller_in_other_words_is_joined_and_another_scope_is_not() -> None:
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        for phone in ("020 7946 0018", "+44 20 7946 0018", "+442079460018"):
            assert service.calls.begins(Identifiers(phone=phone))
        assert (service.calls.stats.customers, service.calls.joined) == (1, 2)
        assert service.calls.begins(Identifiers(phone="020 7946 0018"), scope="elsewhere")
        assert service.calls.stats.customers == 2


@pytest.mark.parametrize(
    "who",
    [
        Identifiers(),
        Identifiers(phone="anonymous"),
        Identifiers(phone=""),
        Identifiers(email="nobody"),
        Identifiers(date_of_birth="1980-04-12"),
        Identifiers(customer_id="x" * 300),
        Identifiers(phone="9" * 300),
    ],
    ids=str,
)
async def test_what_identifies_nobody_is_not_looked_for(who: Identifiers) -> None:
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        assert not service.calls.begins(who)
        assert service.calls.unusable == 1
        assert world.crm.calls == []


async def test_a_source_that_was_down_is_asked_again_when_the_call_is_reported_again() -> None:
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        world.crm.down = True
        service.calls.begins(Identifiers(name="Robin Ashdown"))
        await eventually(lambda: service.calls.stats.failed)
        world.crm.down = False
        service.calls.begins(Identifiers(name="Robin Ashdown"))
        await eventually(lambda: service.calls.stats.results["warmed"])


async def test_a_flood_is_bounded_and_questions_are_answered_through_it() -> None:
    of = calls(concurrency=4, queue=50)
    async with talking(**LONG) as world, warming(world, of, life=LONG, source_seconds=60.0) as service:
        await world.ask("Who is it?", customer_id="C-2001")
        world.crm.gate = asyncio.Event()  # from here on every look-up hangs
        for number in range(5000):
            service.calls.begins(Identifiers(name=f"Somebody Number{number}"))
        await eventually(lambda: len([call for call in world.crm.calls if call.startswith("find")]) == 4)
        await settle()
        assert len([call for call in world.crm.calls if call.startswith("find")]) == 4
        assert service.calls.as_plain()["waiting"] <= 50  # type: ignore[operator]
        assert service.calls.stats.results["late"] >= 4900
        # Whoever is known is answered at once, and whoever is not waits for the source alone.
        async with asyncio.timeout(30):
            assert (await world.ask("Who is it?", customer_id="C-2001")).cache_tier == "l1"
        world.crm.gate.set()
        world.crm.gate = None
        async with asyncio.timeout(30):
            assert (await world.ask("And where?", customer_id="C-1001")).cache_tier == "miss"


async def test_who_has_waited_too_long_is_let_go() -> None:
    async with talking(**LONG) as world, warming(world, calls(concurrency=1), life=LONG) as service:
        world.crm.gate = asyncio.Event()
        now = [0.0]
        service.calls._clock = lambda: now[0]
        service.calls.begins(Identifiers(name="Robin Ashdown"))
        await eventually(lambda: world.crm.calls)
        service.calls.begins(Identifiers(name="Edwina Hawthorne"))
        now[0] = 31.0
        world.crm.gate.set()
        await eventually(lambda: service.calls.stats.results["late"])
        assert world.crm.calls.count("find Edwina Hawthorne") == 0


async def test_the_log_names_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async with talking(**LONG) as world, warming(world, calls(), life=LONG) as service:
        service.calls.begins(Identifiers(name="Edwina Hawthorne", phone="+442079460018", email="edwina@example.com"))
        service.calls.begins(EDWINA)

        async def broken(identifiers: Any, *, limit: int = 10) -> Any:
            raise ZeroDivisionError(str(identifiers))

        world.crm.find = broken  # type: ignore[method-assign]
        service.calls.begins(Identifiers(name="Robin Ashdown"))
        await eventually(lambda: service.calls.stats.errors["internal_error"])
        told = capsys.readouterr()
        assert "ZeroDivisionError" in told.out + told.err
        for word in ("Edwina", "Hawthorne", "0018", "edwina@", "Robin"):
            assert word not in told.out + told.err
            assert word not in str(service.statistics())
