"""A running server shows cycles and healing that another process works on: events, pages, the switch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.e2e.running_server import RunningServer
from tilores_core.improve.parts import CycleRequest
from tilores_core.store.address import store_address
from tilores_core.store.healing import LEASE as HEALING_LEASE, Episode
from tilores_core.store.improvement import LEASE, Improvement
from tilores_core.store.lazy import LazyStore

DECISION = {"outcome": "reject", "reasons": ["<script>alert(1)</script>"], "difference": -0.01, "confidence": 0.0}
SCORES = {"overall": 0.9, "spectrums": {"credit_analysis": 0.9}, "models": {"demo:simulated-1": 0.9}, "faults": []}


async def read_events(http: httpx.AsyncClient) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    async with http.stream("GET", "/admin/improvement/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


async def work(store: Improvement, fence: int, cycle: str) -> None:
    """What a worker writes of a cycle."""
    request = CycleRequest(strategy="mock", models=("demo:simulated-1",), parts={}, reason="<b>a test</b>", mock=True)
    await store.begin(cycle, asdict(request), fence=fence)
    await store.add_calls(cycle, "subject", {"a": {}, "b": {}})
    spent = {"calls": 2, "dollars": 0.0}
    phases: dict[str, Any] = {"baseline": {**SCORES, "answers": 2, "errors": 0, "spent": spent}}
    await store.keep(cycle, phases, fence=fence)
    phases["validation"] = {"decision": {**DECISION, "low": -0.05, "high": 0.03, "questions": 30}, "spent": spent}
    await store.keep(cycle, phases, fence=fence)
    await store.end(cycle, "done", fence=fence)


async def test_events_of_another_process_arrive_and_pages_escape_what_they_show(server: RunningServer) -> None:
    store = LazyStore(store_address(None, server.folder / "data"))
    async with httpx.AsyncClient(base_url=server.url, headers=server.admin, timeout=30) as http:
        try:
            opened = await store.get()
            fence = await opened.leases.acquire(LEASE, "the test", 60.0)
            healing = await opened.leases.acquire(HEALING_LEASE, "the test", 60.0)  # the server has no worker
            assert fence is not None
            assert healing is not None
            episode = Episode(
                id="e2e", state="reported", diagnosis="schema changed", subject="demo", created=datetime.now(UTC)
            )
            seen: list[tuple[str, dict[str, Any]]] = []
            working: asyncio.Task[None] | None = None
            await opened.healing.put(episode, fence=healing)
            async with asyncio.timeout(30):
                async for name, data in read_events(http):
                    seen.append((name, data))
                    if working is None:
                        working = asyncio.create_task(work(opened.improvement, fence, "e2e-cycle"))
                    if name == "cycle" and data["state"] == "done":
                        break
            assert working is not None
            await working
        finally:
            await store.aclose()
        names = [name for name, data in seen if data.get("cycle", data.get("id")) == "e2e-cycle"]
        assert names[-1] == "cycle"
        assert seen[0][0] == "episode"
        assert {"phase", "decision"} <= set(names)
        page = await http.get("/admin/improvement/cycles/e2e-cycle/report")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "<svg" in page.text
        assert "&lt;script&gt;alert(1)" in page.text
        assert "<script" not in page.text
        assert "<b>a test" not in page.text
        assert (await http.get("/admin/improvement/cycles/none")).status_code == 404
        assert (await http.get("/admin/improvement/episodes")).json()["mode"] == "act"
        switched = await http.post("/admin/improvement/pause", json={"reason": "e2e"})
        assert switched.json()["paused"]["reason"] == "e2e"
        assert (await http.post("/admin/improvement/resume", json={"reason": "e2e"})).json()["paused"] is None
        assert "e2e-cycle" in (await http.get("/admin/improvement")).text
