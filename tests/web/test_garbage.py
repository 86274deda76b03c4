"""When a serving process looks for garbage."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import AsyncIterator

import pytest

from tilores_core.garbage import GarbageCollection


class Circle:
    """Freed by a look alone."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
async def garbage() -> AsyncIterator[GarbageCollection]:
    before = gc.get_threshold()
    made = GarbageCollection(seconds=0.02)
    made.start()
    yield made
    await made.aclose()
    assert gc.get_threshold() == before
    gc.unfreeze()


async def test_what_a_piece_of_work_left_is_found_when_it_is_over(garbage: GarbageCollection) -> None:
    left = weakref.ref(Circle())
    assert left() is not None
    garbage.young()
    assert left() is None


async def test_what_outlived_that_is_found_a_little_later(garbage: GarbageCollection) -> None:
    circle: Circle | None = Circle()
    left = weakref.ref(circle)
    garbage.young()
    circle = None
    garbage.young()
    assert left() is not None, "it is of the middle generation now"
    async with asyncio.timeout(5):
        while left() is not None:
            await asyncio.sleep(0.01)


async def test_the_young_do_not_pile_up_where_as_many_are_freed_as_made(garbage: GarbageCollection) -> None:
    kept: list[list[object]] = [[] for _ in range(2000)]
    for _ in range(10):
        kept = [*kept[500:], *([] for _ in range(500))]
        garbage.young()
    assert len(gc.get_objects(0)) < 500


@pytest.mark.parametrize("first_out", [0, 1])
async def test_of_several_the_last_to_close_leaves_it_as_it_was(first_out: int) -> None:
    before = gc.get_threshold()
    both = [GarbageCollection(), GarbageCollection()]
    for one in both:
        one.start()
    await both[first_out].aclose()
    await both[1 - first_out].aclose()
    assert gc.get_threshold() == before
    gc.unfreeze()


async def test_in_the_end_it_looks_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is ever made fast enough for Python to look by itself."""
    monkeypatch.setattr("tilores_core.garbage._LOOKS_A_MINUTE", 2)
    garbage = GarbageCollection(seconds=0.01)
    garbage.start()
    try:
        circle: Circle | None = Circle()
        left = weakref.ref(circle)
        gc.collect(1)
        gc.collect(1)
        assert any(one is circle for one in gc.get_objects(generation=2))
        circle = None
        async with asyncio.timeout(5):
            while left() is not None:
                await asyncio.sleep(0.01)
    finally:
        await garbage.aclose()
        gc.unfreeze()


async def test_a_library_that_is_imported_later_is_not_looked_at(
    garbage: GarbageCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 1:
            looked.append(len(gc.get_objects(generation=1)))

    library = [[number] for number in range(40_000)]
    gc.collect(0)
    for number in range(50):
        monkeypatch.setitem(sys.modules, f"library.part{number}", sys)
    gc.callbacks.append(note)
    try:
        async with asyncio.timeout(5):
            while not looked:
                await asyncio.sleep(0.01)
    finally:
        gc.callbacks.remove(note)
    assert looked[0] < len(library)
    assert not any(one is library for one in gc.get_objects())  # what is kept is not listed


async def test_threads_give_way_soon_while_it_serves() -> None:
    before = sys.getswitchinterval()
    garbage = GarbageCollection()
    garbage.start()
    assert sys.getswitchinterval() < before
    await garbage.aclose()
    assert sys.getswitchinterval() == before
    gc.unfreeze()


async def test_looks_by_count_leave_what_is_older_alone(garbage: GarbageCollection) -> None:
    looks: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looks.append(info["generation"])

    gc.callbacks.append(note)
    try:
        kept = [[number] for number in range(40_000)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 40_000
    assert looks
    assert set(looks) == {0}
