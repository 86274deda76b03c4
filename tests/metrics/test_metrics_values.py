"""What is counted: buckets, labels with an end to them, sums over workers, text that Prometheus reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from structlog.testing import capture_logs

from tilores_core.contracts import Attempt, Usage
from tilores_core.jobs.batch_rows import Totals
from tilores_core.metrics import FAMILIES, Family, Metrics, Sample, catalogue
from tilores_core.metrics.catalogue import BY_NAME, REQUEST_BOUNDS
from tilores_core.metrics.family import (
    Histogram,
    Values,
    exposition,
    join,
    values_of,
    without_gauges,
)
from tilores_core.metrics.meters import ModelLabels, ModelMeter, RequestMeter, chat_route


def values(samples: Iterable[Sample]) -> Values:
    return values_of(samples)


# --- the catalogue -------------------------------------------------------------------------------------------


def test_names_are_unique_and_as_prometheus_wants_them() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.name.startswith("tilores_")
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert bool(family.bounds) == (family.kind == "histogram"), family.name
        assert list(family.bounds) == sorted(set(family.bounds)), family.name
        assert family.help.endswith("."), family.name


# --- histograms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "place"),
    [(0.0, 0), (0.1, 0), (0.1000001, 1), (0.5, 1), (0.6, 2), (1e9, 2)],
)
def test_a_duration_is_in_the_bucket_whose_end_it_does_not_pass(seconds: float, place: int) -> None:
    histogram = Histogram((0.1, 0.5))
    histogram.add(seconds)
    assert histogram.value == [*(float(at == place) for at in range(3)), seconds]


def test_buckets_tell_answers_from_memory_apart() -> None:
    """They take 30 to 100 microseconds: several buckets' ends lie there, and up to a minute."""
    assert len([bound for bound in REQUEST_BOUNDS if 30e-6 <= bound <= 100e-6]) >= 3
    assert REQUEST_BOUNDS[-1] >= 60


# --- requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/chat/invoke", "/chat/invoke"),
        ("/chat/c/N4XyA/stream", "/chat/stream"),
        ("/chat/c/CUST_1/CUST_2", "other"),
        ("/chat/CUST_1", "other"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/anything at all", "/v1/models/{id}"),
        ("/v1", "other"),
        ("/v1/chat/completions/", "other"),
    ],
)
def test_a_path_becomes_one_of_a_few_routes(path: str, route: str) -> None:
    assert chat_route(path) == route


def test_whatever_is_asked_for_the_number_of_series_has_an_end() -> None:
    meter = RequestMeter()
    started = time.perf_counter()
    for number in range(2_000):
        meter.count(f"/chat/guess-{number}", 404, "", started)
        meter.count(f"/chat/c/guess-{number}/invoke", 200, "l1", started)
        meter.count_other(f"/plugins/odd/{number}", 200, started)
    told = values(meter.samples())
    requests = told[catalogue.REQUESTS.name]
    assert len(requests) < 250
    assert requests["other", "404", ""] == 2_000
    assert requests["/chat/invoke", "200", "l1"] == 2_000
    assert sum(value for value in requests.values() if isinstance(value, float | int)) == 6_000


def test_statuses_of_one_route_share_a_histogram() -> None:
    meter = RequestMeter()
    started = time.perf_counter()
    for status in (200, 200, 503, 0):
        meter.count("/chat/invoke", status, "", started)
    told = values(meter.samples())
    assert told[catalogue.REQUESTS.name] == {
        ("/chat/invoke", "200", ""): 2,
        ("/chat/invoke", "503", ""): 1,
        ("/chat/invoke", "499", ""): 1,
    }
    (spread,) = told[catalogue.REQUEST_SECONDS.name].values()
    assert isinstance(spread, list)
    assert sum(spread[:-1]) == 4


# --- models --------------------------------------------------------------------------------------------------


def attempt(model: str, **more: Any) -> Attempt:
    return Attempt(model=model, seconds=0.3, **more)


def test_models_that_nobody_lists_are_other() -> None:
    meter = ModelMeter(ModelLabels({"p:known", "p:late"}.__contains__, named=["p:named"], most=2))
    for model in ("p:known", "p:named", "p:late", *(f"p:made-up-{number}" for number in range(500))):
        meter.attempted(attempt(model), "live")
    told = values(meter.samples())
    assert told[catalogue.ATTEMPTS.name] == {
        ("p", "known", "ok"): 1,
        ("p", "named", "ok"): 1,
        ("p", "other", "ok"): 501,  # p:late too: only two are told apart
    }


def test_outcomes_have_an_end_too() -> None:
    meter = ModelMeter(ModelLabels(lambda name: True))
    for number in range(500):
        meter.attempted(attempt("p:m", error=f"odd_{number}"), "live")
    assert len(values(meter.samples())[catalogue.ATTEMPTS.name]) <= 41


def test_tokens_cost_and_who_stood_in() -> None:
    meter = ModelMeter(ModelLabels(lambda name: True))
    usage = Usage(input_tokens=100, output_tokens=7)
    meter.attempted(attempt("p:m", error="provider_unavailable", cost=0.0), "live")
    meter.attempted(attempt("q:n", usage=usage, cost=0.25, first_token=0.2), "live")
    meter.attempted(attempt("q:n", usage=usage, cost=0.5, hedge=True), "batch")
    meter.answered("p:m", "q:n")
    meter.answered("q:n", "q:n")
    told = values(meter.samples())
    assert told[catalogue.ATTEMPTS.name][("p", "m", "provider_unavailable")] == 1
    assert told[catalogue.TOKENS.name][("q", "n", "input", "live")] == 100
    assert told[catalogue.TOKENS.name][("q", "n", "output", "batch")] == 7
    assert told[catalogue.COST.name] == {("p", "m", "live"): 0.0, ("q", "n", "live"): 0.25, ("q", "n", "batch"): 0.5}
    assert told[catalogue.FALLBACKS.name] == {("p:m", "q:n"): 1}
    assert told[catalogue.HEDGES.name] == {("q", "n"): 1}
    first = told[catalogue.MODEL_FIRST_TOKEN.name][("q", "n")]
    assert isinstance(first, list)
    assert sum(first[:-1]) == 1


# --- batches -------------------------------------------------------------------------------------------------


def test_batches_at_work_and_ended_are_summed() -> None:
    metrics = Metrics(ModelLabels(lambda name: True))
    first, second = Totals(lines=10, failed=2), Totals(lines=1)
    with metrics.batches.running(second.plain):
        with metrics.batches.running(first.plain):
            first.lines += 5
        told = values(metrics.batches.samples())
    assert told[catalogue.BATCHES_RUNNING.name] == {(): 1}
    assert told[catalogue.BATCH_LINES.name]["all",] == 16
    assert told[catalogue.BATCH_LINES.name]["failed",] == 2
    assert values(metrics.batches.samples())[catalogue.BATCH_LINES.name]["all",] == 16


# --- together ------------------------------------------------------------------------------------------------


def test_workers_are_added_up_and_what_they_share_is_not() -> None:
    def worker(hits: int, memory: int, shared: int, spread: list[float]) -> Values:
        return values(
            [
                Sample(catalogue.CACHE_HITS, ("l1", "answers"), hits),
                Sample(catalogue.CACHE_BYTES, ("l1",), memory),
                Sample(catalogue.CACHE_SHARED_BYTES, ("l2",), shared),
                Sample(catalogue.LOOP_LAG, (), spread),
            ]
        )

    spread = [1.0] * (len(catalogue.LOOP_LAG.bounds) + 2)
    whole = join(BY_NAME, [worker(3, 100, 7, spread), worker(4, 50, 9, spread), {"tilores_from_elsewhere": {(): 1}}])
    assert whole[catalogue.CACHE_HITS.name] == {("l1", "answers"): 7}
    assert whole[catalogue.CACHE_BYTES.name] == {("l1",): 150}
    assert whole[catalogue.CACHE_SHARED_BYTES.name] == {("l2",): 9}
    assert whole[catalogue.LOOP_LAG.name] == {(): [2.0] * len(spread)}
    assert "tilores_from_elsewhere" not in whole
    assert set(without_gauges(BY_NAME, whole)) == {catalogue.CACHE_HITS.name, catalogue.LOOP_LAG.name}


# --- the text ------------------------------------------------------------------------------------------------


def test_the_text_is_what_prometheus_reads() -> None:
    meter = RequestMeter()
    meter.count("/chat/invoke", 200, "l1", time.perf_counter())
    text, kind = exposition(BY_NAME, values(meter.samples()))
    assert kind.startswith("text/plain; version=0.0.4")
    found = {metric.name: metric for metric in parse(text.decode())}
    # Without their `_total`, as the library names counters.
    assert {family.name.removesuffix("_total") for family in FAMILIES} == set(found)
    buckets = [
        sample for sample in found["tilores_request_duration_seconds"].samples if sample.name.endswith("_bucket")
    ]
    assert [float(sample.labels["le"]) for sample in buckets] == [*REQUEST_BOUNDS, float("inf")]
    assert buckets[-1].value == 1
    assert [sample.value for sample in buckets] == sorted(sample.value for sample in buckets)


def test_openmetrics_for_those_who_ask_for_it() -> None:
    meter = RequestMeter()
    meter.count("/chat/invoke", 200, "l1", time.perf_counter())
    text, kind = exposition(
        BY_NAME, values(meter.samples()), "application/openmetrics-text; version=1.0.0, */*;q=0.1"
    )
    assert kind.startswith("application/openmetrics-text")
    assert {metric.name for metric in parse_openmetrics(text.decode())} >= {"tilores_requests"}  # type: ignore[no-untyped-call]


async def test_a_part_that_fails_or_hangs_hides_no_other_and_is_logged_once() -> None:
    metrics = Metrics(ModelLabels(lambda name: True))
    unlisted = Family(name="tilores_unlisted", kind="gauge", help="Not in the catalogue.")

    def broken() -> Iterator[Sample]:
        raise ZeroDivisionError("text")
        yield

    async def hanging() -> list[Sample]:
        await asyncio.sleep(60)
        return []

    metrics.watch(broken)
    metrics.watch(hanging)
    metrics.watch(lambda: [Sample(unlisted, (), 1), Sample(catalogue.QUEUE_DEPTH, ("mine",), 3)])
    with capture_logs() as lines:
        await metrics.values()
        text, _ = await metrics.text()
    failed = [line["collector"].rpartition(".")[2] for line in lines if line["event"] == "metrics.part_failed"]
    assert failed == ["broken", "hanging"]
    assert b'tilores_queue_depth{queue="mine"} 3.0' in text
    assert b"unlisted" not in text
