"""ListRuns through lists, over the real engine, cache and look-up with a scripted source and model."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.chat.engine_world import ROBIN, customer
from tests.jobs.prewarm_world import QUESTION, World, one_list, plan, table, talking, warming
from tilores_core.contracts import Caller, current_purpose
from tilores_core.errors import ProviderUnavailableError
from tilores_core.jobs.prewarm.runs import WorkerPool
from tilores_core.testing import FakeReply
from tilores_core.testing.tiers import SharedStore
from tilores_core.testing.waiting import Clock, eventually, settle

EDWINA = {"customer_id": "EDW_HAWTHORNE_001"}
LONG = {"answers": table(3600.0, stale=600.0), "customers": table(300.0)}


async def ask(world: World, question: str = QUESTION, **turn: Any) -> Any:
    return await world.ask(question, **{"customer_id": EDWINA["customer_id"], **turn})


async def test_a_round_leaves_what_a_live_question_finds() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        stats = await service.run()
        assert stats.as_plain() | {"seconds": 0, "ended_at": 0} == {
            "customers": 1,
            "warmed": 2,
            "failed": 0,
            "kept": 0,
            "skipped": 0,
            "skipped_because": {},
            "errors": {},
            "success_rate": 1.0,
            "seconds": 0,
            "ended_at": 0,
        }
        calls, asked = world.calls, len(world.crm.calls)
        answer = await ask(world)
        assert (answer.cache_tier, answer.stale) == ("l1", False)
        assert (world.calls, len(world.crm.calls)) == (calls, asked)
        assert (await ask(world, caller=Caller(scope="elsewhere"))).cache_tier == "miss"
        worth = service.statistics()["worth"]
        assert (worth["warmed_answers"], worth["used_answers"], worth["hits"]) == (1, 1, 1)


async def test_what_lasts_is_left_alone_and_what_would_end_is_renewed_ahead() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA, refresh="20m"), life=LONG) as service:
        await service.run()
        world.clock.advance(1200)
        second = await service.run()
        assert (second.results["warmed"], second.results["fresh"], world.calls) == (1, 1, 1)
        world.clock.advance(1200)  # at the third round twenty minutes are left, and the fourth may last
        third = await service.run()
        assert (third.results["warmed"], world.calls) == (2, 2)
        world.clock.advance(1199)
        answer = await ask(world)
        assert (answer.cache_tier, answer.stale, answer.age) == ("l1", False, 1199.0)


async def test_changed_records_make_a_new_answer() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        await service.run()
        world.crm.change(EDWINA["customer_id"], "mark-changed")
        world.clock.advance(10)
        assert (await service.run()).results["warmed"] == 2
        assert world.calls == 2
        assert (await ask(world)).cache_tier == "l1"


async def test_a_source_that_is_down_leaves_what_was_warmed_and_is_told() -> None:
    of = one_list(EDWINA, {"name": "Robin Ashdown"})
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        assert (await service.run()).results["warmed"] == 4
        world.clock.advance(3000)
        world.crm.down = True
        stats = await service.run()
        assert stats.as_plain()["failed"] == 0
        assert stats.results["kept"] >= 2
        assert stats.errors["source_unavailable"] >= 1
        world.clock.advance(700)  # past its life, within what stale answers have
        answer = await ask(world)
        assert answer.cache_tier == "l1"
        assert answer.stale


async def test_a_model_that_is_down_leaves_the_old_answer() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        await service.run()
        world.clock.advance(3000)
        world.provider.enqueue(ProviderUnavailableError("down", provider="fake"))
        stats = await service.run()
        assert (stats.results["kept"], stats.results["warmed"]) == (1, 1)
        assert (await ask(world)).cache_tier == "l1"


async def test_a_round_ends_when_the_source_does_not_answer_and_the_rest_is_left() -> None:
    ids = [{"customer_id": f"C-{number}"} for number in range(40)]
    async with talking(**LONG) as world, warming(world, one_list(*ids), life=LONG) as service:
        world.crm.down = True
        stats = await service.run()
        assert stats.results["outage"] >= 25
        assert stats.results["failed"] + stats.results["outage"] == 40
        assert len(world.crm.calls) < 15


async def test_answers_that_cannot_be_stored_are_failures() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        world.provider.enqueue(FakeReply(text="half a sen", finish_reason="length"))
        stats = await service.run()
        assert (stats.results["failed"], stats.errors) == (1, {"not_stored": 1})


async def test_an_invalidation_in_between_costs_a_second_question_and_no_answer() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        gate = asyncio.Event()
        world.provider.enqueue(FakeReply(text="It is six hundred.", until=gate))
        running = asyncio.create_task(service.run())
        await eventually(lambda: world.calls)
        await world.cache.invalidate(tags=(f"customer:{EDWINA['customer_id']}",))
        gate.set()
        stats = await running
        assert (stats.results["warmed"], stats.results["failed"], world.calls) == (2, 0, 2)
        answer = await ask(world)
        assert (answer.cache_tier, answer.text) == ("l1", "It is seven hundred.")


async def test_a_fault_of_a_plugin_is_one_failure_and_the_others_go_on() -> None:
    of = one_list(EDWINA, {"customer_id": ROBIN.id})
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        get = world.crm.get

        async def broken(customer_id: str) -> Any:
            if customer_id == ROBIN.id:
                raise ZeroDivisionError(customer_id)
            return await get(customer_id)

        world.crm.get = broken  # type: ignore[method-assign]
        stats = await service.run()
        assert (stats.results["warmed"], stats.errors) == (2, {"internal_error": 1})


async def test_nobody_and_too_many_are_skipped() -> None:
    of = one_list({"customer_id": "C-9"}, {"name": "John Smith"}, {"name": "Nobody Known"}, most_matches=1)
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        stats = await service.run()
        assert stats.as_plain()["skipped_because"] == {"unknown": 2, "too_many": 1}
        assert world.calls == 0


async def test_each_of_a_few_matches_is_warmed() -> None:
    of = one_list({"name": "John Smith"}, questions=("I am {name}. What is the score?",))
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        assert (await service.run()).results["warmed"] == 4
        for customer_id in ("C-1001", "C-1002"):
            answer = await ask(world, "I am John Smith. What is the score?", customer_id=customer_id)
            assert answer.cache_tier == "l1"


async def test_the_budget_ends_questions_but_not_records() -> None:
    of = plan(
        lists=[{"name": "vip", "customers": [EDWINA, {"customer_id": ROBIN.id}], "questions": ["One?", "Two?"]}],
        budget={"calls_per_hour": 3},
        concurrency=1,
    )
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        stats = await service.run()
        assert (stats.results["warmed"], stats.results["budget"], world.calls) == (5, 1, 3)
        again = await service.run()
        assert (again.results["budget"], world.calls) == (4, 3)
        assert service.statistics()["budget"]["calls"] == 3


async def test_the_budget_of_cost() -> None:
    of = plan(
        lists=[{"name": "vip", "customers": [EDWINA], "questions": ["One?", "Two?", "Three?"]}],
        budget={"cost_per_hour": 1e-9},
    )
    async with talking(**LONG) as world, warming(world, of, life=LONG) as service:
        stats = await service.run()
        assert (world.calls, stats.results["budget"]) == (1, 2)
        assert service.statistics()["budget"]["cost"] > 0


async def test_the_higher_priority_goes_first_and_few_at_a_time() -> None:
    people = [customer(f"P-{number}", f"Person Number{number}", f"mark-{number}") for number in range(12)]
    lists = [
        {"name": "low", "priority": 1, "customers": [{"customer_id": one.id} for one in people[:6]]},
        {"name": "high", "priority": 9, "customers": [{"customer_id": one.id} for one in people[6:]]},
    ]
    async with talking(**LONG) as world, warming(world, plan(lists=lists, concurrency=2), life=LONG) as service:
        world.crm.people = {one.id: one for one in people}
        world.crm.gate = asyncio.Event()
        running = asyncio.create_task(service.run())
        await eventually(lambda: len(world.crm.calls) == 2)
        await settle()
        assert len(world.crm.calls) == 2
        world.crm.gate.set()
        await running
        order = [call.removeprefix("get ") for call in world.crm.calls]
        # Two of the low ones at most were on their way when the high ones came.
        assert set(order[2:8]) | set(order[:2]) >= {one.id for one in people[6:]}
        assert set(order[-4:]) <= {one.id for one in people[:6]}


async def test_a_list_on_its_way_is_joined() -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA), life=LONG) as service:
        first, second = await asyncio.gather(service.run(), service.run())
        assert first.results == second.results
        assert world.calls == 1
        assert service.statistics()["totals"]["customers"] == 1


async def test_all_of_it_is_background_work() -> None:
    seen: set[str] = set()

    async with talking(**LONG) as world, warming(world, one_list({"name": "Robin Ashdown"}), life=LONG) as service:
        get, find = world.crm.get, world.crm.find

        async def noted_get(customer_id: str) -> Any:
            seen.add(f"get {current_purpose.get()}")
            return await get(customer_id)

        async def noted_find(identifiers: Any, *, limit: int = 10) -> Any:
            seen.add(f"find {current_purpose.get()}")
            return await find(identifiers, limit=limit)

        world.crm.get, world.crm.find = noted_get, noted_find  # type: ignore[method-assign]
        await service.run()
        await eventually(lambda: world.outcomes)
        assert seen == {"get prewarm", "find prewarm"}
        assert {outcome.turn.purpose for outcome in world.outcomes} == {"prewarm"}
        assert current_purpose.get() == "live"


async def test_what_is_warmed_stays_in_memory_and_what_is_removed_is_let_go() -> None:
    clock = Clock()
    async with (
        talking(store=SharedStore(clock), clock=clock, entries=3, **LONG) as world,
        warming(world, one_list(EDWINA), life=LONG) as service,
    ):
        await service.run()
        entries = service.entries
        held = entries.as_plain()["kept_in_memory"]
        assert held == 3  # fingerprint, records, answer
        for number in range(5):  # others push it out of a memory this small
            await world.cache.set(f"answers:{number}", b"x", ttl=60.0)
        await entries.keep()
        assert (await ask(world)).cache_tier == "l1"
        await world.cache.invalidate(tags=(f"customer:{EDWINA['customer_id']}",))
        await entries.keep()
        assert entries.as_plain()["kept_in_memory"] == 0


async def test_a_pool_lets_go_of_who_waited_longest() -> None:
    gate, done, dropped = asyncio.Event(), [], []

    def work(number: int) -> Any:
        async def run() -> None:
            await gate.wait()
            done.append(number)

        return run

    pool = WorkerPool(1, most=2)
    for number in range(5):
        pool.submit(work(number), dropped=lambda number=number: dropped.append(number))  # type: ignore[misc]
        await asyncio.sleep(0)
    assert dropped == [1, 2]
    gate.set()
    await eventually(lambda: done == [0, 3, 4])
    pool.submit(work(5))
    await eventually(lambda: done == [0, 3, 4, 5])
    assert pool.busy <= 1
    await pool.aclose()


@pytest.mark.parametrize(("refresh", "every"), [("20m", 1200.0), ("2h", 2880.0)])
async def test_no_interval_is_longer_than_answers_live(refresh: str, every: float) -> None:
    async with talking(**LONG) as world, warming(world, one_list(EDWINA, refresh=refresh), life=LONG) as service:
        assert service.statistics()["lists"]["vip"]["every_seconds"] == every
