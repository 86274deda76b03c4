"""A shared call: everybody gets everything, whoever joins or leaves when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest
from hypothesis import given, strategies as st

from tilores_core.contracts import Answer, Delta
from tilores_core.errors import OverloadedError, ProviderUnavailableError
from tilores_core.resilience import Budget, InFlightCall, InFlightCalls, Priority
from tilores_core.testing.waiting import eventually, settle

Shared = InFlightCall[Answer, Delta]
Emit = Callable[[Delta], None]


class Call:
    """Work that says what the test tells it to."""

    def __init__(self) -> None:
        self.ended: list[Shared] = []
        self.cancelled = False
        self._emit: Emit | None = None
        self._done: asyncio.Future[Answer] | None = None

    def start(self) -> Shared:
        return InFlightCall(self._work, on_close=self.ended.append)

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


def listen(shared: Shared) -> asyncio.Task[list[str]]:
    shared.join()
    return asyncio.create_task(heard(shared.follow()))


def wait(shared: Shared) -> asyncio.Task[Answer]:
    shared.join()
    return asyncio.create_task(shared.result())


async def test_all_hear_everything_whenever_they_joined() -> None:
    call = Call()
    shared = call.start()
    early = listen(shared)
    await settle()
    call.say("one", "two")
    await settle()
    late = listen(shared)
    whole = wait(shared)
    await settle()
    call.say("three")
    call.end()
    last = listen(shared)
    everything = ["one", "two", "three", "the end"]
    assert await early == await late == await last == everything
    assert (await whole).text == "the end"
    assert call.ended == [shared]


async def test_a_slow_listener_holds_nobody_up() -> None:
    call = Call()
    shared = call.start()
    shared.join()
    slow = shared.follow()
    quick = listen(shared)
    await settle()
    call.say("one", "two", "three")
    assert (await anext(slow)).text == "one"
    call.end()
    assert await quick == ["one", "two", "three", "the end"]
    assert await heard(slow) == ["two", "three", "the end"]


async def test_who_leaves_takes_nobody_along() -> None:
    call = Call()
    shared = call.start()
    leaving, staying, listening = wait(shared), wait(shared), listen(shared)
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
    shared = call.start()
    waiting, listening = wait(shared), listen(shared)
    await settle()
    waiting.cancel()
    await settle()
    assert call.ended == []
    listening.cancel()
    await settle()
    assert call.cancelled
    assert call.ended == [shared], "nobody may join a call that is about to be cancelled"


async def test_a_listener_who_stops_listening_has_left() -> None:
    call = Call()
    shared = call.start()
    shared.join()
    items = shared.follow()
    first = asyncio.ensure_future(anext(items))
    await settle()
    call.say("one")
    await first
    await items.aclose()
    await settle()
    assert call.cancelled


async def test_a_failure_reaches_all() -> None:
    call = Call()
    shared = call.start()
    waiting = [wait(shared), wait(shared)]
    listening = listen(shared)
    await settle()
    call.say("one")
    call.fail()
    for task in (*waiting, listening):
        with pytest.raises(ProviderUnavailableError):
            await task
    assert call.ended == [shared]


async def test_a_failure_that_nobody_waits_for_is_not_reported_as_lost() -> None:
    """Warnings are errors in the tests: "exception was never retrieved" would fail this one."""
    call = Call()
    shared = call.start()
    shared.join()
    await settle()
    call.fail()
    await settle()
    assert call.ended == [shared]


@pytest.mark.parametrize("turns", [0, 3])
async def test_a_call_that_is_ended_is_told_as_an_error(turns: int) -> None:
    """A waiter who was not cancelled must not see a cancellation: it would look as if his client had gone. The call
    may not have begun to run."""
    call = Call()
    shared = call.start()
    waiting, listening = wait(shared), listen(shared)
    await settle(turns)
    shared.cancel()
    with pytest.raises(OverloadedError):
        await waiting
    with pytest.raises(OverloadedError):
        await listening


async def test_who_does_not_wait_leaves_after_a_time(pass_time: Callable[[float], None]) -> None:
    call = Call()
    shared = call.start()
    shared.join()
    shared.leave_after(100.0)
    await settle()
    assert call.ended == []
    pass_time(200.0)
    await eventually(lambda: call.cancelled)
    assert call.ended == [shared]


async def test_others_stay_when_the_time_is_over(pass_time: Callable[[float], None]) -> None:
    call = Call()
    shared = call.start()
    shared.join()
    shared.leave_after(100.0)
    waiting = wait(shared)
    pass_time(200.0)  # the time that was given is over
    await settle()
    call.end()
    assert (await waiting).text == "the end"


@given(st.lists(st.sampled_from(["say", "join", "leave", "turn"]), max_size=30), st.booleans())
def test_any_order_of_coming_and_going(steps: list[str], well: bool) -> None:
    asyncio.run(_come_and_go(steps, well))


async def _come_and_go(steps: list[str], well: bool) -> None:
    call = Call()
    shared = call.start()
    waiting = [listen(shared)]
    said: list[str] = []
    await settle(3)
    for step in steps:
        if step == "say":
            said.append(f"piece {len(said)}")
            call.say(said[-1])
        elif step == "join":
            waiting.append(listen(shared))
        elif step == "leave" and len(waiting) > 1:
            gone = waiting.pop(0)
            await asyncio.sleep(0)  # one who never began to listen cannot leave
            gone.cancel()
        else:
            await asyncio.sleep(0)
    if well:
        call.end()
    else:
        call.fail()
    for task in waiting:
        if well:
            assert await task == [*said, "the end"]
        else:
            with pytest.raises(ProviderUnavailableError):
                await task
    assert call.ended == [shared]


async def test_budget_grows_to_the_most_patient_waiter() -> None:
    now = time.monotonic()
    call = Call()
    shared = InFlightCall(call._work, budget=Budget(now + 5, Priority("prewarm")))
    promoted: list[bool] = []
    shared.budget.priority.on_promote(lambda: promoted.append(True))
    shared.join(Budget(now + 2, Priority("batch")))
    assert (shared.budget.until, shared.budget.priority.purpose) == (now + 5, "prewarm")
    shared.join(Budget(now + 9))
    shared.join(Budget(now + 3))
    assert (shared.budget.until, shared.budget.priority.live, promoted) == (now + 9, True, [True])
    assert shared.waiters == 3
    shared.cancel()
    await settle()


async def test_calls_of_one_key_share_one_piece_of_work() -> None:
    calls: InFlightCalls[int, Delta] = InFlightCalls()
    done = 0

    async def work(_: Emit) -> int:
        nonlocal done
        done += 1
        await asyncio.sleep(0)
        return done

    async def ask() -> int:
        call = calls.get("key") or calls.start("key", work)
        call.join()
        return await call.result()

    assert await asyncio.gather(*(ask() for _ in range(5))) == [1] * 5
    assert await ask() == 2
    await settle()
    assert (len(calls), "key" in calls) == (0, False)


async def test_a_later_call_replaces_one_that_is_not_joined_any_more() -> None:
    calls: InFlightCalls[Answer, Delta] = InFlightCalls()
    one, two = Call(), Call()
    first = calls.start("key", one._work)
    second = calls.start("key", two._work)
    waiting = [wait(first), wait(second)]
    await settle()
    assert calls.get("key") is second
    one.end("one")
    assert (await waiting[0]).text == "one"
    assert calls.get("key") is second, "the first one's end does not remove the second"
    two.end("two")
    assert (await waiting[1]).text == "two"
    assert "key" not in calls


async def test_closed_calls_cancel_all_and_start_none() -> None:
    calls: InFlightCalls[Answer, Delta] = InFlightCalls()
    call = Call()
    waiting = wait(calls.start("key", call._work))
    await settle()
    await calls.aclose()
    assert call.cancelled
    with pytest.raises(OverloadedError):
        await waiting
    with pytest.raises(OverloadedError):
        calls.start("key", call._work)
