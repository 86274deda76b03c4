"""Observers hear of every turn, and can stop neither a request nor each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.chat.engine_world import ABOUT_EDWINA, EDWINA, MAY_NOT_SEARCH, World, finished, question
from tilores_core.chat import reporter as reporter_module
from tilores_core.chat.reporter import OutcomeReporter
from tilores_core.contracts import Answer, Observer, Outcome
from tilores_core.errors import PermissionDeniedError, ProviderUnavailableError, SourceUnavailableError
from tilores_core.testing import FakeReply
from tilores_core.testing.waiting import eventually, settle

OUTCOME = Outcome(turn=question(), answer=Answer(text="a", model="m"), timings={})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


async def outcomes(world: World, number: int) -> list[Outcome]:
    await eventually(lambda: len(world.outcomes) >= number)
    await settle()
    assert len(world.outcomes) == number
    return world.outcomes


# --- what they are told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_of_a_miss_and_of_a_hit(world: World, streamed: bool) -> None:
    world.provider.enqueue("It is 700.")
    for _ in range(2):
        if streamed:
            await world.listen(request_id="r-1")
        else:
            await world.ask(request_id="r-1")
    miss, hit = await outcomes(world, 2)
    assert miss.answer is not None
    assert hit.answer is not None
    assert (miss.answer.cache_tier, hit.answer.cache_tier) == ("miss", "l1")
    assert miss.turn.request_id == "r-1"
    assert miss.customer == EDWINA
    assert [attempt.model for attempt in miss.attempts] == ["fake:fake-1"]
    assert {"customer", "model", "total"} <= set(miss.timings)
    assert ("first_token" in miss.timings) is streamed
    assert hit.attempts == ()
    assert miss.error is hit.error is None


async def test_of_an_ask_back(world: World) -> None:
    await world.ask("What is John Smith's credit score?")
    (outcome,) = await outcomes(world, 1)
    assert outcome.answer is not None
    assert outcome.answer.customer.kind == "several"
    assert outcome.customer is None


async def test_of_errors(world: World) -> None:
    world.provider.enqueue(ProviderUnavailableError("down", provider="fake"))
    with pytest.raises(ProviderUnavailableError):
        await world.ask()
    with pytest.raises(PermissionDeniedError):
        await world.ask(caller=MAY_NOT_SEARCH)
    world.crm.down = True
    with pytest.raises(SourceUnavailableError):
        await world.listen("What is Robin Ashdown's score?")
    told = await outcomes(world, 3)
    assert [outcome.error for outcome in told] == [
        "provider_unavailable",
        "permission_denied",
        "source_unavailable",
    ]
    assert [outcome.answer for outcome in told] == [None] * 3
    assert [attempt.error for attempt in told[0].attempts] == ["provider_unavailable"]


async def test_of_a_failure_that_is_none_of_ours(world: World) -> None:
    async def broken(customer_id: str) -> None:
        raise KeyError(customer_id)

    world.crm.get = broken  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        await world.ask("?", customer_id=EDWINA.id)
    (outcome,) = await outcomes(world, 1)
    assert outcome.error == "internal"


async def test_of_a_stream_that_fails_half_way(world: World) -> None:
    error = ProviderUnavailableError("down", provider="fake")
    world.provider.enqueue(FakeReply(text="one two three", error=error, error_after=1))
    with pytest.raises(ProviderUnavailableError):
        await world.listen()
    (outcome,) = await outcomes(world, 1)
    assert outcome.error == "provider_unavailable"
    assert "first_token" in outcome.timings


async def test_of_who_leaves(world: World) -> None:
    world.provider.enqueue(FakeReply(text="one", until=asyncio.Event()))
    asking = asyncio.create_task(world.ask("What is a good score in general?"))
    await eventually(lambda: world.provider.running)
    world.provider.enqueue(FakeReply(text="one two", between=asyncio.Event().wait))
    stream = world.engine.stream(question())
    await anext(stream)
    await stream.aclose()
    asking.cancel()
    await finished(asking)
    assert [outcome.error for outcome in await outcomes(world, 2)] == ["cancelled", "cancelled"]


async def test_once_of_everybody_who_shared_an_answer(world: World) -> None:
    world.provider.enqueue("one")
    await asyncio.gather(*(world.ask(request_id=str(number)) for number in range(10)))
    told = await outcomes(world, 10)
    assert {outcome.turn.request_id for outcome in told} == {str(number) for number in range(10)}
    assert sum(len(outcome.attempts) for outcome in told) == 1


# --- what they cannot do ---------------------------------------------------------------------------------


class Ear:
    """An observer that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Outcome] = []

    async def __call__(self, outcome: Outcome) -> None:
        self.heard.append(outcome)


async def hangs(outcome: Outcome) -> None:
    await asyncio.Event().wait()


async def fails(outcome: Outcome) -> None:
    raise RuntimeError("broken")


async def cancels(outcome: Outcome) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("bad", [hangs, fails, cancels])
async def test_a_bad_observer_stops_no_other(monkeypatch: pytest.MonkeyPatch, bad: Observer) -> None:
    monkeypatch.setattr(reporter_module, "_SECONDS_PER_OUTCOME", 0.01)
    before, after = Ear(), Ear()
    reporter = OutcomeReporter([before, bad, after])
    reporter.start()
    for _ in range(3):
        reporter._put(OUTCOME)
    await eventually(lambda: len(after.heard) == 3)
    await eventually(lambda: reporter.failed == 3)
    assert len(before.heard) == 3
    await reporter.aclose()
    assert reporter.dropped == 0


async def test_a_hanging_observer_holds_up_no_request() -> None:
    async with World(observers=[hangs]) as world:
        world.provider.otherwise = "one"
        for number in range(20):
            assert (await world.ask(f"{ABOUT_EDWINA} {number}")).text == "one"
        await world.reporter.aclose(0.01)
        assert world.reporter.dropped >= 19


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    ear = Ear()
    reporter = OutcomeReporter([ear], queue_size=5)
    for _ in range(8):
        reporter._put(OUTCOME)
    assert reporter.dropped == 3
    reporter.start()
    await eventually(lambda: len(ear.heard) == 5)
    await reporter.aclose()
    assert reporter.dropped == 3


async def test_what_is_queued_is_told_before_closing() -> None:
    ear = Ear()
    reporter = OutcomeReporter([ear])
    reporter.start()
    for _ in range(20):
        reporter._put(OUTCOME)
    await reporter.aclose()
    assert len(ear.heard) == 20


async def test_without_observers_nothing_is_queued_or_started() -> None:
    reporter = OutcomeReporter()
    reporter.start()
    reporter._put(OUTCOME)
    assert reporter.waiting == 0
    assert reporter.dropped == 0
    await reporter.aclose()


async def test_a_cancelled_observer_task_ends() -> None:
    """Closing must not be swallowed with what observers raise."""
    reporter = OutcomeReporter([hangs])
    reporter.start()
    reporter._put(OUTCOME)
    await settle()
    await asyncio.wait_for(reporter.aclose(0.01), 60)
