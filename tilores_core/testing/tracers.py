"""What every tracer must do.

    import pytest_asyncio
    from tilores_core.testing.tracers import TracerSuite

    class TestAcmeTracer(TracerSuite):
        supports_feedback = True

        @pytest_asyncio.fixture
        async def tracer(self, acme_service):
            tracer = AcmeTracer(acme_service.url, ...)
            yield tracer
            await tracer.aclose()

        @pytest.fixture
        def arrived(self, acme_service):
            return lambda: acme_service.run_ids

        @pytest_asyncio.fixture
        async def unreachable_tracer(self): ...      # its service refuses connections

        @pytest_asyncio.fixture
        async def hanging_tracer(self): ...          # its service takes requests and answers none

`arrived` gives the ids of the traces that the service has now. Tests of a fixture that is not overridden are skipped.
Give the tracers a deadline of a second or two, so that the tests are quick.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from tilores_core.contracts import Feedback, Span, SupportsFeedback, Trace, Tracer

Arrived = Callable[[], Collection[str]]

_TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def sample_trace(run_id: str | None = None, *, texts: bool = False, **more: Any) -> Trace:
    """A trace with a span of every kind, a failed call of a model among them; `more` replaces fields of it."""
    now = time.time()
    question = {"messages": [{"role": "user", "content": "How much is due?"}]} if texts else None
    said = {"role": "assistant", "content": "Forty dollars."} if texts else None
    called: dict[str, Any] = {"provider": "acme", "hedge": False, "fallback": False}
    spans = (
        Span(
            kind="customer",
            name="customer look-up",
            started=now,
            ended=now + 0.01,
            attributes={"cache_tier": "miss", "outcome": "one", "records": 3},
        ),
        Span(
            kind="prompt",
            name="prompt",
            started=now + 0.01,
            ended=now + 0.01,
            attributes={"prompt_version": "builtin-0123456789ab"},
        ),
        Span(
            kind="model",
            name="acme:small",
            started=now + 0.01,
            ended=now + 0.1,
            attributes={"model": "acme:small", "attempt": 1, "input_tokens": 0, "output_tokens": 0, **called},
            error="provider_unavailable",
        ),
        Span(
            kind="model",
            name="acme:large",
            started=now + 0.1,
            ended=now + 0.5,
            attributes={
                **called,
                "model": "acme:large",
                "attempt": 2,
                "input_tokens": 200,
                "output_tokens": 20,
                "cost": 0.002,
                "first_token": 0.1,
                "fallback": True,
            },
        ),
        Span(kind="tool", name="find", started=now + 0.5, ended=now + 0.5, attributes={"run_by": "caller"}),
        Span(
            kind="answer",
            name="answer",
            started=now + 0.5,
            ended=now + 0.5,
            attributes={"cache_tier": "miss", "age": 0.0, "finish_reason": "stop"},
            outputs=said,
        ),
    )
    fields: dict[str, Any] = {
        "id": run_id or str(uuid4()),
        "session_id": "session-1",
        "tags": ("provider:acme", "model:acme:large", "cache:miss"),
        "metadata": {"key": "desk", "purpose": "live", "request_id": "req-1"},
        "root": Span(
            kind="request",
            name="chat",
            started=now,
            ended=now + 0.5,
            attributes={"model": "acme:large", "provider": "acme", "cache_tier": "miss", "spectrum": "billing"},
            inputs=question,
            outputs=said,
            children=spans,
        ),
    }
    return Trace(**{**fields, **more})


class TracerSuite:
    """Subclass it, override `tracer` and what else can be had, set the flag."""

    supports_feedback: ClassVar[bool] = False
    patience: ClassVar[float] = 60.0
    """Seconds that a call may take, one to a service that hangs included."""
    secret: ClassVar[str] = ""
    """A secret that the tracers were built with: no error and no repr may show it."""

    @pytest.fixture
    def tracer(self) -> Any:
        raise NotImplementedError("override the fixture `tracer` with the tracer to be tested")

    @pytest.fixture
    def arrived(self) -> Arrived:
        pytest.skip("arrived is not overridden: what the service got is not known")

    @pytest.fixture
    def unreachable_tracer(self) -> Any:
        pytest.skip("unreachable_tracer is not overridden")

    @pytest.fixture
    def hanging_tracer(self) -> Any:
        pytest.skip("hanging_tracer is not overridden")

    # --- traces ---

    async def test_what_is_recorded_arrives(self, tracer: Tracer, arrived: Arrived) -> None:
        traces = [sample_trace() for _ in range(20)]
        await self._soon(tracer.record(traces))
        await self._until_there(arrived, {trace.id for trace in traces})

    async def test_an_empty_batch_is_harmless(self, tracer: Tracer) -> None:
        await self._soon(tracer.record([]))

    async def test_batches_at_once(self, tracer: Tracer, arrived: Arrived) -> None:
        batches = [[sample_trace() for _ in range(3)] for _ in range(4)]
        await self._soon(asyncio.gather(*(tracer.record(batch) for batch in batches)))
        await self._until_there(arrived, {trace.id for batch in batches for trace in batch})

    async def test_a_trace_that_came_with_a_parent_arrives_under_its_own_id(
        self, tracer: Tracer, arrived: Arrived
    ) -> None:
        trace = sample_trace(traceparent=_TRACEPARENT)
        await self._soon(tracer.record([trace]))
        await self._until_there(arrived, {trace.id})

    async def test_a_delivery_of_alerts_arrives(self, tracer: Tracer, arrived: Arrived) -> None:
        now = time.time()
        told: dict[str, str | int] = {"severity": "HIGH", "alerts": 1}
        sending = Span(kind="alert", name="send to slack", started=now, ended=now + 1, error="alert_channel")
        root = Span(
            kind="alert", name="alert delivery", started=now, ended=now + 1, attributes=told, children=(sending,)
        )
        trace = Trace(id=str(uuid4()), root=root, tags=("channel:slack",))
        await self._soon(tracer.record([trace]))
        await self._until_there(arrived, {trace.id})

    async def test_texts_arrive(self, tracer: Tracer, arrived: Arrived) -> None:
        trace = sample_trace(texts=True)
        await self._soon(tracer.record([trace]))
        await self._until_there(arrived, {trace.id})

    @pytest.mark.parametrize(
        "odd",
        [
            {"inputs": {"messages": [{"role": "user", "content": None}]}},
            {"inputs": {"messages": "not a list"}, "outputs": ["not", "a", {"message": None}]},
            {"inputs": "ünïcode \N{GRINNING FACE} \x00 \x1b", "outputs": 3.5},
            {"inputs": {"messages": [{"role": "user", "content": "x" * 300_000}]}},
            {"attributes": {"huge": 2**70, "not_a_number": math.nan, "endless": math.inf, "text": "y" * 50_000}},
            {"started": 5.0, "ended": 4.0},
            {"error": "deadline_exceeded", "outputs": None},
            {"children": ()},
        ],
        ids=["no content", "odd shapes", "odd text", "long text", "odd numbers", "backwards", "error", "alone"],
    )
    async def test_an_odd_trace_costs_the_others_nothing(
        self, tracer: Tracer, arrived: Arrived, odd: dict[str, Any]
    ) -> None:
        good = sample_trace()
        root = {name: getattr(good.root, name) for name in Span.__slots__}
        strange = sample_trace(root=Span(**{**root, **odd}))
        await self._soon(tracer.record([strange, good]))
        await self._until_there(arrived, {good.id})

    # --- faults ---

    async def test_a_service_that_is_down_is_an_error(self, unreachable_tracer: Tracer) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the tracer's affair
            await self._soon(unreachable_tracer.record([sample_trace(texts=True)]))
        assert not isinstance(caught.value, asyncio.CancelledError)
        assert "Forty dollars" not in repr(caught.value)
        assert not self.secret or self.secret not in repr(caught.value) + str(caught.value)

    async def test_a_service_that_hangs_is_an_error_in_time(self, hanging_tracer: Tracer) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        for _ in range(3):  # a machine that stood still is asked again
            turns = 0
            at_work = asyncio.create_task(others())
            call = asyncio.ensure_future(hanging_tracer.record([sample_trace()]))
            done, _ = await asyncio.wait({call}, timeout=self.patience)
            at_work.cancel()
            assert done, "the tracer has no deadline"
            assert call.exception() is not None
            if turns > 5:
                return
        raise AssertionError("nothing else ran in the event loop meanwhile")

    async def test_a_call_that_hangs_can_be_cancelled(self, hanging_tracer: Tracer) -> None:
        call = asyncio.ensure_future(hanging_tracer.record([sample_trace()]))
        await asyncio.sleep(0.1)
        call.cancel()
        done, _ = await asyncio.wait({call}, timeout=self.patience)
        assert done
        assert call.cancelled() or call.exception() is not None

    async def test_closing_does_not_wait_for_a_service_that_hangs(self, hanging_tracer: Tracer) -> None:
        call = asyncio.ensure_future(hanging_tracer.record([sample_trace()]))
        await asyncio.sleep(0.1)
        await self._soon(hanging_tracer.aclose())
        call.cancel()
        await asyncio.wait({call}, timeout=self.patience)
        assert call.done()
        if not call.cancelled():
            call.exception()

    # --- feedback ---

    async def test_the_flag_is_true(self, tracer: Tracer) -> None:
        assert isinstance(tracer, SupportsFeedback) == self.supports_feedback

    @pytest.mark.parametrize(
        "given",
        [{"score": 1.0}, {"score": 0.0, "comment": "wrong"}, {"value": "good"}, {"value": True}, {}],
        ids=repr,
    )
    async def test_a_score_for_a_trace(self, tracer: Tracer, given: dict[str, Any]) -> None:
        if not isinstance(tracer, SupportsFeedback):
            pytest.skip("no feedback")
        trace = sample_trace()
        await self._soon(tracer.record([trace]))
        await self._soon(tracer.feedback(Feedback(run_id=trace.id, key="helpful", **given)))

    async def test_a_score_for_a_trace_never_seen(self, tracer: Tracer) -> None:
        if not isinstance(tracer, SupportsFeedback):
            pytest.skip("no feedback")
        await self._soon(tracer.feedback(Feedback(run_id=str(uuid4()), key="helpful", score=1.0)))

    # --- the end ---

    async def test_closing_twice_is_harmless(self, tracer: Tracer) -> None:
        await self._soon(tracer.aclose())
        await self._soon(tracer.aclose())

    async def test_a_secret_is_not_shown(self, tracer: Tracer) -> None:
        if not self.secret:
            pytest.skip("no secret is given")
        assert self.secret not in f"{tracer!r} {tracer}"

    async def _soon(self, work: Awaitable[Any]) -> Any:
        async with asyncio.timeout(self.patience):
            return await work

    async def _until_there(self, arrived: Arrived, wanted: set[str]) -> None:
        give_up = time.monotonic() + self.patience
        while not wanted <= set(arrived()):
            assert time.monotonic() < give_up, (
                f"{len(wanted - set(arrived()))} of {len(wanted)} traces did not arrive"
            )
            await asyncio.sleep(0.01)
