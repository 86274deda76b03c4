"""A shared call: everybody gets everything, whoever joins or leaves when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.engine_world import settle, until
from tilores_core.chat.flight import Emit, Flight
from tilores_core.chat.routing.budget import Budget
from tilores_core.contracts import Answer, Delta
from tilores_core.errors import OverloadedError, ProviderUnavailableError


class Call:
    """Work that says what the test tells it to."""

    def __init__(self) -> None:
        self.ended: list[Flight] = []
        self.cancelled = False
        self._emit: Emit | None = None
        self._done: asyncio.Future[Answer] | None = None

    def fly(self) -> Flight:
        return Flight(self._work, self.ended.append, Budget(time.monotonic() + 60))

    async def _work(self, emit: Emit) -> Answer:
        self._emit = emit
        self._done = asyncio.get_running_loop().create_future()
        try:
            return await self._done
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def say(self, *texts: str) -> None:
        assert self._emit is not None
        for text in texts:
            self._emit(Delta(text=text))

    def end(self, text: str = "the end") -> None:
        assert self._done is not None
        self._done.set_result(Answer(text=text, model="m"))

    def fail(self) -> None:
        assert self._done is not None
        self._done.set_exception(ProviderUnavailableError("down", provider="fake"))


async def heard(items: AsyncGenerator[Delta | Answer, None]) -> list[str]:
    async with aclosing(items):
        return [item.text async for item in items]


def listen(flight: Flight) -> asyncio.Task[list[str]]:
    flight.board()
    return asyncio.create_task(heard(flight.follow()))


def wait(flight: Flight) -> asyncio.Task[Answer]:
    flight.board()
    return asyncio.create_task(flight.result())


async def test_all_hear_everything_whenever_they_joined() -> None:
    call = Call()
    flight = call.fly()
    early = listen(flight)
    await settle()
    call.say("one", "two")
    await settle()
    late = listen(flight)
    whole = wait(flight)
    await settle()
    call.say("three")
    call.end()
    last = listen(flight)
    everything = ["one", "two", "three", "the end"]
    assert await early == await late == await last == everything
    assert (await whole).text == "the end"
    assert call.ended == [flight]


async def test_a_slow_listener_holds_nobody_up() -> None:
    call = Call()
    flight = call.fly()
    flight.board()
    slow = flight.follow()
    quick = listen(flight)
    await settle()
    call.say("one", "two", "three")
    assert (await anext(slow)).text == "one"
    call.end()
    assert await quick == ["one", "two", "three", "the end"]
    assert await heard(slow) == ["two", "three", "the end"]


async def test_who_leaves_takes_nobody_along() -> None:
    call = Call()
    flight = call.fly()
    leaving, staying, listening = wait(flight), wait(flight), listen(flight)
    await settle()
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    assert not call.cancelled
    call.say("one")
    call.end()
    assert (await staying).text == "the end"
    assert await listening == ["one", "the end"]


async def test_the_call_ends_when_all_have_left() -> None:
    call = Call()
    flight = call.fly()
    waiting, listening = wait(flight), listen(flight)
    await settle()
    waiting.cancel()
    await settle()
    assert call.ended == []
    listening.cancel()
    await settle()
    assert call.cancelled
    assert call.ended == [flight], "nobody may board a call that is about to be cancelled"


async def test_a_listener_who_stops_listening_has_left() -> None:
    call = Call()
    flight = call.fly()
    flight.board()
    items = flight.follow()
    first = asyncio.ensure_future(anext(items))
    await settle()
    call.say("one")
    await first
    await items.aclose()
    await settle()
    assert call.cancelled


async def test_a_failure_reaches_all() -> None:
    call = Call()
    flight = call.fly()
    waiting = [wait(flight), wait(flight)]
    listening = listen(flight)
    await settle()
    call.say("one")
    call.fail()
    for task in (*waiting, listening):
        with pytest.raises(ProviderUnavailableError):
            await task
    assert call.ended == [flight]


async def test_a_failure_that_nobody_waits_for_is_not_reported_as_lost() -> None:
    """Warnings are errors in the tests: "exception was never retrieved" would fail this one."""
    call = Call()
    flight = call.fly()
    flight.board()
    await settle()
    call.fail()
    await settle()
    assert call.ended == [flight]


async def test_a_call_that_is_ended_is_told_as_an_error() -> None:
    """A waiter who was not cancelled must not see a cancellation: it would look as if his client had gone."""
    call = Call()
    flight = call.fly()
    waiting, listening = wait(flight), listen(flight)
    await settle()
    flight.cancel()
    with pytest.raises(OverloadedError):
        await waiting
    with pytest.raises(OverloadedError):
        await listening


async def test_who_does_not_wait_leaves_after_a_time() -> None:
    call = Call()
    flight = call.fly()
    flight.board()
    flight.leave_after(0.01)
    await settle()
    assert call.ended == []
    await until(lambda: call.cancelled)
    assert call.ended == [flight]


async def test_others_stay_when_the_time_is_over() -> None:
    call = Call()
    flight = call.fly()
    flight.board()
    flight.leave_after(0.01)
    waiting = wait(flight)
    await asyncio.sleep(0.05)
    call.end()
    assert (await waiting).text == "the end"


@given(st.lists(st.sampled_from(["say", "join", "leave", "turn"]), max_size=30), st.booleans())
def test_any_order_of_coming_and_going(steps: list[str], well: bool) -> None:
    asyncio.run(_come_and_go(steps, well))


async def _come_and_go(steps: list[str], well: bool) -> None:
    call = Call()
    flight = call.fly()
    aboard = [listen(flight)]
    said: list[str] = []
    await settle(3)
    for step in steps:
        if step == "say":
            said.append(f"piece {len(said)}")
            call.say(said[-1])
        elif step == "join":
            aboard.append(listen(flight))
        elif step == "leave" and len(aboard) > 1:
            gone = aboard.pop(0)
            await asyncio.sleep(0)  # one who never began to listen cannot leave
            gone.cancel()
        else:
            await asyncio.sleep(0)
    if well:
        call.end()
    else:
        call.fail()
    for task in aboard:
        if well:
            assert await task == [*said, "the end"]
        else:
            with pytest.raises(ProviderUnavailableError):
                await task
    assert call.ended == [flight]
