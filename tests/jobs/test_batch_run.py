"""A whole batch over a scripted worker: order, each question once, ends of all kinds, and going on afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tilores_core.errors import InvalidRequestError, TiloresError
from tilores_core.jobs.batch import Batch, BatchPlan, check_paths, failures_path
from tilores_core.jobs.batch_index import AnsweredIndex, line_key
from tilores_core.jobs.batch_input import BatchLine, read_batch
from tilores_core.jobs.batch_output import early_path, keep_early, take_early
from tilores_core.jobs.batch_rows import Speed, Totals, count_lines
from tilores_core.jobs.executor_backend import ExecutorBackend, deserialize_line
from tilores_core.metrics import Metrics
from tilores_core.metrics.catalogue import BATCH_LINES
from tilores_core.metrics.meters import ModelLabels
from tilores_core.testing.waiting import eventually


class Worker:
    """Answers with the question; `slow(line)`: seconds a line takes; `bad`: questions that fail."""

    def __init__(
        self, slow: Callable[[BatchLine], float] = lambda line: 0.0, bad: tuple[str, ...] = (), known: bool = False
    ) -> None:
        self.asked: Counter[str] = Counter()
        self.at_work = self.most = 0
        self._slow = slow
        self._bad = bad
        self._known = known

    def try_cached(self, line: BatchLine) -> dict[str, Any] | None:
        return _row(line, "l1") if self._known else None

    async def process(self, line: BatchLine) -> dict[str, Any]:
        self.asked[line.question or ""] += 1
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        try:
            await asyncio.sleep(self._slow(line))  # how long a line takes is up to the test
        finally:
            self.at_work -= 1
        if line.question in self._bad:
            return {**_row(line, None), "error": {"code": "x", "message": "no", "fix": None}}
        return _row(line, "miss")


def _row(line: BatchLine, cache: str | None) -> dict[str, Any]:
    answer = f"answer to {line.question}"
    return {"id": line.id, "answer": answer, "customer": "one", "cache": cache, "attempts": 1, "latency_ms": 1.0}


def _write(path: Path, questions: list[str]) -> list[str]:
    ids = [f"line-{place}" for place in range(len(questions))]
    path.write_text("".join(json.dumps({"id": i, "question": q}) + "\n" for i, q in zip(ids, questions, strict=True)))
    return ids


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _batch(folder: Path, work: Worker, **plan: Any) -> Batch:
    backend = plan.pop("backend", None)
    settings: dict[str, Any] = {"concurrency": 8, "window": 32, "group": 16, **plan}
    return Batch(
        BatchPlan(source=folder / "in.jsonl", output=folder / "out.jsonl", **settings),
        work,
        backend=backend,
    )


# --- order, concurrency, failures -----------------------------------------------------------------------------


async def test_rows_come_in_order_and_many_are_at_work(tmp_path: Path) -> None:
    ids = _write(tmp_path / "in.jsonl", [f"q{n}" for n in range(300)])
    work = Worker(slow=lambda line: random.uniform(0, 0.004))
    totals = await _batch(tmp_path, work).run()
    rows = _rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == ids
    assert all(row["answer"] == f"answer to q{n}" for n, row in enumerate(rows))
    assert 1 < work.most <= 8
    assert totals == Totals(lines=300, attempts=300)


async def test_a_failure_stops_nothing_and_can_be_run_again(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    _write(source, [f"q{n}" for n in range(40)])
    source.write_text(source.read_text() + "no JSON at all\n")
    batch = _batch(tmp_path, Worker(bad=("q3", "q17")))
    totals = await batch.run()
    assert (totals.lines, totals.failed) == (41, 3)
    assert await batch.write_failures() == 3
    again = failures_path(tmp_path / "out.jsonl")
    assert again.name == "out.jsonl.failed.jsonl"
    keep_early(tmp_path / "out.jsonl", {7: {"id": "kept"}})
    readable = [path.name for path in tmp_path.glob("out.jsonl*") if path.stat().st_mode & 0o077]
    assert readable == [], "they hold answers and questions of customers"
    lines = list(read_batch(again))
    assert [(line.id, line.question) for line in lines] == [("line-3", "q3"), ("line-17", "q17"), ("41", None)]
    assert lines[2].problem is not None

    _write(source, ["q1"])
    (tmp_path / "out.jsonl").unlink()
    better = _batch(tmp_path, Worker())
    await better.run()
    assert await better.write_failures() == 0
    assert not again.exists()


async def test_a_fault_of_the_worker_is_one_lines(tmp_path: Path) -> None:
    _write(tmp_path / "in.jsonl", ["fine", "faulty", "fine too"])

    class Faulty(Worker):
        async def process(self, line: BatchLine) -> dict[str, Any]:
            if line.question == "faulty":
                raise ZeroDivisionError("mark")
            return await super().process(line)

    totals = await _batch(tmp_path, Faulty()).run()
    assert (totals.lines, totals.failed) == (3, 1)
    assert _rows(tmp_path / "out.jsonl")[1]["error"]["code"] == "internal"


async def test_what_cannot_be_read_or_written_ends_it_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"in\.jsonl cannot be read"):
        await _batch(tmp_path, Worker()).run()
    (tmp_path / "out.jsonl").unlink()
    (tmp_path / "in.jsonl").write_text("")
    assert (await _batch(tmp_path, Worker()).run()).lines == 0
    with pytest.raises(InvalidRequestError, match="is the input"):
        check_paths(tmp_path / "in.jsonl", tmp_path / "in.jsonl")


# --- each question once ---------------------------------------------------------------------------------------


async def test_the_same_question_is_asked_once_wherever_it_comes_again(tmp_path: Path) -> None:
    questions = [f"q{n % 50}" for n in range(400)]
    random.Random(5).shuffle(questions)
    ids = _write(tmp_path / "in.jsonl", questions)
    work = Worker(slow=lambda line: random.uniform(0, 0.002))  # it has no cache at all
    totals = await _batch(tmp_path, work).run()
    rows = _rows(tmp_path / "out.jsonl")
    assert work.asked == dict.fromkeys(set(questions), 1)
    assert totals.repeated == 350
    assert [(row["id"], row["answer"]) for row in rows] == [
        (i, f"answer to {q}") for i, q in zip(ids, questions, strict=True)
    ]
    assert {row["attempts"] for row in rows if row["cache"] == "batch"} == {0}


async def test_what_failed_is_asked_again_later_and_not_at_once(tmp_path: Path) -> None:
    questions = ["bad"] * 4 + [f"q{n}" for n in range(60)] + ["bad"]
    _write(tmp_path / "in.jsonl", questions)
    work = Worker(slow=lambda line: 0.002, bad=("bad",))
    totals = await _batch(tmp_path, work).run()
    assert totals.failed == 5
    assert work.asked["bad"] == 2


async def test_customer_and_model_make_another_question(tmp_path: Path) -> None:
    base = {"question": "q", "customer_id": "C-1", "model": "m:1"}
    others = [base, {**base, "customer_id": "C-2"}, {**base, "model": "m:2"}, {**base, "email": "a@example.com"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*others, base]))
    keys = [line_key(line) for line in read_batch(tmp_path / "in.jsonl")]
    assert len(set(keys)) == 4
    assert keys[0] == keys[4]


async def test_what_was_written_before_is_not_asked_again(tmp_path: Path) -> None:
    _write(tmp_path / "in.jsonl", ["one", "two", "one", "three", "two"])
    (tmp_path / "out.jsonl").write_text(
        "".join(json.dumps({**_row(line, "miss")}) + "\n" for line in list(read_batch(tmp_path / "in.jsonl"))[:2])
    )
    work = Worker()
    batch = _batch(tmp_path, work, resume=True)
    totals = await batch.run()
    assert (batch.taken_up.lines, totals.lines) == (2, 5)
    assert work.asked == {"three": 1}


def test_the_index_lets_go_of_nothing_and_holds_no_failures(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    rows = [{"id": str(n), "text": "ü" * n} for n in range(2000)]
    begins, at = [], 0
    with output.open("wb") as file:
        for row in rows:
            begins.append(at)
            at += file.write(json.dumps(row).encode() + b"\n")
    index = AnsweredIndex(output)
    keys = [n.to_bytes(16, "big") for n in range(2000)]
    index.note(
        [(key, row if n % 5 else {**row, "error": 1}) for n, (key, row) in enumerate(zip(keys, rows, strict=True))],
        begins,
    )
    found = index.find(keys)
    assert found == {key: row for n, (key, row) in enumerate(zip(keys, rows, strict=True)) if n % 5}
    index.close()


# --- ended early ----------------------------------------------------------------------------------------------


async def test_ended_early_nothing_finished_is_lost(tmp_path: Path) -> None:
    ids = _write(tmp_path / "in.jsonl", [f"q{n}" for n in range(60)])
    first = Worker(slow=lambda line: 60.0 if line.place == 4 else 0.001)
    ended = _batch(tmp_path, first, window=32)
    running = asyncio.create_task(ended.run())
    await eventually(lambda: sum(first.asked.values()) >= 30 and first.at_work == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [row["id"] for row in _rows(tmp_path / "out.jsonl")] == ids[:4]
    assert len(take_early(tmp_path / "out.jsonl")) == sum(first.asked.values()) - 5
    assert ended.totals.lines == 4

    second = Worker()
    goes_on = _batch(tmp_path, second, resume=True)
    metrics = Metrics(ModelLabels(lambda name: False))
    with metrics.batches.running(goes_on.count_new):
        totals = await goes_on.run()
    assert goes_on.taken_up.lines == 4
    counted = {sample.labels: sample.value for sample in metrics.batches.samples() if sample.family is BATCH_LINES}
    assert counted[("all",)] == 56
    assert [row["id"] for row in _rows(tmp_path / "out.jsonl")] == ids
    assert totals.lines == 60
    asked = first.asked + second.asked
    assert asked == {f"q{n}": 2 if n == 4 else 1 for n in range(60)}
    assert not early_path(tmp_path / "out.jsonl").exists()


async def test_failures_that_were_kept_leave_the_question_to_those_behind(tmp_path: Path) -> None:
    """Two kept failures are settled one after the other, and in between the same is asked anew."""
    again = {5, 80, *range(100, 800, 7)}
    ids = _write(tmp_path / "in.jsonl", ["K" if n in again else f"q{n}" for n in range(800)])
    failed = {"attempts": 1, "error": {"code": "x", "message": "no", "fix": None}}
    keep_early(tmp_path / "out.jsonl", {n: {"id": ids[n], **failed} for n in (5, 80)})
    work = Worker(slow=lambda line: 0.35 if line.question == "K" else 0.012)
    async with asyncio.timeout(30):
        await _batch(tmp_path, work, resume=True, window=1024, group=64).run()
    rows = _rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == ids
    assert work.asked["K"] == 1
    assert {n // 64 for n, row in enumerate(rows) if "error" in row} == {0, 1}, "those read with a failure share it"


async def test_what_was_finished_is_kept_before_the_reader_lets_go(tmp_path: Path) -> None:
    """The input may be a pipe whose other end is quiet."""
    os.mkfifo(tmp_path / "in.jsonl")
    worker = Worker(slow=lambda line: 60.0 if line.place == 0 else 0.0)
    running = asyncio.create_task(_batch(tmp_path, worker).run())
    with await asyncio.to_thread((tmp_path / "in.jsonl").open, "w", buffering=1) as pipe:
        for n in range(20):
            pipe.write(json.dumps({"id": f"line-{n}", "question": f"q{n}"}) + "\n")
        await eventually(lambda: sum(worker.asked.values()) >= 16 and worker.at_work == 1)
        running.cancel()
        await eventually(lambda: early_path(tmp_path / "out.jsonl").exists())
        assert len(take_early(tmp_path / "out.jsonl")) == 15, "all of the first group but the line that is at work"
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_what_was_kept_of_another_input_is_not_taken(tmp_path: Path) -> None:
    _write(tmp_path / "in.jsonl", ["one", "two"])
    keep_early(tmp_path / "out.jsonl", {1: {"id": "somebody else's", "attempts": 1}})
    work = Worker()
    await _batch(tmp_path, work, resume=True).run()
    assert work.asked == {"one": 1, "two": 1}
    early_path(tmp_path / "out.jsonl").write_text("rubbish")
    assert take_early(tmp_path / "out.jsonl") == {}


@pytest.mark.parametrize("seed", range(5))
async def test_cancelled_again_and_again_each_line_comes_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    ids = _write(tmp_path / "in.jsonl", [f"q{chance.randrange(80)}" for _ in range(200)])
    for _ in range(6):
        running = asyncio.create_task(
            _batch(tmp_path, Worker(slow=lambda line: chance.uniform(0, 0.004)), resume=True).run()
        )
        await asyncio.wait({running}, timeout=chance.uniform(0.005, 0.03))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await _batch(tmp_path, Worker(), resume=True).run()
    assert [row["id"] for row in _rows(tmp_path / "out.jsonl")] == ids


# --- backend ------------------------------------------------------------------------------------------------


class Shaky(Executor):
    """Does chunks in this thread; some of its calls are lost as with a worker that died."""

    def __init__(self, lose: Iterator[bool]) -> None:
        self._lose = lose
        self.calls = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        if next(self._lose, False):
            future.set_exception(ConnectionError("the worker died"))
        else:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)
        return future


def _there(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [_row(deserialize_line(line), "miss") for line in lines]


async def test_chunks_that_are_lost_are_done_again(tmp_path: Path) -> None:
    ids = _write(tmp_path / "in.jsonl", [f"q{n % 90}" for n in range(200)])
    chance = random.Random(1)
    executor = Shaky(iter([chance.random() < 0.3 for _ in range(40)]))
    backend = ExecutorBackend(executor, _there, concurrency=64)
    totals = await _batch(tmp_path, Worker(), backend=backend, window=128).run()
    assert [row["id"] for row in _rows(tmp_path / "out.jsonl")] == ids
    assert totals == Totals(lines=200, repeated=110, attempts=90)
    assert executor.calls > 6


async def test_a_worker_that_is_always_lost_costs_its_lines_alone(tmp_path: Path) -> None:
    _write(tmp_path / "in.jsonl", [f"q{n}" for n in range(40)])
    backend = ExecutorBackend(Shaky(iter([True] * 4)), _there, concurrency=16)
    totals = await _batch(tmp_path, Worker(), backend=backend).run()
    assert (totals.lines, totals.failed) == (40, 16)
    assert _rows(tmp_path / "out.jsonl")[0]["error"]["code"] == "worker_lost"


async def test_a_worker_that_cannot_begin_ends_the_batch(tmp_path: Path) -> None:
    _write(tmp_path / "in.jsonl", [f"q{n}" for n in range(200)])

    def broken(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise TiloresError("no plugin there", fix="install it")

    backend = ExecutorBackend(Shaky(iter(())), broken, concurrency=16)
    async with asyncio.timeout(60):
        with pytest.raises(TiloresError, match="no plugin there"):
            await _batch(tmp_path, Worker(), backend=backend).run()
    assert (await _batch(tmp_path, Worker(), resume=True).run()).lines == 200


def test_lines_travel_whole(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        "id,email,name,model,question\n7,A@Example.com,Edwina Hawthorne,m:x,Why?\n,,,,\n8,,,,\n"
    )
    lines = list(read_batch(tmp_path / "in.csv"))
    assert [deserialize_line(json.loads(json.dumps(asdict(line)))) for line in lines] == lines


def test_speed_and_what_is_left() -> None:
    now = 100.0
    totals = Totals()
    speed = Speed(totals, clock=lambda: now)
    assert speed.look(None).eta is None
    now, totals.lines = 110.0, 50
    look = speed.look(200)
    assert (look.rate, look.eta, look.seconds) == (5.0, 30.0, 10.0)
    assert look.plain()["eta_s"] == 30.0


def test_lines_are_counted_quickly(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    for text, lines in (("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2)):
        path.write_text(text)
        assert count_lines(path) == lines
