"""JavaScript clients against the real server, in node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.running_server import RunningServer

ANSWER = "Edwina Hawthorne's credit score is 742."


@pytest.mark.node
def test_javascript_clients(run_node: Callable[..., Any], server: RunningServer) -> None:
    said = run_node("e2e.mjs", server.url)
    assert said["batch"] == [ANSWER, ANSWER]
    for way in ("invoke", "named", "composed", "stream", "stream_log", "stream_events"):
        assert said[way] == ANSWER, way
    for package in ("openai", "openai4"):
        saw = said[package]
        assert (saw["text"], saw["stream"], saw["cache"]) == (ANSWER, ANSWER, "l1"), package
        assert saw["tokens"] > 0
        assert "demo:simulated-1" in saw["models"]
        assert saw["errors"] == ["NotFoundError", "BadRequestError"]
