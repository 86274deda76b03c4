"""A tracer's queue: batches, what is lost, and that no tracer holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from tilores_core.contracts import Feedback, Span, Trace
from tilores_core.settings import TracingTable
from tilores_core.testing.waiting import eventually, settle
from tilores_core.tracing import tracer_queue as tracer_queue_module
from tilores_core.tracing.tracer_queue import TracerQueue

TABLE = TracingTable(schedule_delay_seconds=0.01, max_batch=10, max_waiting=50, send_seconds=0.2, flush_seconds=1.0)
SPAN = Span(kind="request", name="chat", started=1.0, ended=2.0)
SCORE = Feedback(run_id="1", key="k", score=1.0)


def trace(number: int) -> Trace:
    return Trace(id=str(number), root=SPAN)


class Collecting:
    """Notes what it is given; `fail` errors come first, and `gate` holds it."""

    def __init__(self, *, fail: int = 0, gate: asyncio.Event | None = None) -> None:
        self.batches: list[list[str]] = []
        self.calls = 0
        self._fail = fail
        self._gate = gate

    async def record(self, traces: Sequence[Trace]) -> None:
        self.calls += 1
        if self._gate is not None:
            await self._gate.wait()
        if self.calls <= self._fail:
            raise ConnectionError("secret text")
        self.batches.append([trace.id for trace in traces])

    async def aclose(self) -> None:
        return None

    @property
    def ids(self) -> list[str]:
        return [id for batch in self.batches for id in batch]


class Scoring(Collecting):
    async def feedback(self, feedback: Feedback) -> None:
        self.batches.append([f"feedback {feedback.key}"])


async def test_batches_are_full_when_they_can_be_and_in_order() -> None:
    tracer = Collecting()
    queue = TracerQueue("t", tracer, TABLE)
    for number in range(25):
        assert queue.put(trace(number))
    queue.start()
    await eventually(lambda: queue.sent == 25)
    assert [len(batch) for batch in tracer.batches] == [10, 10, 5]
    assert tracer.ids == [str(number) for number in range(25)]
    await queue.aclose(1.0)


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    queue = TracerQueue("t", Collecting(), TABLE)
    kept = [queue.put(trace(number)) for number in range(60)]
    assert kept == [True] * 50 + [False] * 10
    assert queue.dropped == 10
    queue.start()
    await queue.aclose(1.0)
    assert (queue.sent, queue.dropped) == (50, 10)


async def test_a_hanging_tracer_holds_up_no_other_and_not_the_end() -> None:
    stuck = TracerQueue("stuck", Collecting(gate=asyncio.Event()), TABLE)
    tracer = Collecting()
    well = TracerQueue("well", tracer, TABLE)
    for queue in (stuck, well):
        queue.start()
        for number in range(30):
            queue.put(trace(number))
    await eventually(lambda: well.sent == 30)
    async with asyncio.timeout(60):
        await asyncio.gather(stuck.aclose(0.1), well.aclose(0.1))
    assert (stuck.sent, stuck.dropped) == (0, 30)


async def test_a_tracer_that_ignores_being_stopped_does_not_hold_up_the_end() -> None:
    at_work, over = asyncio.Event(), asyncio.Event()

    class Stubborn(Collecting):
        async def record(self, traces: Sequence[Trace]) -> None:
            at_work.set()
            while not over.is_set():  # however often it is cancelled
                with suppress(asyncio.CancelledError):
                    await over.wait()

    queue = TracerQueue("t", Stubborn(), TABLE)
    queue.start()
    queue.put(trace(1))
    await at_work.wait()
    async with asyncio.timeout(60):
        await queue.aclose(0.1)
    assert queue.dropped == 1
    over.set()
    await settle()  # so that its task is over before the loop is


async def test_a_failed_batch_is_tried_once_more_then_counted_as_lost(monkeypatch: object) -> None:
    tracer = Collecting(fail=1)
    queue = TracerQueue("t", tracer, TABLE)
    queue._failing = 0
    queue.start()
    queue.put(trace(1))
    await eventually(lambda: queue.sent == 1)
    assert (tracer.calls, queue.failures, queue.dropped) == (2, 1, 0)
    assert queue.report()["state"] == "ok"
    await queue.aclose(1.0)

    tracer = Collecting(fail=2)
    queue = TracerQueue("t", tracer, TABLE)
    queue.start()
    queue.put(trace(1))
    await eventually(lambda: queue.dropped == 1)
    report = queue.report()
    assert (report["state"], report["error"], report["failures"]) == ("failing", "ConnectionError", 2)
    assert report["since"] is not None
    await queue.aclose(1.0)


async def test_pauses_grow_while_it_fails() -> None:
    assert tracer_queue_module._FIRST_PAUSE < tracer_queue_module._LONGEST_PAUSE
    tracer = Collecting(fail=1000)
    queue = TracerQueue("t", tracer, TABLE)
    queue.start()
    for number in range(50):
        queue.put(trace(number))
    await asyncio.sleep(0.9)  # one that is not let be would be asked dozens of times
    assert tracer.calls <= 3, "a tracer that fails is let be for a while"
    await queue.aclose(0.5)
    assert queue.dropped == 50


async def test_feedback_follows_the_traces_before_it() -> None:
    tracer = Scoring()
    queue = TracerQueue("t", tracer, TABLE)
    for item in (trace(1), trace(2), SCORE, trace(3)):
        queue.put(item)
    queue.start()
    await eventually(lambda: queue.sent == 4)
    assert tracer.batches == [["1", "2"], ["feedback k"], ["3"]]
    assert queue.takes_feedback
    assert not TracerQueue("t", Collecting(), TABLE).takes_feedback
    await queue.aclose(1.0)
