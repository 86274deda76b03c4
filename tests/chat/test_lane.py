"""Single file: how much of what goes on behind the scenes comes before a caller, and that nothing else changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import pairwise

import pytest

from tilores_core.chat.lane import Lane
from tilores_core.resilience import Priority

BATCH, PREWARM = Priority("batch"), Priority("prewarm")


def _shared(live: int = 0) -> Lane:
    lane = Lane()
    lane.stand_behind(lambda: live)
    return lane


class Crowd:
    """Many who want to compute all the time; `steps` counts what they have done."""

    def __init__(self) -> None:
        self.steps = 0

    async def work(self) -> None:
        while True:
            self.steps += 1
            await asyncio.sleep(0)

    @asynccontextmanager
    async def at_work(self, lane: Lane, count: int = 64) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(lane.through(self.work, BATCH)) for _ in range(count)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request() -> None:
    """As a server answers: the rest of the body, a look elsewhere, the reply."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize(("lane", "most"), [(_shared(), 3), (Lane(), None)], ids=["shared", "alone"])
async def test_a_caller_in_the_middle_waits_for_few_steps(lane: Lane, most: int | None) -> None:
    """However many are ready. Where no caller can be, nobody is held up."""
    crowd = Crowd()
    async with crowd.at_work(lane):
        for _ in range(20):
            before = crowd.steps
            await asyncio.create_task(_request())
            steps = crowd.steps - before
            assert steps >= 64 if most is None else steps <= most


async def test_all_get_their_turn() -> None:
    lane, done = _shared(), [0] * 8

    async def work(number: int) -> None:
        while True:
            done[number] += 1
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(lane.through(lambda number=number: work(number), BATCH)) for number in range(8)]  # type: ignore[misc]
    while sum(done) < 400:
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert max(done) - min(done) <= 1


async def test_waiting_needs_no_lane() -> None:
    """A thousand wait for their models at once."""
    lane, event, waiting = _shared(live=1), asyncio.Event(), 0

    async def turn() -> int:
        nonlocal waiting
        waiting += 1
        await event.wait()
        return 1

    tasks = [asyncio.create_task(lane.through(turn, BATCH)) for _ in range(1000)]
    while waiting < 1000:
        await asyncio.sleep(0)
    event.set()
    assert sum(await asyncio.gather(*tasks)) == 1000


async def test_what_is_warmed_comes_before_a_batch() -> None:
    lane, crowd = _shared(), Crowd()
    async with crowd.at_work(lane):
        before = crowd.steps
        await lane.through(_request, PREWARM)
        assert crowd.steps - before <= 5


async def test_who_rises_in_line_leaves_it() -> None:
    lane, crowd, priority = _shared(), Crowd(), Priority("batch")
    async with crowd.at_work(lane):
        task = asyncio.create_task(lane.through(_request, priority))
        await asyncio.sleep(0)
        before = crowd.steps
        priority.promote()
        await task
        assert crowd.steps - before <= 4
        before = crowd.steps
        await _request()
        assert crowd.steps > before, "the lane is not held by who left it"


async def test_while_callers_wait_the_lane_rests_between() -> None:
    """It gets half of the time at most: a step that took long is followed by as long a rest."""
    lane, ready = _shared(live=1), asyncio.Event()
    loop = asyncio.get_running_loop()
    spans: list[tuple[float, float]] = []

    async def work() -> None:
        for _ in range(3):
            began = loop.time()
            while loop.time() < began + 0.004:
                pass
            spans.append((began, loop.time()))
            await asyncio.sleep(0)
        ready.set()

    await lane.through(work, BATCH)
    assert ready.is_set()
    for (_, ended), (began, _) in pairwise(spans):
        assert began - ended >= 0.003


async def test_between_is_called_after_a_millisecond_of_work_not_after_each_step() -> None:
    lane, calls = Lane(), 0

    def between() -> None:
        nonlocal calls
        calls += 1

    async def work(steps: int, seconds: float) -> None:
        for _ in range(steps):
            ends = time.perf_counter() + seconds
            while time.perf_counter() < ends:
                pass
            await asyncio.sleep(0)

    lane.stand_behind(lambda: 0, between=between)
    await lane.through(lambda: work(3, 0.002), BATCH)
    assert calls >= 3
    await lane.through(lambda: work(200, 0.0), BATCH)
    assert calls < 100


# --- nothing else changes ------------------------------------------------------------------------------------


async def test_results_errors_and_context_come_through() -> None:
    lane, told = _shared(), ContextVar("told", default=0)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    async def catches() -> str:
        told.set(1)
        task = asyncio.current_task()
        with pytest.raises(KeyError):
            await asyncio.ensure_future(fails())
        assert told.get() == 1
        assert asyncio.current_task() is task
        return "well"

    assert await lane.through(catches, BATCH) == "well"
    with pytest.raises(KeyError):
        await lane.through(fails, BATCH)
    assert await asyncio.create_task(lane.through(catches, BATCH)) == "well", "free again after a failure"


async def test_timeouts_end_what_they_are_around() -> None:
    lane, crowd = _shared(), Crowd()

    async def slow() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            await asyncio.sleep(0)
            return "late"
        return "never"

    async with crowd.at_work(lane, 4):
        assert await asyncio.create_task(lane.through(slow, BATCH)) == "late"


@pytest.mark.parametrize("rounds", range(6))
async def test_cancelled_at_any_moment_it_ends_and_the_lane_is_free(rounds: int) -> None:
    lane, ended = _shared(), 0

    async def work() -> None:
        nonlocal ended
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            ended += 1

    tasks = [asyncio.create_task(lane.through(work, BATCH)) for _ in range(3)]
    for _ in range(20 + rounds):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in told] == [asyncio.CancelledError] * 3
    assert ended == 3
    early = asyncio.create_task(lane.through(work, BATCH))
    early.cancel()
    await asyncio.gather(early, return_exceptions=True)
    assert await asyncio.create_task(lane.through(lambda: asyncio.sleep(0, "free"), BATCH)) == "free"
