"""`/metrics` of real servers: what was asked is what is counted; who may read it; one worker killed among two."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site
from tilores_core.metrics.meters import chat_route
from tilores_core.testing.fake_upstream import DEFAULT_KEY, FakeUpstream, HttpError, Reply
from tilores_core.testing.waiting import wait_until

QUESTION = "What is Edwina Hawthorne's credit score?"
TOML = """
[use]
cache = ["memory"]
source = "demo"
model = "demo:simulated-1"
"""


class Told:
    """The samples of a scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [sample for metric in parse(text) for sample in metric.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum over all samples with these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        return {sample.labels[label] for sample in self._samples if label in sample.labels and sample.name == name}


def scrape(server: RunningServer, **headers: str) -> Told:
    reply = httpx.get(f"{server.url}/metrics", headers=headers, timeout=30)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.headers["x-request-id"]
    return Told(reply.text)


def ask(server: RunningServer, question: str = QUESTION, **configurable: Any) -> httpx.Response:
    body = {"input": question, "config": {"configurable": configurable}}
    return httpx.post(f"{server.chat}/invoke", json=body, timeout=30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("metrics"), toml=TOML, worker=True) as running:
        yield running


def test_requests_by_route_status_and_tier(server: RunningServer) -> None:
    before = scrape(server)
    for tier in ("miss", "l1", "l1"):
        assert ask(server, QUESTION + " Counted.").headers["x-tilores-cache"] == tier
    assert httpx.post(f"{server.chat}/invoke", content=b"{").status_code == 422
    assert httpx.get(f"{server.chat}/EDW_HAWTHORNE_001").status_code == 404
    assert httpx.get(f"{server.v1}/models/demo:simulated-1").status_code == 200
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert httpx.get(f"{server.url}/nowhere/EDW_HAWTHORNE_001").status_code == 404
    after = scrape(server)

    def grown(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    total = "tilores_requests_total"
    assert grown(total, route="/chat/invoke", status="200", cache="l1") == 2
    assert grown(total, route="/chat/invoke", status="200", cache="miss") == 1
    assert grown(total, route="/chat/invoke", status="422", cache="") == 1
    assert grown(total, route="/v1/models/{id}", status="200") == 1
    assert grown(total, route="/health", status="200") == 1
    assert grown(total, route="other", status="404") == 2
    assert grown(total, route="/metrics", status="200") == 1
    assert grown("tilores_request_duration_seconds_count", route="/chat/invoke", cache="l1") == 2
    assert grown("tilores_cache_hits_total", tier="l1", namespace="wire") == 1  # the other cut the bytes
    assert grown("tilores_model_attempts_total", provider="demo", model="simulated-1", outcome="ok") == 1
    assert grown("tilores_model_tokens_total", direction="input", purpose="live") > 100
    assert grown("tilores_source_lookups_total", outcome="ok") >= 1
    assert after("tilores_workers") == 1
    wait_until(lambda: scrape(server)("tilores_event_loop_lag_seconds_count") > 0, "no lag was measured")
    assert after("tilores_process_memory_bytes") > 10e6
    assert after("tilores_cache_bytes", tier="l1") > 0
    assert after("tilores_prewarm_leading") <= 1
    assert "HAWTHORNE" not in after.text.upper()


def test_time_to_first_token_of_streams(server: RunningServer) -> None:
    for tier in ("miss", "l1"):
        before = scrape(server)
        body = {"model": "demo:simulated-1", "messages": [{"role": "user", "content": QUESTION + " Streamed."}]}
        reply = httpx.post(f"{server.v1}/chat/completions", json={**body, "stream": True}, timeout=30)
        assert reply.text.endswith("data: [DONE]\n\n")
        after = scrape(server)
        count = "tilores_first_token_seconds_count"
        assert after(count, cache=tier) - before(count, cache=tier) == 1
        total = {"name": "tilores_requests_total", "route": "/v1/chat/completions", "cache": tier}
        assert after(**total) - before(**total) == 1
    assert after("tilores_stream_failures_total") == 0
    line = server.lines(event="request.finished", stream=True, cache="miss")[-1]
    assert 0 < line["first_token_ms"] <= line["ms"]
    assert line["output_tokens"] > 0


def test_the_same_question_at_once_is_coalesced(server: RunningServer) -> None:
    async def together() -> None:
        body = {"input": QUESTION + " All at once."}
        async with httpx.AsyncClient(timeout=30) as http:
            replies = await asyncio.gather(*(http.post(f"{server.chat}/invoke", json=body) for _ in range(20)))
        assert {reply.status_code for reply in replies} == {200}

    before = scrape(server)
    asyncio.run(together())
    after = scrape(server)
    asked = after("tilores_model_attempts_total") - before("tilores_model_attempts_total")
    assert asked == 1
    events = "tilores_cache_events_total"
    waited = after(events, event="coalesced") - before(events, event="coalesced")
    hits = after("tilores_requests_total", cache="l1") - before("tilores_requests_total", cache="l1")
    assert waited >= 19 - hits


def test_a_batch_and_a_call_that_begins(server: RunningServer) -> None:
    lines = "".join(json.dumps({"id": str(number), "question": f"{QUESTION} {number}"}) + "\n" for number in range(3))
    begun = httpx.post(f"{server.url}/admin/batch", headers=server.admin, content=lines, timeout=30)
    assert begun.status_code == 202, begun.text
    called = httpx.post(f"{server.url}/events/call", json={"customer_id": "EDW_HAWTHORNE_001"}, timeout=30)
    assert called.status_code == 202, called.text
    wait_until(lambda: scrape(server)("tilores_batch_lines_total", outcome="all") == 3, "the lines were not counted")
    wait_until(
        lambda: scrape(server)("tilores_prewarm_customers_total", cause="call") == 1, "the call was not counted"
    )
    wait_until(lambda: scrape(server)("tilores_batches_running") == 0, "it is still at work")
    told = scrape(server)
    assert told("tilores_batch_lines_total", outcome="failed") == 0
    assert told("tilores_model_tokens_total", purpose="batch") > 0
    assert told("tilores_requests_total", route="/admin/batch", status="202") == 1
    assert (
        httpx.get(f"{server.url}/health/detailed", headers=server.admin, timeout=30).json()["parts"]["store"][
            "status"
        ]
        == "ok"
    )


def test_every_described_chat_route_is_told_apart(server: RunningServer) -> None:
    paths = httpx.get(f"{server.url}/openapi.json", timeout=30).json()["paths"]
    described = [path for path in paths if path.startswith(("/chat/", "/v1/"))]
    assert len(described) > 10
    assert [path for path in described if chat_route(path) != path] == []


def test_openmetrics_when_it_is_asked_for(server: RunningServer) -> None:
    reply = httpx.get(f"{server.url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")


def test_on_loopback_it_is_for_local_names_alone(server: RunningServer) -> None:
    assert httpx.get(f"{server.url}/metrics", headers={"Host": "bank.example"}).status_code == 403


KEYS = {"TILORES_API_KEYS": "desk:desk-secret", "TILORES_ADMIN_KEYS": "root:root-secret"}


def test_elsewhere_it_wants_a_key_of_either_kind(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--host", "0.0.0.0", toml=TOML, variables=KEYS) as server:
        wait_until(lambda: scrape(server, Authorization="Bearer desk-secret"), "not open to chat keys")
        scrape(server, Authorization="Bearer root-secret")
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Host": "localhost"}):
            refused = httpx.get(f"{server.url}/metrics", headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    with RunningServer(tmp_path, toml=TOML + "[metrics]\nenabled = false\n") as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 404
        assert [ask(server).headers["x-tilores-cache"] for _ in range(2)] == ["miss", "l1"]
        assert httpx.get(f"{server.url}/health/detailed", headers=server.admin).json()["status"] == "ok"


# --- models that fail ----------------------------------------------------------------------------------------

PROVIDERS = """
from tilores_core import LLMProviderSpec, SupportsCompletion, hookimpl


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(
        name="remote", factory="tilores_plugins.providers.openai.provider:build",
        settings="tilores_core.llm:KeyedProviderSettings", abilities=(SupportsCompletion,),
    )]
"""
FALLING_BACK = """
[use]
cache = ["memory"]
source = "demo"
model = "remote:first"
fallbacks = ["demo:simulated-1"]
[routing]
attempts = 1
backoff_seconds = 0.01
[plugins.remote]
base_url = "{address}"
api_key = {{ env = "FAKE_UPSTREAM_KEY" }}
"""


def test_failures_fallbacks_breakers_and_made_up_models(tmp_path: Path) -> None:
    site = tmp_path / "plugins"
    site.mkdir()
    Site(site).install("remote", PROVIDERS, target="remote_models")
    with FakeUpstream("openai") as fake_upstream:
        fake_upstream.always["first"] = HttpError(status=503)
        variables = {"PYTHONPATH": str(site), "FAKE_UPSTREAM_KEY": DEFAULT_KEY}
        toml = FALLING_BACK.format(address=fake_upstream.base_url)
        with RunningServer(tmp_path / "server", toml=toml, variables=variables) as server:
            for number in range(4):
                assert ask(server, f"{QUESTION} {number}").status_code == 200
            for number in range(30):
                fake_upstream.always[f"made-up-{number}"] = Reply("Words.")
                assert ask(server, QUESTION, model=f"remote:made-up-{number}").status_code == 200
            told = scrape(server)
            detailed = httpx.get(f"{server.url}/health/detailed", headers=server.admin).json()
    attempts = "tilores_model_attempts_total"
    assert told(attempts, provider="remote", model="first", outcome="provider_unavailable") == 3
    assert told(attempts, provider="demo", outcome="ok") == 4
    assert told("tilores_model_fallbacks_total", model="remote:first", answered_by="demo:simulated-1") == 4
    assert told("tilores_model_breaker_open", provider="remote", model="first") == 1
    assert told("tilores_model_breaker_opened_total", provider="remote", model="first") == 1
    assert told(attempts, provider="remote", model="other", outcome="ok") == 30
    assert "made-up" not in told.text
    part = detailed["parts"]["model"]
    assert (detailed["status"], part["status"]) == ("degraded", "degraded")
    first = part["detail"]["asked"]["remote:first"]
    assert first["status"] == "failed"
    assert first["last_error"]["code"] == "provider_unavailable"
    assert first["since"] <= first["last_error"]["at"]
    assert part["detail"]["asked"]["demo:simulated-1"]["status"] == "ok"
    assert part["detail"]["asked"]["demo:simulated-1"]["latency_ms"] > 0


# --- several workers -----------------------------------------------------------------------------------------


def _workers_of(server: RunningServer) -> list[int]:
    """The workers' processes, as they began."""
    events = (str(line.get("event", "")) for line in server.lines())
    return [int(event.rpartition("[")[2].rstrip("]")) for event in events if event.startswith("Started server pro")]


async def _load(server: RunningServer, answered: Counter[str], *, each: int = 60) -> None:
    """Four callers who open a connection for each question, so that every worker gets some."""
    body = json.dumps({"input": QUESTION}).encode()
    head = (
        f"POST /chat/invoke HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    async def call() -> None:
        for _ in range(each):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(head.encode() + body)
                reply = await reader.read()
                writer.close()
            except OSError:
                reply = b""
            answered[reply[9:12].decode() or "cut"] += 1
            await asyncio.sleep(0.005)  # a steady load

    await asyncio.gather(*(call() for _ in range(4)))


def _counted(server: RunningServer) -> float:
    with urlopen(f"{server.url}/metrics", timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    wanted = [
        line for line in lines if re.match(r'tilores_requests_total\{.*route="/chat/invoke",status="200"\}', line)
    ]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


def test_two_workers_are_one_sum_also_when_one_is_killed(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--workers", "2", toml=TOML, expects="died") as server:
        wait_until(lambda: len(_workers_of(server)) == 2, "two workers")
        wait_until(lambda: scrape(server)("tilores_workers") == 2, "both in the sum")
        answered: Counter[str] = Counter()
        seen: list[float] = []

        async def watched() -> None:
            loading = asyncio.create_task(_load(server, answered))
            while not loading.done():
                seen.append(await asyncio.to_thread(_counted, server))
                assert seen[-1] <= answered["200"] + 4, "more than was asked"
            await loading

        asyncio.run(watched())
        assert len(seen) > 1
        assert seen == sorted(seen), "a counter went back"
        assert answered == {"200": 240}
        # Both have answered, and a second later both are told of.
        wait_until(lambda: _counted(server) == answered["200"], f"not all of {answered} were counted", seconds=10)
        assert scrape(server)("tilores_cache_misses_total", namespace="answers") >= 2

        victim = _workers_of(server)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(_workers_of(server)) == 3, "no new worker")
        assert _counted(server) == answered["200"], "what the dead one had counted is gone"
        wait_until(lambda: scrape(server)("tilores_workers") == 2, "the new one is not in the sum")
        asyncio.run(_load(server, answered, each=20))
        assert answered == {"200": 320}
        wait_until(lambda: _counted(server) == answered["200"], f"not all of {answered} were counted", seconds=10)
