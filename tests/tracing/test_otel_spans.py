"""Traces as a collector gets them by OTLP: names, parents, times, ids, attributes, and nothing that was not given."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr, ValidationError

from tests.tracing.otlp_collector import OtlpCollector, attributes
from tilores_core import ConfigError, Feedback, PluginContext, Span, Trace, __version__
from tilores_core.testing.tracers import sample_trace
from tilores_plugins.tracing.otel.ids import read_traceparent
from tilores_plugins.tracing.otel.settings import Settings
from tilores_plugins.tracing.otel.tracer import OtelTracer, build

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
async def tracer(collector: OtlpCollector) -> AsyncIterator[OtelTracer]:
    made = OtelTracer(Settings(endpoint=collector.url, timeout_seconds=60.0))
    yield made
    await made.aclose()


def by_name(collector: OtlpCollector) -> dict[str, dict[str, Any]]:
    return {span.name: attributes(span) for span in collector.spans}


# --- the tree -------------------------------------------------------------------------------------------------


async def test_a_trace_is_one_root_with_its_steps(collector: OtlpCollector, tracer: OtelTracer) -> None:
    trace = sample_trace()
    await tracer.record([trace])
    [root] = collector.roots()
    assert root.name == "chat"
    assert root.kind == root.SPAN_KIND_SERVER
    assert root.trace_id == UUID(trace.id).bytes, "the run's id is the trace's"
    assert not root.parent_span_id
    steps = collector.children(root)
    assert [span.name for span in steps] == [
        "customer look-up",
        "prompt",
        "chat small",
        "chat large",
        "tool_call find",
        "answer",
    ]
    assert [span.kind for span in steps] == [1, 1, 3, 3, 1, 1], "calls of models are a client's"
    assert len({span.span_id for span in collector.spans}) == 7
    for span, given in zip(steps, trace.root.children, strict=True):
        assert span.trace_id == root.trace_id
        assert span.start_time_unix_nano == int(given.started * 1e9)
        assert span.end_time_unix_nano == int(given.ended * 1e9)
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert all(span.flags & 0x1 and not span.flags & 0x200 for span in collector.spans)


async def test_attributes_follow_the_conventions(collector: OtlpCollector, tracer: OtelTracer) -> None:
    trace = sample_trace()
    await tracer.record([trace])
    said = by_name(collector)
    root = said["chat"]
    assert root == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "large",
        "gen_ai.conversation.id": "session-1",
        "tilores.run_id": trace.id,
        "tilores.tags": list(trace.tags),
        "tilores.key": "desk",
        "tilores.purpose": "live",
        "tilores.request_id": "req-1",
        "tilores.cache_tier": "miss",
        "tilores.spectrum": "billing",
    }
    assert said["chat large"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "acme",
        "gen_ai.request.model": "large",
        "gen_ai.response.model": "large",
        "gen_ai.usage.input_tokens": 200,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.response.time_to_first_chunk": 0.1,
        "tilores.attempt": 2,
        "tilores.cost": 0.002,
        "tilores.fallback": True,
        "tilores.hedge": False,
    }
    failed = said["chat small"]
    assert failed["error.type"] == "provider_unavailable"
    assert "gen_ai.response.model" not in failed
    assert said["customer look-up"] == {
        "tilores.cache_tier": "miss",
        "tilores.outcome": "one",
        "tilores.records": 3,
    }
    assert said["prompt"] == {"tilores.prompt_version": "builtin-0123456789ab"}
    assert said["answer"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["tool_call find"]["gen_ai.tool.name"] == "find"


async def test_an_error_is_the_spans_status(collector: OtlpCollector, tracer: OtelTracer) -> None:
    trace = sample_trace()
    fields = {name: getattr(trace.root, name) for name in Span.__slots__}
    await tracer.record([sample_trace(root=Span(**{**fields, "error": "deadline_exceeded"}))])
    status = {span.name: span.status.code for span in collector.spans}
    assert status["chat"] == status["chat small"] == 2
    assert status["chat large"] == status["answer"] == 0
    root = by_name(collector)["chat"]
    assert root["error.type"] == "deadline_exceeded"
    assert "gen_ai.response.model" not in root


async def test_every_gen_ai_name_is_in_the_conventions_and_current(
    collector: OtlpCollector, tracer: OtelTracer
) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    source = inspect.getsource(gen_ai_attributes)
    current = {
        name
        for name, said in re.findall(r'= "(gen_ai[^"]+)"\n"""\n?(.*?)"""', source, re.DOTALL)
        if "Moved to" in said
    }
    assert "gen_ai.system" not in current
    ran_here = Span(kind="tool", name="find", started=1.0, ended=2.0, inputs={"q": 1}, outputs={"found": 2})
    trace = sample_trace(texts=True)
    fields = {name: getattr(trace.root, name) for name in Span.__slots__}
    await tracer.record([trace, sample_trace(root=Span(**{**fields, "children": (ran_here,)}))])
    await tracer.feedback(Feedback(run_id=trace.id, key="helpful", score=1.0, value="good", comment="thanks"))
    used = {name for span in collector.spans for name in attributes(span) if name.startswith("gen_ai.")}
    assert used <= current
    assert len(used) > 15
    assert "execute_tool find" in {span.name for span in collector.spans}


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("google:gemini-flash", "gcp.gemini", "gemini-flash"),
        ("mistral:mistral-small", "mistral_ai", "mistral-small"),
        ("openai:gpt:4o", "openai", "gpt:4o"),
        ("openrouter:meta/llama", "openrouter", "meta/llama"),
    ],
)
async def test_providers_have_the_conventions_names(
    collector: OtlpCollector, tracer: OtelTracer, model: str, provider: str, name: str
) -> None:
    call = Span(kind="model", name=model, started=1.0, ended=2.0, attributes={"model": model})
    await tracer.record([Trace(id=str(uuid4()), root=call)])
    [span] = collector.spans
    assert (attributes(span)["gen_ai.provider.name"], attributes(span)["gen_ai.request.model"]) == (provider, name)
    assert span.name == f"chat {name}"


# --- whose trace it is ------------------------------------------------------------------------------------------


async def test_the_callers_trace_goes_on(collector: OtlpCollector, tracer: OtelTracer) -> None:
    trace = sample_trace(traceparent=TRACEPARENT)
    await tracer.record([trace])
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    [root] = collector.roots()
    assert root.parent_span_id.hex() == PARENT
    assert root.flags & 0x300 == 0x300, "the parent is in another process"
    assert attributes(root)["tilores.run_id"] == trace.id
    assert len(collector.children(root)) == 6
    assert not any(span.flags & 0x200 for span in collector.children(root))


async def test_two_runs_of_one_caller_are_two_roots_of_one_trace(
    collector: OtlpCollector, tracer: OtelTracer
) -> None:
    await tracer.record([sample_trace(traceparent=TRACEPARENT), sample_trace(traceparent=TRACEPARENT)])
    roots = collector.roots()
    assert len({root.span_id for root in roots}) == len(roots) == 2
    assert {root.trace_id.hex() for root in roots} == {TRACE}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "rubbish",
        TRACEPARENT.upper(),
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"{TRACEPARENT}-more",
        f" {TRACEPARENT}",
        f"{TRACEPARENT}\n",
        f"00-{TRACE}-{PARENT}",
    ],
)
async def test_a_bad_traceparent_is_none(collector: OtlpCollector, tracer: OtelTracer, header: str) -> None:
    trace = sample_trace(traceparent=header)
    await tracer.record([trace])
    assert {span.trace_id for span in collector.spans} == {UUID(trace.id).bytes}


def test_a_later_version_of_traceparent_may_say_more() -> None:
    origin = read_traceparent(f"01-{TRACE}-{PARENT}-01-more-of-it")
    assert origin is not None
    assert (origin.trace_id.hex(), origin.parent_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize("run_id", ["not a uuid", "", str(UUID(int=0)), "run \udc80"], ids=ascii)
async def test_a_run_id_that_is_no_uuid_still_makes_a_trace(
    collector: OtlpCollector, tracer: OtelTracer, run_id: str
) -> None:
    trace = sample_trace()
    await tracer.record([Trace(id=run_id, root=trace.root)])
    [root] = collector.roots()
    assert len(root.trace_id) == 16
    assert any(root.trace_id)


async def test_a_batch_sent_twice_has_the_same_ids(collector: OtlpCollector, tracer: OtelTracer) -> None:
    batch = [sample_trace(), sample_trace(traceparent=TRACEPARENT)]
    await tracer.record(batch)
    await tracer.record(batch)
    first, second = collector.requests
    assert first == second


# --- feedback ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traceparent", [None, TRACEPARENT])
async def test_a_score_belongs_to_its_run(
    collector: OtlpCollector, tracer: OtelTracer, traceparent: str | None
) -> None:
    trace = sample_trace(traceparent=traceparent)
    await tracer.record([trace])
    [root] = collector.roots()
    await tracer.feedback(Feedback(run_id=trace.id, key="helpful", score=0.5, value="meh", comment="too long"))
    score = collector.spans[-1]
    assert score.name == "gen_ai.evaluation.result"
    assert (score.trace_id, score.parent_span_id) == (root.trace_id, root.span_id)
    assert attributes(score) == {
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.value": 0.5,
        "gen_ai.evaluation.score.label": "meh",
        "gen_ai.evaluation.explanation": "too long",
        "tilores.run_id": trace.id,
    }


# --- texts ------------------------------------------------------------------------------------------------------


async def test_nothing_leaves_but_what_the_spans_hold(collector: OtlpCollector, tracer: OtelTracer) -> None:
    await tracer.record([sample_trace()])
    assert not re.search(rb"messages|content|Forty|arguments|inputs|outputs", collector.bodies)
    assert not re.search(rb"hostname|process\.|os\.|/tmp|python", collector.bodies), "of this machine neither"


async def test_texts_have_the_conventions_shape(collector: OtlpCollector, tracer: OtelTracer) -> None:
    trace = sample_trace(texts=True)
    await tracer.record([trace])
    said = by_name(collector)
    assert json.loads(said["chat"]["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "How much is due?"}]}
    ]
    assert json.loads(said["chat"]["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "Forty dollars."}], "finish_reason": "stop"}
    ]
    assert collector.bodies.count(b"Forty dollars.") == 1, "the answer is sent once"


async def test_calls_of_tools_in_texts(collector: OtlpCollector, tracer: OtelTracer) -> None:
    call = {"id": "call-1", "type": "function", "function": {"name": "find", "arguments": '{"id":1}'}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look."}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": "found"},
    ]
    tool = Span(kind="tool", name="find", started=1.0, ended=1.0, inputs={"arguments": '{"id":1}'})
    root = Span(
        kind="request",
        name="chat",
        started=1.0,
        ended=2.0,
        inputs={"messages": messages},
        outputs={"role": "assistant", "content": "", "tool_calls": [call]},
        children=(
            tool,
            Span(kind="answer", name="answer", started=2.0, ended=2.0, attributes={"finish_reason": "tool_calls"}),
        ),
    )
    await tracer.record([Trace(id=str(uuid4()), root=root)])
    said = by_name(collector)
    user, assistant, result = json.loads(said["chat"]["gen_ai.input.messages"])
    assert user["parts"] == [{"type": "text", "content": "Look."}, {"type": "image_url", "image_url": {}}]
    asked = {"type": "tool_call", "id": "call-1", "name": "find", "arguments": '{"id":1}'}
    assert assistant["parts"] == [asked]
    assert result["parts"] == [{"type": "tool_call_response", "id": "call-1", "response": "found"}]
    [answer] = json.loads(said["chat"]["gen_ai.output.messages"])
    assert answer["parts"][-1] == asked
    assert answer["finish_reason"] == "tool_call"
    assert said["execute_tool find"]["gen_ai.tool.call.arguments"] == '{"id":1}'


# --- the wire ---------------------------------------------------------------------------------------------------


async def test_the_sdk_would_have_sent_the_same(collector: OtlpCollector, tracer: OtelTracer) -> None:
    """Our spans, made anew as the SDK's and sent by its exporter, come out as ours did."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    await tracer.record([sample_trace(texts=True), sample_trace(traceparent=TRACEPARENT)])
    [ours] = collector.requests
    ids = {span.span_id for span in collector.spans}

    def context(trace_id: bytes, span_id: bytes) -> SpanContext:
        remote = span_id not in ids
        return SpanContext(int.from_bytes(trace_id), int.from_bytes(span_id), remote, TraceFlags(1))

    resource, scope = Resource(collector.resource), ours.resource_spans[0].scope_spans[0].scope
    again = [
        ReadableSpan(
            span.name,
            context=context(span.trace_id, span.span_id),
            parent=context(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
            resource=resource,
            attributes=attributes(span),
            kind=SpanKind(span.kind - 1),
            status=Status(StatusCode(span.status.code)),
            start_time=span.start_time_unix_nano,
            end_time=span.end_time_unix_nano,
            instrumentation_scope=InstrumentationScope(scope.name, scope.version),
        )
        for span in collector.spans
    ]
    exporter = OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces", timeout=60)
    exporter.export(again)
    exporter.shutdown()  # type: ignore[no-untyped-call]
    ours, theirs = collector.requests
    for request in (ours, theirs):
        for span in request.resource_spans[0].scope_spans[0].spans:
            span.flags &= ~0xFF  # the exporter leaves out that the span was sampled
            span.SetInParent()
            span.status.SetInParent()
    assert ours == theirs
    assert collector.paths == ["/v1/traces"] * 2
    assert collector.headers[0]["content-type"] == collector.headers[1]["content-type"] == "application/x-protobuf"


async def test_no_global_provider_is_set_and_no_sdk_is_loaded(collector: OtlpCollector) -> None:
    import subprocess
    import sys

    script = f"""
import asyncio, sys
from tilores_core.testing.tracers import sample_trace
from tilores_plugins.tracing.otel import register_health_checks, register_tracers
register_tracers(); register_health_checks()
assert not [name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf", "httpx"))]
from tilores_plugins.tracing.otel.settings import Settings
from tilores_plugins.tracing.otel.tracer import OtelTracer
async def main():
    tracer = OtelTracer(Settings(endpoint={collector.url!r}))
    await tracer.record([sample_trace()])
    await tracer.aclose()
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.trace"))])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    assert len(collector.spans) == 7


# --- settings ---------------------------------------------------------------------------------------------------


async def test_resource_and_headers(collector: OtlpCollector) -> None:
    settings = Settings(
        endpoint=f"{collector.url}/",
        headers=SecretStr("authorization=Bearer%20a%3Db, x-scope = one"),
        service_name="desk",
        resource_attributes="deployment.environment.name=test,team=a%20b",
        compression="gzip",
    )
    tracer = OtelTracer(settings)
    await tracer.record([sample_trace()])
    await tracer.aclose()
    instance = collector.resource.pop("service.instance.id")
    assert UUID(instance)
    assert collector.resource == {
        "service.name": "desk",
        "service.version": __version__,
        "service.instance.id": instance,
        "deployment.environment.name": "test",
        "team": "a b",
    }
    [headers] = collector.headers
    assert headers["authorization"] == "Bearer a=b"
    assert headers["x-scope"] == "one"
    assert headers["content-encoding"] == "gzip"
    assert collector.paths == ["/v1/traces"]
    assert "Bearer" not in repr(settings)


async def test_the_whole_address_is_used_as_it_is(collector: OtlpCollector) -> None:
    tracer = OtelTracer(Settings(endpoint="http://127.0.0.1:1", traces_endpoint=f"{collector.url}/tenant/7/otlp"))
    await tracer.record([sample_trace()])
    await tracer.aclose()
    assert collector.paths == ["/tenant/7/otlp"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint", "localhost:4318"),
        ("endpoint", "grpc://localhost:4317"),
        ("endpoint", "http://user:secret-1@localhost:4318"),
        ("endpoint", "http://local host"),
        ("endpoint", "http://localhost:99999"),
        ("headers", "secret-1"),
        ("headers", "a b=secret-1"),
        ("headers", "a=secret-1%0d%0ax: y"),
        ("resource_attributes", "secret-1"),
        ("compression", "deflate"),
        ("timeout_seconds", 0),
    ],
)
def test_a_wrong_setting_is_named_and_not_quoted(key: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**{key: value})
    assert key in str(caught.value)
    assert "secret-1" not in str(caught.value)


def test_a_certificate_that_is_not_there(tmp_path: Any) -> None:
    settings = Settings(certificate=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="certificate"):
        build(PluginContext(plugin_id="otel", settings=settings, data_dir=tmp_path))
