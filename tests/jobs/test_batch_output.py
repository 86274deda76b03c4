"""The output of a batch is in order, whole, and goes on after any interruption with each line once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.jobs import batch_output
from tilores_core.jobs.batch_output import OrderedWriter, OutputFile, Reorder, read_written, resume
from tilores_core.testing.waiting import settle


def _ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def _row(place: int) -> dict[str, Any]:
    return {"id": f"id-{place}", "answer": "ü" * (place % 7), "line\nbreak": "a\nb"}


# --- order -----------------------------------------------------------------------


@given(st.data())
def test_any_order_comes_out_in_order(data: st.DataObject) -> None:
    count, window = data.draw(st.integers(0, 40)), data.draw(st.integers(1, 8))
    order: Reorder[int] = Reorder(first=0, window=window)
    todo, out = list(range(count)), []
    while todo:
        possible = [place for place in todo if order.has_room(place)]
        assert possible, "whoever waits for room gets it"
        place = data.draw(st.sampled_from(possible))
        todo.remove(place)
        out += order.put(place, place)
        assert len(order) < window
    assert out == list(range(count))


def test_a_place_leaves_once() -> None:
    order: Reorder[str] = Reorder(first=5, window=3)
    assert order.put(6, "b") == []
    for place in (4, 6, 8):
        with pytest.raises(ValueError, match=f"place {place} is not awaited"):
            order.put(place, "x")
    assert order.put(5, "a") == ["a", "b"]
    with pytest.raises(ValueError, match="not awaited"):
        order.put(5, "x")


# --- interruptions ---------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(0, 30),
    interruptions=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 120), st.randoms()), max_size=5),
)
def test_any_interruption_and_resume_gives_each_line_once(
    count: int, interruptions: list[tuple[int, int, random.Random]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A kill leaves a beginning of the bytes: cut somewhere in what the last write added."""
    path = tmp_path_factory.mktemp("out") / "out.jsonl"
    ids = [f"id-{place}" for place in range(count)]
    for finished, cut, chance in [*interruptions, (count, 0, random.Random(0))]:
        before = _some(path, ids, finished, chance)
        size = path.stat().st_size
        os.truncate(path, max(before, size - cut))
    assert _ids(path) == ids
    assert [json.loads(line) for line in path.read_text().splitlines()] == [_row(place) for place in range(count)]


def _some(path: Path, ids: list[str], finished: int, chance: random.Random) -> int:
    """Write some lines in a random order of finishing; the size before the last write."""
    file = OutputFile.open(path, resume=True)
    try:
        first = resume(path, ids)
        before = path.stat().st_size
        order: Reorder[dict[str, Any]] = Reorder(first=first, window=8)
        todo = list(range(first, len(ids)))
        for _ in range(min(finished, len(todo))):
            place = chance.choice([place for place in todo if order.has_room(place)])
            todo.remove(place)
            before = path.stat().st_size
            file.append(order.put(place, _row(place)))
        return before
    finally:
        file.close()


@given(cut=st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_a_torn_last_line_is_cut_off_wherever_it_was_torn(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("torn") / "out.jsonl"
    whole = b"".join(json.dumps(_row(place)).encode() + b"\n" for place in range(6))
    path.write_bytes(whole[:cut])
    OutputFile.open(path, resume=True).close()
    left = path.read_bytes()
    assert whole.startswith(left)
    assert left == b"" or left.endswith(b"\n")
    assert len(whole[:cut]) - len(left) < 120, "no more than one line is given up"


def test_a_torn_line_longer_than_a_block(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"id": "a"}\n{"id": "' + b"x" * 200_000)
    OutputFile.open(path, resume=True).close()
    assert path.read_bytes() == b'{"id": "a"}\n'
    path.write_bytes(b"x" * 200_000)
    OutputFile.open(path, resume=True).close()
    assert path.read_bytes() == b""


def test_resuming_counts_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert resume(path, ["a"]) == 0
    path.write_text('{"id": "a", "error": "x"}\n{"id": "b"}\n{"id": "c')
    told: list[tuple[dict[str, Any], int]] = []
    assert resume(path, iter("abcd"), lambda row, begins: told.append((row, begins))) == 2
    assert told == [({"id": "a", "error": "x"}, 0), ({"id": "b"}, 26)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a"}\n{"id": "x"}\n', "line 2 answers no line of this input"),
        ('{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n', "line 3 answers no line of this input"),
        ("a letter to somebody\n", "line 1 was not written by a batch"),
        ('{"id": "a"}\n[1]\n', "line 2 was not written by a batch"),
    ],
)
def test_the_output_of_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=said) as caught:
        resume(path, ["a", "b"])
    assert caught.value.fix
    assert path.read_text() == text


# --- the file --------------------------------------------------------------------


def test_an_output_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("precious")
    with pytest.raises(InvalidRequestError, match="is there already"):
        OutputFile.open(path, resume=False)
    assert path.read_text() == "precious"
    (tmp_path / "empty").touch()
    OutputFile.open(tmp_path / "empty", resume=False).close()


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "out.jsonl"
    file = OutputFile.open(path, resume=False)
    with pytest.raises(InvalidRequestError, match="another run writes"):
        OutputFile.open(path, resume=True)
    file.close()
    OutputFile.open(path, resume=True).close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TiloresError, match="cannot be written: No such file"):
        OutputFile.open(tmp_path / "nowhere" / "out.jsonl", resume=False)


# --- the writer ------------------------------------------------------------------


async def test_many_at_work_at_once(tmp_path: Path) -> None:
    path, count, window = tmp_path / "out.jsonl", 500, 16
    writer = OrderedWriter(OutputFile.open(path, resume=False), window=window)
    writer.start()
    begun = done = widest = 0

    async def work(place: int) -> None:
        nonlocal done
        await asyncio.sleep(random.uniform(0, 0.003))  # they end in any order
        writer.put(place, _row(place))
        done += 1

    async with asyncio.TaskGroup() as group:
        for place in range(count):
            await writer.room(place)
            begun += 1
            widest = max(widest, begun - done)
            group.create_task(work(place))
    await writer.aclose()
    assert _ids(path) == [f"id-{place}" for place in range(count)]
    assert 1 < widest <= window


async def test_a_straggler_holds_the_others_back_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = OrderedWriter(OutputFile.open(path, resume=False), window=4)
    writer.start()
    for place in (1, 2, 3):
        await writer.room(place)
        writer.put(place, _row(place))
    waiting = asyncio.create_task(writer.room(4))
    await settle()
    assert not waiting.done()
    assert _ids(path) == []
    writer.put(0, _row(0))
    await waiting
    await writer.aclose()
    assert _ids(path) == ["id-0", "id-1", "id-2", "id-3"]


async def test_nobody_waits_for_rows_to_be_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what may wait is written at once, and so is the last."""
    monkeypatch.setattr(batch_output, "_GATHER_SECONDS", 3600.0)
    path = tmp_path / "out.jsonl"
    writer = OrderedWriter(OutputFile.open(path, resume=False), window=8)
    writer.start()
    async with asyncio.timeout(30):
        for place in range(21):
            await writer.room(place)
            writer.put(place, _row(place))
        await writer.aclose()
    assert _ids(path) == [f"id-{place}" for place in range(21)]


async def test_room_is_there_as_soon_as_a_straggler_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_output, "_GATHER_SECONDS", 3600.0)
    writer = OrderedWriter(OutputFile.open(tmp_path / "out.jsonl", resume=False), window=8)
    writer.start()
    waiting = asyncio.create_task(writer.room(8))
    await settle()
    writer.put(0, _row(0))
    async with asyncio.timeout(30):
        await waiting
        await writer.aclose()


async def test_ending_early_leaves_what_waits_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = OrderedWriter(OutputFile.open(path, resume=False), window=4)
    writer.start()
    for place in (0, 2, 3):
        writer.put(place, _row(place))
    await writer.aclose()
    assert resume(path, [f"id-{place}" for place in range(4)]) == 1


async def test_a_full_disk_stops_those_who_wait(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = OrderedWriter(OutputFile(full, tmp_path / "out.jsonl"), window=2)
        writer.start()
        writer.put(0, _row(0))
        async with asyncio.timeout(60):
            with pytest.raises(TiloresError, match="cannot be written: No space left"):
                await writer.room(100)
            with pytest.raises(TiloresError, match="No space left"):
                await writer.aclose()


KILLED = """
import asyncio, random, sys
from pathlib import Path
from tilores_core.jobs.batch_output import OrderedWriter, OutputFile, resume

async def main(path, count):
    file = OutputFile.open(path, resume=True)
    first = resume(path, (f"id-{place}" for place in range(count)))
    writer = OrderedWriter(file, first=first, window=32)
    writer.start()
    print("ready", flush=True)
    async def work(place):
        await asyncio.sleep(random.uniform(0, 0.004))
        writer.put(place, {"id": f"id-{place}", "answer": "x" * random.randrange(3000)})
    async with asyncio.TaskGroup() as group:
        for place in range(first, count):
            await writer.room(place)
            group.create_task(work(place))
    await writer.aclose()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    path, count = tmp_path / "out.jsonl", 4000
    command = [sys.executable, "-c", KILLED, str(path), str(count)]
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(random.uniform(0.02, 0.15))  # the kill comes at any moment
            child.send_signal(signal.SIGKILL)
    killed = len(list(read_written(path)))
    assert 0 < killed < count, "the kills came too early or too late to show anything"
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert _ids(path) == [f"id-{place}" for place in range(count)]


MEMORY = """
import sys, psutil
from pathlib import Path
from tilores_core.jobs.batch_input import read_batch
from tilores_core.jobs.batch_output import OutputFile, resume

folder, count = Path(sys.argv[1]), int(sys.argv[2])
with (folder / "in.jsonl").open("w") as file:
    for number in range(count):
        file.write(f'{{"id": "id-number-{number}", "question": "What is it, {number}?", "customer": "C{number}"}}\\n')
next(read_batch(folder / "in.jsonl"))
before = psutil.Process().memory_info().rss
output, rows = OutputFile.open(folder / "out.jsonl", resume=False), []
for line in read_batch(folder / "in.jsonl"):
    rows.append({"id": line.id, "answer": line.question})
    if len(rows) == 500:
        output.append(rows)
        rows = []
output.append(rows)
assert resume(folder / "out.jsonl", (line.id for line in read_batch(folder / "in.jsonl"))) == count
print((psutil.Process().memory_info().rss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path), "20000"],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert int(done.stdout) < 4 * 1024, "KiB more after 20,000 lines"  # their ids alone would be 1.5 MB


def test_going_on_waits_for_a_run_that_is_being_ended(tmp_path: Path) -> None:
    """A kill returns before what it killed is gone."""
    before = OutputFile.open(tmp_path / "out.jsonl", resume=False)
    Timer(0.1, before.close).start()
    OutputFile.open(tmp_path / "out.jsonl", resume=True).close()
