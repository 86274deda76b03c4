"""Collectors that are down, slow, busy, wrong or half willing: errors in time, counts, and no text of theirs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest
import structlog

from tests.redis_server import free_port
from tests.tracing.otlp_collector import OtlpCollector, Partial, Status, attributes
from tilores_core import InvalidRequestError, PluginContext, Span
from tilores_core.settings import TracingTable
from tilores_core.testing.tracers import sample_trace
from tilores_core.testing.waiting import eventually
from tilores_core.tracing.tracer_queue import TracerQueue
from tilores_plugins.tracing.otel.sender import CollectorRefusedError, CollectorUnavailableError
from tilores_plugins.tracing.otel.settings import Settings
from tilores_plugins.tracing.otel.status import build as build_check
from tilores_plugins.tracing.otel.tracer import OtelTracer, build

PATIENCE = 60.0


def settings(collector: OtlpCollector, **more: Any) -> Settings:
    return Settings(**{"endpoint": collector.url, "timeout_seconds": PATIENCE, **more})


@pytest.fixture
async def tracer(collector: OtlpCollector) -> AsyncIterator[OtelTracer]:
    made = OtelTracer(settings(collector))
    yield made
    await made.aclose()


def status(tracer: OtelTracer) -> dict[str, Any]:
    return tracer._status.report()


async def failure(tracer: OtelTracer) -> Exception:
    """What `record` raises, within patience."""
    with pytest.raises((CollectorUnavailableError, CollectorRefusedError)) as caught:
        async with asyncio.timeout(PATIENCE):
            await tracer.record([sample_trace(texts=True)])
    return caught.value


# --- what cannot be mended by asking again --------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 500, 501])
async def test_a_refusal_is_an_error_at_once(collector: OtlpCollector, tracer: OtelTracer, code: int) -> None:
    collector.fault = Status(code)
    error = await failure(tracer)
    assert isinstance(error, CollectorRefusedError)
    assert isinstance(error, InvalidRequestError), "the host does not send it again"
    assert str(code) in str(error)
    assert collector.seen == 1
    report = status(tracer)
    assert (report["status"], report["failures"]) == ("degraded", 1)
    assert "no:" not in str(report), "what the collector wrote is not repeated"


async def test_nobody_is_followed_elsewhere(collector: OtlpCollector, tracer: OtelTracer) -> None:
    with OtlpCollector() as elsewhere:
        collector.fault = Status(307, location=f"{elsewhere.url}/v1/traces")
        assert isinstance(await failure(tracer), CollectorRefusedError)
        assert elsewhere.seen == 0


# --- what can -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Status(429), Status(502), Status(503), Status(504), "reset", "cut"], ids=str)
async def test_one_bad_moment_is_got_over(collector: OtlpCollector, tracer: OtelTracer, fault: Any) -> None:
    collector.faults.append(fault)
    await tracer.record([sample_trace()])
    assert collector.seen == 2
    assert len(collector.spans) == 7
    assert status(tracer)["retries"] == 1
    assert status(tracer)["status"] == "ok"


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_waited_for(collector: OtlpCollector, code: int) -> None:
    collector.faults.append(Status(code, retry_after="1"))
    patient = OtelTracer(settings(collector))
    began = time.monotonic()
    await patient.record([sample_trace()])
    await patient.aclose()
    assert time.monotonic() - began >= 1.0
    assert collector.seen == 2


@pytest.mark.parametrize("when", ["120", "date"])
async def test_a_retry_after_beyond_the_deadline_is_kept_to(
    collector: OtlpCollector, tracer: OtelTracer, when: str
) -> None:
    after = formatdate(time.time() + 120, usegmt=True) if when == "date" else when
    collector.faults.append(Status(503, retry_after=after))
    assert isinstance(await failure(tracer), CollectorUnavailableError)
    assert isinstance(await failure(tracer), CollectorUnavailableError)
    assert collector.seen == 1, "it asked to be left alone"


@pytest.mark.parametrize("odd", ["soon", "nan", "inf", "-5", "Thu, 99 Nov 2026"])
async def test_a_retry_after_without_sense_is_nothing(collector: OtlpCollector, odd: str) -> None:
    collector.faults.append(Status(429, retry_after=odd))
    patient = OtelTracer(settings(collector))
    await patient.record([sample_trace()])
    await patient.aclose()
    assert len(collector.spans) == 7


@pytest.mark.parametrize("fault", [Status(503), "hang", "drip", "reset", "cut"], ids=str)
async def test_a_lasting_fault_ends_with_the_deadline(collector: OtlpCollector, fault: Any) -> None:
    collector.fault, tracer = fault, OtelTracer(settings(collector, timeout_seconds=1.2))
    error = await failure(tracer)
    assert isinstance(error, CollectorUnavailableError)
    assert not isinstance(error, InvalidRequestError)
    assert collector.url not in str(error)
    collector.fault = None
    while status(tracer)["status"] != "ok":  # well again; a slow machine may need more than one deadline
        with suppress(CollectorUnavailableError):
            await tracer.record([sample_trace()])
    await tracer.aclose()


async def test_nobody_listens() -> None:
    port = free_port()
    tracer = OtelTracer(Settings(endpoint=f"http://127.0.0.1:{port}", timeout_seconds=0.8))
    async with asyncio.timeout(60):
        error = await failure(tracer)
    assert isinstance(error, CollectorUnavailableError)
    assert str(port) not in str(error)
    await tracer.aclose()


# --- half willing ---------------------------------------------------------------------------------------------


async def test_a_partial_success_is_counted_and_not_sent_again(collector: OtlpCollector, tracer: OtelTracer) -> None:
    collector.fault = Partial(3)
    with structlog.testing.capture_logs() as lines:
        await tracer.record([sample_trace()])
        await tracer.record([sample_trace()])
    assert collector.seen == 2
    report = status(tracer)
    assert (report["spans"], report["rejected_spans"], report["failures"]) == (8, 6, 0)
    assert [line["rejected"] for line in lines] == [3], "said once"
    assert "Hawthorne" not in str(lines) + str(report)


async def test_a_reply_that_is_no_otlp_still_took_the_request(collector: OtlpCollector, tracer: OtelTracer) -> None:
    collector.fault = "rubbish"
    await tracer.record([sample_trace()])
    assert status(tracer)["spans"] == 7


# --- size -----------------------------------------------------------------------------------------------------


def _large(characters: int) -> Any:
    trace = sample_trace(texts=True)
    fields = {name: getattr(trace.root, name) for name in Span.__slots__}
    said = {"messages": [{"role": "user", "content": "x" * characters}]}
    return sample_trace(root=Span(**{**fields, "inputs": said}))


async def test_many_traces_go_in_requests_that_are_not_too_large(collector: OtlpCollector) -> None:
    tracer = OtelTracer(settings(collector, max_bytes=50_000))
    traces = [_large(15_000) for _ in range(10)]
    await tracer.record(traces)
    await tracer.aclose()
    assert len(collector.requests) == 5
    assert all(request.ByteSize() <= 51_000 for request in collector.requests)
    assert {attributes(root)["tilores.run_id"] for root in collector.roots()} == {trace.id for trace in traces}
    assert len(collector.spans) == 70


async def test_a_trace_too_large_goes_without_its_texts(collector: OtlpCollector) -> None:
    tracer = OtelTracer(settings(collector, max_bytes=50_000))
    await tracer.record([sample_trace(texts=True), _large(60_000)])
    await tracer.aclose()
    assert len(collector.spans) == 14
    told = [("gen_ai.input.messages" in attributes(root)) for root in collector.roots()]
    assert told == [True, False]
    assert status(tracer)["without_texts"] == 1


# --- with the host's queue ------------------------------------------------------------------------------------


async def _through(tracer: OtelTracer, count: int, **table: Any) -> TracerQueue:
    queue = TracerQueue("otel", tracer, TracingTable(schedule_delay_seconds=0.01, **table))
    queue.start()
    for _ in range(count):
        queue.put(sample_trace())
    await queue.aclose(PATIENCE)
    return queue


async def test_what_waits_at_the_end_is_sent(collector: OtlpCollector, tracer: OtelTracer) -> None:
    queue = await _through(tracer, 250)
    assert (queue.sent, queue.dropped) == (250, 0)
    assert len(collector.roots()) == 250
    assert len(collector.requests) == 3


async def test_what_cannot_be_sent_is_dropped_and_counted(collector: OtlpCollector, tracer: OtelTracer) -> None:
    collector.fault = "hang"
    queue = TracerQueue("otel", tracer, TracingTable(schedule_delay_seconds=0.01, max_waiting=50, send_seconds=0.3))
    queue.start()
    taken = sum(queue.put(sample_trace()) for _ in range(80))
    began = time.monotonic()
    await queue.aclose(0.2)
    assert time.monotonic() - began < PATIENCE
    assert taken == 50
    assert (queue.sent, queue.dropped) == (0, 80)


async def test_what_was_refused_is_not_tried_again(collector: OtlpCollector, tracer: OtelTracer) -> None:
    collector.faults.append(Status(400))
    queue = TracerQueue("otel", tracer, TracingTable(schedule_delay_seconds=0.01))
    queue.start()
    queue.put(sample_trace())
    await eventually(lambda: queue.dropped)
    assert collector.seen == 1
    assert queue.report()["error"] == "CollectorRefusedError"
    queue.put(sample_trace())
    await queue.aclose(PATIENCE)
    assert (queue.sent, queue.dropped, queue.failures) == (1, 1, 1)


# --- health ---------------------------------------------------------------------------------------------------


async def test_the_health_check_tells_what_the_tracer_noted(collector: OtlpCollector, tmp_path: Any) -> None:
    made = settings(collector)
    context = PluginContext(plugin_id="otel", settings=made, data_dir=tmp_path)
    check = build_check(context)
    assert (await check())["status"] == "off"
    tracer = build(context)
    await tracer.record([sample_trace()])
    assert await check() == {
        "status": "ok",
        "requests": 1,
        "spans": 7,
        "rejected_spans": 0,
        "retries": 0,
        "failures": 0,
        "without_texts": 0,
        "last_error": None,
        "last_error_seconds_ago": None,
    }
    collector.fault = Status(503, retry_after="120")
    await failure(tracer)
    report = await check()
    assert report["status"] == "degraded"
    assert report["last_error"] == "the collector is busy: status 503"
    await tracer.aclose()
