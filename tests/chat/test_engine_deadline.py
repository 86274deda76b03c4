"""The deadline of a turn: the engine keeps it, with one error, wherever the time went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.chat.engine_world import ABOUT_EDWINA, World, finished, question, table
from tilores_core.contracts import Answer, CachePolicy, Turn
from tilores_core.errors import DeadlineExceededError
from tilores_core.testing import FakeReply
from tilores_core.testing.waiting import eventually

SOON = 0.05
Ask = Callable[[World, Turn], Awaitable[Any]]


async def answered(world: World, turn: Turn) -> Answer:
    return await world.engine.answer(turn)


async def streamed(world: World, turn: Turn) -> Answer:
    items = [item async for item in world.engine.stream(turn)]
    assert isinstance(items[-1], Answer)
    return items[-1]


both_ways = pytest.mark.parametrize("ask", [answered, streamed])


def soon(**turn: Any) -> Turn:
    return question(deadline=time.monotonic() + SOON, **turn)


@both_ways
async def test_turn_ends_at_its_deadline_when_the_source_hangs(ask: Ask) -> None:
    async with World(source_seconds=60.0) as world:
        world.crm.gate = asyncio.Event()
        with pytest.raises(DeadlineExceededError, match="no answer within the deadline"):
            await ask(world, soon())
        await eventually(lambda: world.outcomes)
        assert world.outcomes[0].error == "deadline_exceeded"
        assert world.calls == 0


@both_ways
async def test_turn_ends_at_its_deadline_when_the_model_hangs(ask: Ask) -> None:
    async with World() as world:
        world.provider.enqueue(FakeReply(text="one two", until=asyncio.Event()))
        with pytest.raises(DeadlineExceededError, match="no answer within the deadline"):
            await ask(world, soon())


@both_ways
async def test_turn_that_joins_a_call_keeps_its_own_deadline(ask: Ask) -> None:
    async with World() as world:
        go = asyncio.Event()
        world.provider.enqueue(FakeReply(text="It is 700.", until=go))
        patient = asyncio.create_task(world.ask())
        await eventually(lambda: world.calls == 1)
        with pytest.raises(DeadlineExceededError):
            await ask(world, soon())
        go.set()
        assert (await patient).text == "It is 700."
        assert world.calls == 1


@both_ways
async def test_stored_answer_that_is_too_old_is_served_at_the_deadline(ask: Ask) -> None:
    async with World(answers=table(100)) as world:
        world.provider.enqueue("old", FakeReply(text="new", until=asyncio.Event()))
        await world.ask()
        world.clock.advance(50)
        answer = await ask(world, soon(cache=CachePolicy(max_age=10)))
        assert (answer.text, answer.stale) == ("old", True)


async def test_timeout_error_of_a_plugin_is_not_taken_for_the_deadline() -> None:
    async with World() as world:

        async def broken(customer_id: str) -> None:
            raise TimeoutError

        world.crm.get = broken  # type: ignore[method-assign]
        (error,) = await finished(world.ask(ABOUT_EDWINA, customer_id="C-1"))
        assert not isinstance(error, DeadlineExceededError)
