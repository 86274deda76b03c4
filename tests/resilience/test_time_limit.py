"""A time limit: its own error when the time is over, and no other cancellation changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tilores_core.errors import DeadlineExceededError
from tilores_core.resilience import TimeLimit, call_about, current_task
from tilores_core.testing.waiting import eventually, settle


async def test_what_is_in_time_is_left_alone() -> None:
    with TimeLimit(60.0):
        assert await asyncio.sleep(0, "done") == "done"
    with pytest.raises(ZeroDivisionError), TimeLimit(60.0):
        raise ZeroDivisionError


async def test_of_two_limits_the_one_that_is_over_is_told() -> None:
    late = TimeLimit(0.0, lambda: DeadlineExceededError("late"))
    with pytest.raises(DeadlineExceededError), TimeLimit(60.0), late:
        await asyncio.Event().wait()
    me = asyncio.current_task()
    assert me is not None
    assert not me.cancelling()


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def work() -> None:
        with TimeLimit(60.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_task_is_that_of_the_loop_that_runs_now() -> None:
    def run_two_loops() -> list[bool]:
        async def is_found() -> bool:
            return current_task() is asyncio.current_task()

        return [asyncio.run(is_found()), asyncio.run(is_found())]

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(run_two_loops).result() == [True, True]
    with pytest.raises(RuntimeError):
        current_task()  # no loop runs


async def test_a_callback_has_no_task() -> None:
    assert current_task() is asyncio.current_task()
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def callback() -> None:
        with pytest.raises(RuntimeError, match="needs a task"):
            current_task()
        said.set_result("none")

    asyncio.get_running_loop().call_soon(callback)
    assert await said == "none"


async def test_callbacks_at_about_one_time_share_a_timer_and_can_be_discarded() -> None:
    loop, called = asyncio.get_running_loop(), list[str]()
    later = call_about(loop, 60.0, lambda: called.append("much later"))

    def first() -> None:
        called.append("first")
        due.discard(second)
        due.discard(first)

    def second() -> None:
        called.append("second")
        due.discard(first)
        due.discard(second)

    due = call_about(loop, 0.0, first)
    due.add(second)
    call_about(loop, 0.0, lambda: called.append("last"))
    await eventually(lambda: len(called) == 2)
    assert "last" in called
    assert {"first", "second"} & {*called}
    assert len(later) == 1


async def test_a_callback_is_not_called_early(pass_time: Callable[[float], None]) -> None:
    loop, called = asyncio.get_running_loop(), list[float]()
    begun = loop.time()
    call_about(loop, 30.0, lambda: called.append(loop.time()))
    pass_time(20.0)
    await settle()
    assert not called
    pass_time(10.2)
    await eventually(lambda: called)
    assert called[0] >= begun + 30.0
