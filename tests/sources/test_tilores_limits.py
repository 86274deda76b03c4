"""How much is asked of an instance at once, and that live calls do not wait for the background."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sources.tilores_client import EDWINA_EMAIL, asked, connected
from tests.tilores_instance import TiloresInstance
from tilores_core import Identifiers, SourceUnavailableError, current_purpose
from tilores_core.contracts import Purpose
from tilores_core.testing.waiting import eventually, settle
from tilores_plugins.sources.tilores.limiter import Limiter
from tilores_plugins.sources.tilores.source import TiloresSource

WHO = Identifiers(email=EDWINA_EMAIL)


async def _for(purpose: Purpose, source: TiloresSource) -> int:
    current_purpose.set(purpose)  # of this task alone
    return len(await source.find(WHO))


class _Turns:
    """Calls that last until they are told to end."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.running: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, name: str, *, background: bool) -> asyncio.Task[None]:
        async def call() -> None:
            async with self._limiter.turn(background=background):
                self.running.append(name)
                await self._ends.setdefault(name, asyncio.Event()).wait()
                self.running.remove(name)

        task = asyncio.create_task(call())
        self._tasks.append(task)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task

    async def end(self, name: str) -> None:
        self._ends[name].set()
        for _ in range(4):
            await asyncio.sleep(0)

    async def clear(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_live_calls_go_first() -> None:
    limiter = Limiter(2, 1, 10)
    turns = _Turns(limiter)
    for name in ("b1", "b2", "b3"):
        await turns.begin(name, background=True)
    assert turns.running == ["b1"], "the background has one place"
    await turns.begin("l1", background=False)
    await turns.begin("l2", background=False)
    assert turns.running == ["b1", "l1"]
    await turns.begin("l3", background=False)
    assert (limiter.in_flight, limiter.waiting) == (2, 4)
    await turns.end("b1")
    assert turns.running == ["l1", "l2"], "the live call that came last goes before the background"
    await turns.end("l1")
    assert turns.running == ["l2", "l3"]
    await turns.end("l2")
    assert turns.running == ["l3", "b2"]
    await turns.end("l3")
    assert turns.running == ["b2"], "still one place for the background"
    await turns.end("b2")
    assert turns.running == ["b3"]
    await turns.clear()
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


async def test_who_gives_up_leaves_no_place_taken() -> None:
    turns = _Turns(Limiter(1, 1, 10))
    await turns.begin("l1", background=False)
    gone = await turns.begin("l2", background=False)
    await turns.begin("l3", background=False)
    gone.cancel()
    await turns.end("l1")
    assert turns.running == ["l3"]
    # Given its turn and cancelled in the same moment: the turn goes on to the next.
    both = await turns.begin("l4", background=False)
    await turns.begin("l5", background=False)
    turns._ends["l3"].set()
    await asyncio.sleep(0)
    both.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert turns.running in (["l5"], ["l4"], [])
    await settle()
    assert turns.running == ["l5"]
    await turns.clear()


async def test_a_place_that_frees_as_its_next_owner_leaves_goes_to_the_one_after() -> None:
    turns = _Turns(Limiter(1, 1, 10))
    await turns.begin("l1", background=False)
    gone = await turns.begin("l2", background=False)
    await turns.begin("l3", background=False)
    turns._ends["l1"].set()
    gone.cancel()  # before either of them has run
    for _ in range(6):
        await asyncio.sleep(0)
    assert turns.running == ["l3"]
    with pytest.raises(asyncio.CancelledError):
        await gone
    await turns.clear()


async def test_no_more_than_that_many_wait() -> None:
    turns = _Turns(Limiter(1, 1, 2))
    for name in ("l1", "l2", "l3"):
        await turns.begin(name, background=False)
    refused = await turns.begin("l4", background=False)
    with pytest.raises(SourceUnavailableError, match="wait for their turn") as raised:
        await refused
    assert "max_in_flight" in str(raised.value.fix)
    await turns.clear()


async def test_the_background_does_not_hold_up_live_calls(tmp_path: Path) -> None:
    limits: dict[str, Any] = {
        "max_in_flight": 4,
        "background_share": 0.5,
        "timeout_seconds": 10,
        "background_timeout_seconds": 30,
    }
    async with TiloresInstance() as instance, connected(instance, tmp_path, **limits) as source:
        await source.schema()
        instance.faults.hang(times=2)  # all that the background may have
        background = [asyncio.create_task(_for("batch", source)) for _ in range(20)]
        await eventually(lambda: instance.in_flight >= 2)
        others: tuple[Purpose, ...] = ("prewarm", "evaluation", "improvement")
        background += [asyncio.create_task(_for(purpose, source)) for purpose in others]
        for _ in range(3):
            assert await asyncio.wait_for(_for("live", source), 60) == 1
        assert len(asked(instance)) == 2 + 3, "none of the background went before them"
        instance.faults.clear()
        assert await asyncio.gather(*background) == [1] * 23
        assert instance.in_flight_max <= 4


async def test_the_background_has_its_own_time(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"timeout_seconds": 0.3, "background_timeout_seconds": 5}
    async with TiloresInstance() as instance, connected(instance, tmp_path, **limits) as source:
        await source.schema()
        instance.faults.latency_seconds = 0.6
        with pytest.raises(SourceUnavailableError, match=r"0\.3 s"):
            await source.find(WHO)
        assert await asyncio.create_task(_for("batch", source)) == 1
