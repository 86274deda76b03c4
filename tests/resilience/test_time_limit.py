"""A time limit: its own error when the time is over, and no other cancellation changed."""

from __future__ import annotations

import asyncio

import pytest

from tilores_core.errors import DeadlineExceededError
from tilores_core.resilience import TimeLimit
from tilores_core.testing.waiting import settle


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
