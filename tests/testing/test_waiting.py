"""The clock and the waiting that tests share."""

from __future__ import annotations

import asyncio

import pytest

from tilores_core.testing import Clock, eventually, settle, wait_until


def test_clock_moves_only_when_it_is_moved() -> None:
    clock = Clock(10.0)
    assert (clock(), clock()) == (10.0, 10.0)
    clock.advance(2.5)
    assert clock() == 12.5
    clock.now = 1.0
    assert clock() == 1.0


async def test_eventually_returns_the_value_that_became_true() -> None:
    seen: list[str] = []
    asyncio.get_running_loop().call_later(0.02, seen.append, "here")
    assert await eventually(lambda: seen) == ["here"]


async def test_eventually_awaits_a_condition_that_is_a_coroutine() -> None:
    answers = iter((0, "", "now"))

    async def ask() -> object:
        return next(answers)

    assert await eventually(ask) == "now"


async def test_eventually_fails_with_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"^the reply: not within 0\.01 s$"):
        await eventually(lambda: False, "the reply", seconds=0.01)


async def test_eventually_lets_an_error_of_the_condition_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 // 0)


def test_wait_until_returns_the_value_or_fails_with_what_it_waited_for() -> None:
    answers = iter((0, 0, 7))
    assert wait_until(lambda: next(answers), every=0) == 7
    with pytest.raises(AssertionError, match=r"^the end: not within 0\.01 s$"):
        wait_until(lambda: None, "the end", seconds=0.01)


async def test_settle_runs_tasks_that_are_ready() -> None:
    async def count_to(last: int) -> int:
        for _ in range(last):
            await asyncio.sleep(0)
        return last

    task = asyncio.create_task(count_to(20))
    await settle()
    assert task.done()
