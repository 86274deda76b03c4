from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tracing.langsmith_server import LangSmithServer
from tests.tracing.otlp_collector import OtlpCollector


@pytest.fixture
def service() -> Iterator[LangSmithServer]:
    with LangSmithServer() as running:
        yield running


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with OtlpCollector() as running:
        yield running
