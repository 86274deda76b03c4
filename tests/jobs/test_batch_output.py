"""The output of a batch is in order, whole, and goes on after any interruption with each line once."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.jobs import batch_output
from tilores_core.jobs.batch import Batch, BatchPlan
from tilores_core.jobs.batch_input import BatchLine
from tilores_core.jobs.batch_output import OrderedOutput, OutputBusyError, OutputFile, Row, Slot, read_written, resume
from tilores_core.testing.waiting import settle


def _ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def _row(place: int) -> dict[str, Any]:
    return {"id": f"id-{place}", "answer": "ü" * (place % 7), "line\nbreak": "a\nb"}


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
    """Write some lines, a few at a time; the size before the last write."""
    file = OutputFile.open(path, resume=True)
    try:
        first = len(list(resume(path, ids, str)))
        before = path.stat().st_size
        while first < min(finished, len(ids)):
            before, last = path.stat().st_size, min(first + chance.randrange(1, 8), finished, len(ids))
            file.append(_row(place) for place in range(first, last))
            first = last
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
    assert list(resume(path, ["a"], str)) == []
    path.write_text('{"id": "a", "error": "x"}\n{"id": "b"}\n{"id": "c')
    ids = iter("abcd")
    assert list(resume(path, ids, str)) == [("a", {"id": "a", "error": "x"}, 0), ("b", {"id": "b"}, 26)]
    assert next(ids) == "c"


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
        list(resume(path, ["a", "b"], str))
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


async def _add(output: OrderedOutput[int], *places: int) -> list[Slot[int]]:
    return [await output.add(place, None) for place in places]


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_order_comes_out_in_order(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("order") / "out.jsonl"
    count, window = data.draw(st.integers(0, 30)), data.draw(st.integers(1, 8))

    async def main() -> None:
        output: OrderedOutput[int] = OrderedOutput(OutputFile.open(path, resume=False), window=window)
        writing, added = asyncio.create_task(output.write()), 0
        open_slots: list[Slot[int]] = []
        while added < count or open_slots:
            if added < count and output.has_room:
                open_slots += await _add(output, added)
                added += 1
            elif open_slots:
                slot = open_slots.pop(data.draw(st.integers(0, len(open_slots) - 1)))
                output.finish(slot, _row(slot.line))
            else:
                open_slots += await _add(output, added)  # it waits until what is finished was taken
                added += 1
        output.end()
        await writing

    asyncio.run(main())
    assert _ids(path) == [f"id-{place}" for place in range(count)]


async def test_a_straggler_holds_the_others_back_and_loses_none(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    output: OrderedOutput[int] = OrderedOutput(OutputFile.open(path, resume=False), window=4)
    writing = asyncio.create_task(output.write())
    slots = await _add(output, 0, 1, 2, 3)
    for slot in slots[1:]:
        output.finish(slot, _row(slot.line))
    waiting = asyncio.create_task(output.add(4, None))
    await settle()
    assert not waiting.done()
    assert _ids(path) == []
    output.finish(slots[0], _row(0))
    output.finish(await waiting, _row(4))
    output.end()
    await writing
    assert _ids(path) == [f"id-{place}" for place in range(5)]


async def test_nobody_waits_for_rows_to_be_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of what may wait is written at once, and so is the last."""
    monkeypatch.setattr(batch_output, "_GATHER_SECONDS", 3600.0)
    path = tmp_path / "out.jsonl"
    output: OrderedOutput[int] = OrderedOutput(OutputFile.open(path, resume=False), window=8)
    writing = asyncio.create_task(output.write())
    async with asyncio.timeout(30):
        for place in range(21):
            (slot,) = await _add(output, place)
            output.finish(slot, _row(place))
        output.end()
        await writing
    assert _ids(path) == [f"id-{place}" for place in range(21)]


async def test_room_is_there_as_soon_as_a_straggler_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_output, "_GATHER_SECONDS", 3600.0)
    file = OutputFile.open(tmp_path / "out.jsonl", resume=False)
    output: OrderedOutput[int] = OrderedOutput(file, window=8)
    writing = asyncio.create_task(output.write())
    first, *_ = await _add(output, *range(8))
    output.finish(first, _row(0))
    async with asyncio.timeout(30):
        await output.add(8, None)
        output.end(unfinished=True)
        await writing
    file.close()


async def test_ending_early_leaves_what_waits_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    file = OutputFile.open(path, resume=False)
    counted = list[Row]()
    output: OrderedOutput[int] = OrderedOutput(file, window=4, count=counted.append)
    writing = asyncio.create_task(output.write())
    for slot in await _add(output, 0, 1, 2, 3):
        if slot.line != 1:
            output.finish(slot, _row(slot.line))
    output.end(unfinished=True)
    await writing
    with pytest.raises(OutputBusyError):  # what waits is kept before another run may go on
        OutputFile.open(path, resume=False)
    file.close()
    assert counted == [_row(0)]
    assert len(list(resume(path, [f"id-{place}" for place in range(4)], str))) == 1
    assert [slot.line for slot in output.early()] == [2, 3]


class Quick:
    """Answers after a moment, and kills its process at the `last` question; 0: never."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self.asked = 0

    def try_cached(self, line: BatchLine) -> dict[str, Any] | None:
        return None

    async def process(self, line: BatchLine) -> dict[str, Any]:
        self.asked += 1
        if self.asked == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(random.uniform(0, 0.002))  # they end in any order
        answer = "x" * random.randrange(3000)
        return {"id": line.id, "answer": answer, "customer": "one", "cache": "miss", "attempts": 1}


async def test_a_full_disk_ends_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "in.jsonl").write_text("".join(f'{{"question": "q{n}"}}\n' for n in range(100)))
    with Path("/dev/full").open("wb", buffering=0) as full:
        file = OutputFile(full, tmp_path / "out.jsonl")
        monkeypatch.setattr(OutputFile, "open", lambda path, *, resume: file)
        plan = BatchPlan(source=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", concurrency=4, window=8)
        async with asyncio.timeout(60):
            with pytest.raises(TiloresError, match="cannot be written: No space left"):
                await Batch(plan, Quick()).run()


KILLED = f"""
from __future__ import annotations
import asyncio, os, random, signal, sys
from pathlib import Path
from typing import Any
from tilores_core.jobs.batch import Batch, BatchPlan
from tilores_core.jobs.batch_input import BatchLine

{inspect.getsource(Quick)}

async def main(folder, last):
    plan = BatchPlan(source=folder / "in.jsonl", output=folder / "out.jsonl", concurrency=16, window=32, resume=True)
    await Batch(plan, Quick(last)).run()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    path, count = tmp_path / "out.jsonl", 3000
    (tmp_path / "in.jsonl").write_text("".join(f'{{"id": "id-{n}", "question": "q{n}"}}\n' for n in range(count)))
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    for _ in range(4):
        ended = subprocess.run([*command, str(random.randrange(200, 600))], timeout=60, check=False)
        assert ended.returncode == -signal.SIGKILL
    assert 0 < len(list(read_written(path))) < count
    subprocess.run([*command, "0"], check=True, timeout=60)
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
lines = read_batch(folder / "in.jsonl")
assert sum(1 for _ in resume(folder / "out.jsonl", lines, lambda line: line.id)) == count
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
