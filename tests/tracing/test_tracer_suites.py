"""The built-in tracers and the fake one keep the contract of a tracer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from tests.redis_server import free_port
from tests.tracing.langsmith_server import KEY, LangSmithServer
from tests.tracing.otlp_collector import OtlpCollector, attributes
from tilores_core.testing import FakeTracer
from tilores_core.testing.tracers import TracerSuite
from tilores_plugins.tracing.langsmith import client as _imported_before_a_deadline_counts  # noqa: F401
from tilores_plugins.tracing.langsmith.settings import Settings as LangSmithSettings
from tilores_plugins.tracing.langsmith.tracer import LangSmithTracer
from tilores_plugins.tracing.otel.settings import Settings as OtelSettings
from tilores_plugins.tracing.otel.tracer import OtelTracer

PATIENT, SHORT = 60.0, 1.0
"""What a slow machine keeps to, and for a service that does not answer."""


@pytest.fixture
def closed_port() -> str:
    return f"http://127.0.0.1:{free_port()}"


class TestOtelConforms(TracerSuite):
    supports_feedback = True
    secret = "otlp-secret-0123456789"

    def made(self, address: str, seconds: float = SHORT) -> OtelTracer:
        headers = SecretStr(f"authorization=Bearer%20{self.secret}")
        return OtelTracer(OtelSettings(endpoint=address, headers=headers, timeout_seconds=seconds))

    @pytest.fixture
    async def tracer(self, collector: OtlpCollector) -> AsyncIterator[OtelTracer]:
        tracer = self.made(collector.url, PATIENT)
        yield tracer
        await tracer.aclose()
        assert {headers["authorization"] for headers in collector.headers} <= {f"Bearer {self.secret}"}

    @pytest.fixture
    def arrived(self, collector: OtlpCollector) -> Callable[[], list[str]]:
        return lambda: [attributes(root).get("tilores.run_id", "") for root in collector.roots()]

    @pytest.fixture
    async def unreachable_tracer(self, closed_port: str) -> AsyncIterator[OtelTracer]:
        tracer = self.made(closed_port)
        yield tracer
        await tracer.aclose()

    @pytest.fixture
    async def hanging_tracer(self, collector: OtlpCollector) -> AsyncIterator[OtelTracer]:
        collector.fault = "hang"
        tracer = self.made(collector.url)
        yield tracer
        await tracer.aclose()


class TestLangSmithConforms(TracerSuite):
    supports_feedback = True
    secret = KEY

    def made(self, address: str, seconds: float = SHORT) -> LangSmithTracer:
        return LangSmithTracer(LangSmithSettings(endpoint=address, timeout_seconds=seconds), KEY)

    @pytest.fixture
    async def tracer(self, service: LangSmithServer) -> AsyncIterator[LangSmithTracer]:
        tracer = self.made(service.url, PATIENT)
        yield tracer
        await tracer.aclose()

    @pytest.fixture
    def arrived(self, service: LangSmithServer) -> Callable[[], list[str]]:
        return lambda: list(service.runs)

    @pytest.fixture
    async def unreachable_tracer(self, closed_port: str) -> AsyncIterator[LangSmithTracer]:
        tracer = self.made(closed_port)
        yield tracer
        await tracer.aclose()

    @pytest.fixture
    async def hanging_tracer(self, service: LangSmithServer) -> AsyncIterator[LangSmithTracer]:
        service.fault = "hang"
        tracer = self.made(service.url)
        yield tracer
        await tracer.aclose()


class TestFakeConforms(TracerSuite):
    supports_feedback = True

    @pytest.fixture
    def tracer(self) -> FakeTracer:
        return FakeTracer()

    @pytest.fixture
    def arrived(self, tracer: FakeTracer) -> Callable[[], list[str]]:
        return lambda: [trace.id for trace in tracer.traces]

    @pytest.fixture
    def unreachable_tracer(self) -> Any:
        return FakeTracer(error=ConnectionError("down"))


async def test_the_fake_keeps_feedback() -> None:
    from tilores_core import Feedback

    tracer = FakeTracer()
    given = Feedback(run_id="run-1", key="helpful", score=1.0)
    await tracer.feedback(given)
    assert tracer.feedbacks == [given]
    await tracer.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await tracer.record([])
