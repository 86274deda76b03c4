"""Groups of lines are read ahead of their need, and nothing is closed under the thread that reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tilores_core.errors import InvalidRequestError
from tilores_core.jobs.batch_index import AnsweredIndex, ReadAhead
from tilores_core.jobs.batch_input import BatchLine

_LONG = 30.0


@pytest.fixture
def index(tmp_path: Path) -> Iterator[AnsweredIndex]:
    index = AnsweredIndex(tmp_path / "out.jsonl")
    yield index
    index.close()


def _lines(count: int, reached: dict[int, Event], held: dict[int, Event]) -> Iterator[BatchLine]:
    """`reached` is set when a place is read, which waits until it is no longer `held`."""
    for place in range(count):
        if place in reached:
            reached[place].set()
        if place in held and not held[place].wait(_LONG):
            raise TimeoutError
        yield BatchLine(place=place, number=place + 1, id=f"line-{place}", question=f"q{place}")


async def test_every_line_comes_in_order_and_then_nothing(index: AnsweredIndex) -> None:
    places: list[int] = []
    async with ReadAhead(_lines(10, {}, {}), index, 4) as ahead:
        while group := await ahead.next():
            places += [todo.line.place for todo in group]
        assert await ahead.next() == []
    assert places == list(range(10))


async def test_the_next_group_is_read_while_one_is_begun(index: AnsweredIndex) -> None:
    reached = {4: Event()}
    async with ReadAhead(_lines(8, reached, {}), index, 4) as ahead:
        assert len(await ahead.next()) == 4
        assert await asyncio.to_thread(reached[4].wait, _LONG)  # nobody has asked for it yet


async def test_leaving_waits_for_the_thread(index: AnsweredIndex) -> None:
    reached, held = {4: Event()}, {4: Event()}
    lines = _lines(8, reached, held)

    async def one_group() -> None:
        async with ReadAhead(lines, index, 4) as ahead:
            await ahead.next()
            await ahead.next()

    task = asyncio.create_task(one_group())
    assert await asyncio.to_thread(reached[4].wait, _LONG)
    task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    held[4].set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(lines) == []  # the group was read to its end, and no thread is in it


async def test_what_cannot_be_read_is_told_behind_what_can(index: AnsweredIndex) -> None:
    def lines() -> Iterator[BatchLine]:
        yield from _lines(4, {}, {})
        raise InvalidRequestError("in.jsonl, line 5", param="in.jsonl", fix="mend it")

    async with ReadAhead(lines(), index, 4) as ahead:
        assert len(await ahead.next()) == 4
        with pytest.raises(InvalidRequestError):
            await ahead.next()
