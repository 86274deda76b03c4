"""The picture of a trace shows what a server sends."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.docs import trace_picture


def test_the_picture_is_drawn_from_the_recording() -> None:
    recorded = json.loads(trace_picture.RECORDING.read_text())
    drawn = trace_picture.draw(recorded)
    assert trace_picture.PICTURE.read_text() == drawn, "run: python -m tests.docs.trace_picture"
    words = " ".join(element.text or "" for element in ElementTree.fromstring(drawn).iter())
    assert all(run["name"] in words for run in recorded)


async def test_the_recording_is_what_a_server_sends_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRACING", "API_KEY", "PROJECT", "ENDPOINT", "TRACING_V2"):
        monkeypatch.delenv(f"LANGSMITH_{name}", raising=False)
        monkeypatch.delenv(f"LANGCHAIN_{name}", raising=False)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    for variable in ("RAILWAY_DEPLOYMENT_ID", "RAILWAY_REPLICA_ID"):
        monkeypatch.delenv(variable, raising=False)
    recorded = json.loads(trace_picture.RECORDING.read_text())
    now = await trace_picture.record()
    assert trace_picture.shape(now) == trace_picture.shape(recorded), "run: python -m tests.docs.trace_picture"
    assert {run["run_type"] for run in now} >= {"chain", "retriever", "prompt", "llm", "parser"}
