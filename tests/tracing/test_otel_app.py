"""Real requests as a collector gets them: through the application, and through a real server with three tracers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site
from tests.tracing.langsmith_server import KEY, LangSmithServer
from tests.tracing.otlp_collector import OtlpCollector, Status, attributes
from tests.tracing.traced_app import EDWINA, QUESTION, traced_app
from tilores_core.testing.waiting import eventually, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

# A third party's: it writes the id of each trace to a file.
ACME = """
from tilores_core import TracerSpec, hookimpl


class Tracer:
    async def record(self, traces):
        with open("acme.txt", "a") as told:
            told.writelines(f"{trace.id}\\n" for trace in traces)

    async def aclose(self):
        with open("acme.txt", "a") as told:
            told.write("closed\\n")


@hookimpl
def register_tracers():
    return [TracerSpec(name="acme", factory=lambda context: Tracer())]
"""


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("OTEL_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


def otel(collector: OtlpCollector, **more: Any) -> dict[str, Any]:
    return {"otel": {"endpoint": collector.url, "timeout_seconds": 1.0, **more}}


@pytest.mark.parametrize("door", ["invoke", "complete"])
async def test_a_request_continues_the_callers_trace(tmp_path: Path, collector: OtlpCollector, door: str) -> None:
    async with traced_app(tmp_path, tracers=("otel",), plugins=otel(collector), tracing={"sample_hits": 1.0}) as app:
        app.http.headers["traceparent"] = TRACEPARENT
        replies = [await getattr(app, door)() for _ in range(2)]
        ids = [
            reply.json()["metadata"]["run_id"] if door == "invoke" else reply.json()["id"].removeprefix("chatcmpl-")
            for reply in replies
        ]
        await eventually(lambda: len(collector.roots()) == 2)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    miss, hit = (collector.root_of(run_id) for run_id in ids)
    assert miss is not None
    assert hit is not None
    assert miss.parent_span_id.hex() == hit.parent_span_id.hex() == PARENT
    assert [span.name for span in collector.children(miss)] == [
        "customer look-up",
        "prompt",
        "chat simulated-1",
        "answer",
    ]
    assert [span.name for span in collector.children(hit)] == ["customer look-up"]
    model = attributes(collector.children(miss)[2])
    assert model["gen_ai.provider.name"] == "demo"
    assert model["gen_ai.usage.input_tokens"] > 100
    assert attributes(miss)["gen_ai.response.model"] == attributes(hit)["gen_ai.response.model"] == "simulated-1"
    assert (attributes(miss)["tilores.cache_tier"], attributes(hit)["tilores.cache_tier"]) == ("miss", "l1")


async def test_without_a_caller_the_run_id_is_the_trace(tmp_path: Path, collector: OtlpCollector) -> None:
    async with traced_app(tmp_path, tracers=("otel",), plugins=otel(collector)) as app:
        app.http.headers["traceparent"] = "00-rubbish"
        run_id = (await app.invoke(session_id="session-7")).json()["metadata"]["run_id"]
        root = await eventually(lambda: collector.root_of(run_id))
        assert root.trace_id.hex() == run_id.replace("-", "")
        assert attributes(root)["gen_ai.conversation.id"] == "session-7"
        reply = await app.http.post("/chat/feedback", json={"run_id": run_id, "key": "helpful", "score": 1})
        assert reply.status_code == 200
        score = await eventually(lambda: next((one for one in collector.spans if "evaluation" in one.name), None))
    assert (score.trace_id, score.parent_span_id) == (root.trace_id, root.span_id)


async def test_nothing_of_the_customer_leaves_by_default(tmp_path: Path, collector: OtlpCollector) -> None:
    async with traced_app(tmp_path, tracers=("otel",), plugins=otel(collector), tracing={"sample_hits": 1.0}) as app:
        for session in ("edwina.hawthorne@example.com", "+15035550142", "Edwina-1"):
            await app.invoke(session_id=session)
            await app.complete(f"{QUESTION} Please.", metadata={"customer_id": EDWINA, "session_id": session})
        await eventually(lambda: len(collector.roots()) == 6)
    said = collector.bodies.decode("utf-8", "replace")
    assert not re.search(r"edwina|hawthorne|edw_|\b742\b|555.?0142|credit score|portland", said, re.IGNORECASE)
    assert not any(re.search("messages|inputs|outputs", name) for one in collector.spans for name in attributes(one))


async def test_full_capture_sends_question_and_answer(tmp_path: Path, collector: OtlpCollector) -> None:
    async with traced_app(tmp_path, tracers=("otel",), plugins=otel(collector), tracing={"capture": "full"}) as app:
        run_id = (await app.invoke()).json()["metadata"]["run_id"]
        root = attributes(await eventually(lambda: collector.root_of(run_id)))
        look_up = next(attributes(one) for one in collector.spans if one.name == "customer look-up")
    [asked] = json.loads(root["gen_ai.input.messages"])
    assert asked["parts"] == [{"type": "text", "content": QUESTION}]
    [answer] = json.loads(root["gen_ai.output.messages"])
    assert "742" in answer["parts"][0]["content"]
    assert "Hawthorne" in look_up["tilores.outputs"]


async def test_both_tracers_get_every_trace_and_one_that_fails_costs_the_other_nothing(
    tmp_path: Path, collector: OtlpCollector, service: LangSmithServer
) -> None:
    collector.fault = Status(503)
    langsmith = {"endpoint": service.url, "api_key": {"env": "TEST_KEY", "default": KEY}, "timeout_seconds": 2.0}
    async with traced_app(
        tmp_path, tracers=("langsmith", "otel"), plugins=otel(collector), langsmith=langsmith
    ) as app:
        run_ids = [(await app.invoke(f"{QUESTION} {number}")).json()["metadata"]["run_id"] for number in range(4)]
        await eventually(lambda: set(run_ids) <= set(service.runs))
        assert not collector.spans
        assert app.tracing.report()["langsmith"]["state"] == "ok"
        collector.fault = None
        await eventually(lambda: all(collector.root_of(run_id) for run_id in run_ids))
        reports = app.tracing.report()
        assert {name: report["dropped"] for name, report in reports.items()} == {"langsmith": 0, "otel": 0}


@pytest.mark.parametrize("fault", ["hang", Status(400), Status(429), "reset"], ids=str)
async def test_requests_are_answered_whatever_the_collector_does(
    tmp_path: Path, collector: OtlpCollector, fault: Any
) -> None:
    collector.fault = fault
    async with traced_app(
        tmp_path,
        tracers=("otel",),
        plugins=otel(collector, timeout_seconds=0.3),
        tracing={"max_waiting": 5, "flush_seconds": 0.2, "sample_hits": 1.0},
    ) as app:
        for number in range(12):
            reply = await app.invoke(f"{QUESTION} {number % 6}")
            assert reply.status_code == 200
            assert "742" in reply.json()["output"]["content"]
        report = app.tracing.report
        await eventually(lambda: report()["otel"]["failures"])
    assert report()["otel"]["sent"] == 0
    assert report()["otel"]["dropped"] == 12, "each one is counted"


def test_three_tracers_of_a_real_server(tmp_path: Path, collector: OtlpCollector, service: LangSmithServer) -> None:
    """OpenTelemetry by its own variables, LangSmith by its own, and one from a stranger's distribution."""
    (tmp_path / "site").mkdir()
    Site(tmp_path / "site").install("acme-tracer", ACME)
    toml = """
[use]
cache = ["memory"]
tracers = ["langsmith", "otel", "acme"]
[tracing]
sample_hits = 1.0
schedule_delay_seconds = 5.0
"""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-token=otlp-secret-0123456789",
        "OTEL_SERVICE_NAME": "front-desk",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "LANGSMITH_ENDPOINT": service.url,
        "LANGSMITH_API_KEY": KEY,
        "PYTHONPATH": str(tmp_path / "site"),
    }
    with RunningServer(tmp_path / "server", toml=toml, variables=variables) as server:
        with httpx.Client(base_url=server.url, timeout=30, headers=server.admin) as http:
            body = {"input": QUESTION, "config": {}}
            headers = {"traceparent": TRACEPARENT}
            run_ids = [
                http.post("/chat/invoke", json=body, headers=headers).json()["metadata"]["run_id"] for _ in range(3)
            ]
            health = http.get("/health/detailed").json()
        assert "otlp-secret" not in server.log_text + json.dumps(health)
    # Nothing was sent before the end: what waited went out then.
    wait_until(lambda: all(collector.root_of(run_id) for run_id in run_ids), "the collector has all")
    assert set(run_ids) <= set(service.runs)
    told = (tmp_path / "server" / "acme.txt").read_text().split()
    assert sorted(told[:-1]) == sorted(run_ids)
    assert told[-1] == "closed"
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert collector.resource["service.name"] == "front-desk"
    assert collector.resource["deployment.environment.name"] == "test"
    assert collector.headers[0]["x-token"] == "otlp-secret-0123456789"
    assert "otel" in json.dumps(health)
