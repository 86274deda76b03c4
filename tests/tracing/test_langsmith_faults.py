"""The langsmith tracer when its service is not as it should be: no request notices, and what is lost is counted."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.tracing.langsmith_server import KEY, LangSmithServer
from tests.tracing.traced_app import traced_app
from tilores_core import PluginContext, PluginError, Span, Trace
from tilores_core.cli import doctor_checks
from tilores_core.errors import ConfigError
from tilores_core.host.build import module_exists
from tilores_core.host.host import PluginHost
from tilores_core.host.plugin import scan
from tilores_core.settings.loader import LoadedConfig, validate_config
from tilores_core.testing.waiting import eventually
from tilores_plugins.tracing.langsmith.settings import Settings
from tilores_plugins.tracing.langsmith.threads import StuckError
from tilores_plugins.tracing.langsmith.tracer import LangSmithTracer, build


def tracer(service: LangSmithServer, key: str = KEY, **settings: Any) -> LangSmithTracer:
    return LangSmithTracer(Settings(endpoint=service.url, **{"timeout_seconds": 0.3, **settings}), key)


def trace(outputs: Any = None, session: str | None = None) -> Trace:
    now = time.time()
    child = Span(kind="answer", name="answer", started=now, ended=now, outputs=outputs)
    root = Span(kind="request", name="chat", started=now, ended=now + 0.1, outputs=outputs, children=(child,))
    return Trace(id=str(uuid4()), root=root, session_id=session)


# --- the tracer by itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [429, 500, 401, 413, "hang", "cut", "drip"])
async def test_a_fault_is_raised_in_time_and_over_when_the_service_is_well_again(
    service: LangSmithServer, fault: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    # Short where nothing answers; what is answered is waited for on a slow machine too.
    sending = tracer(service, timeout_seconds=1.0 if fault in ("hang", "drip") else 60.0)
    await sending.record([trace()])
    service.fault = fault
    caplog.set_level(logging.DEBUG)
    began = time.monotonic()
    with pytest.raises(Exception):  # noqa: B017, PT011 - the kinds are the library's
        await sending.record([trace()])
    assert time.monotonic() - began < 30
    assert KEY[:5] not in caplog.text, "the library quotes parts of the key"
    service.fault = None
    await sending.record([trace()])
    assert len(service.roots) == 2
    await sending.aclose()


async def test_an_address_where_nobody_is(service: LangSmithServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = LangSmithTracer(
            Settings(endpoint=f"http://127.0.0.1:{free.getsockname()[1]}", timeout_seconds=0.5), KEY
        )
        with pytest.raises(Exception):  # noqa: B017, PT011
            await nobody.record([trace()])


async def test_the_workspace_goes_with_each_request(service: LangSmithServer) -> None:
    sending = tracer(service, workspace_id="team-1", timeout_seconds=60.0)
    await sending.record([trace()])
    assert service.workspaces == {"team-1"}


async def test_calls_that_never_end_are_few(service: LangSmithServer) -> None:
    sending = tracer(service, timeout_seconds=0.3)
    service.fault = "drip"
    for _ in range(4):
        with pytest.raises(TimeoutError):
            await sending.record([trace()])
    with pytest.raises(StuckError):
        await sending.record([trace()])


async def test_a_batch_sent_twice_is_stored_once(service: LangSmithServer) -> None:
    sending, same = tracer(service, timeout_seconds=60.0), trace()
    await sending.record([same])
    await sending.record([same])
    assert len(service.runs) == 2


async def test_id_that_is_not_a_uuid_loses_no_trace(service: LangSmithServer) -> None:
    sending, other = tracer(service, timeout_seconds=60.0), replace(trace(), id="run 4711")
    await sending.record([other, trace()])
    assert len(service.runs) == 4
    await sending.record([other])
    assert len(service.runs) == 4


async def test_huge_payloads_go_in_several_requests_or_without_their_texts(service: LangSmithServer) -> None:
    sending = tracer(service, max_bytes=50_000, timeout_seconds=60.0)
    await sending.record([trace({"content": "x" * 15_000}) for _ in range(4)])
    assert len(service.batches) == 4
    assert all(len(root["outputs"]["content"]) == 15_000 for root in service.roots)
    huge = trace({"content": "x" * 60_000})
    await sending.record([huge, trace({"content": "small"})])
    root = service.runs[huge.id]
    assert not root.get("outputs")
    assert root["extra"]["metadata"]["cut"] is True
    assert max(service.batches) < 60_000


# --- switched off ------------------------------------------------------------------------------------------


def _context(folder: Path, **settings: Any) -> PluginContext:
    return PluginContext(plugin_id="langsmith", settings=Settings(**settings), data_dir=folder)


def test_without_a_key_or_told_not_to_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="there is no key") as refused:
        build(_context(tmp_path))
    assert "LANGSMITH_API_KEY" in str(refused.value.fix)
    with pytest.raises(PluginError, match="LANGSMITH_TRACING"):
        build(_context(tmp_path, tracing="false", api_key=SecretStr(KEY)))
    assert isinstance(build(_context(tmp_path, tracing="true", api_key=SecretStr(KEY))), LangSmithTracer)


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TRACING", "API_KEY", "PROJECT", "ENDPOINT", "TRACING_V2"):
        monkeypatch.delenv(f"LANGSMITH_{name}", raising=False)
        monkeypatch.delenv(f"LANGCHAIN_{name}", raising=False)
    return monkeypatch


@pytest.mark.parametrize("cause", ["no key", "LANGSMITH_TRACING=false", "no package"])
async def test_a_tracer_that_cannot_work_is_off_and_health_says_so(
    tmp_path: Path, clean: pytest.MonkeyPatch, cause: str
) -> None:
    if cause != "no key":
        clean.setenv("LANGSMITH_API_KEY", KEY)
    if cause == "LANGSMITH_TRACING=false":
        clean.setenv("LANGSMITH_TRACING", "false")
    if cause == "no package":
        clean.setattr("tilores_core.host.use.module_exists", lambda name: name != "langsmith" and module_exists(name))
    async with traced_app(tmp_path) as app:
        assert (await app.invoke()).status_code == 200
        health = (await app.http.get("/health/detailed")).json()
    part = health["parts"]["tracers/langsmith"]
    assert part["status"] == "off"
    words = {"no key": "no key", "no package": "tilores-core[langsmith]"}
    assert words.get(cause, "LANGSMITH_TRACING") in part["detail"]["reason"]
    assert KEY not in str(health)


async def test_a_required_tracer_stops_the_start(tmp_path: Path, clean: pytest.MonkeyPatch) -> None:
    with pytest.raises((RuntimeError, PluginError, ConfigError), match="no key"):
        async with traced_app(tmp_path, plugins={"langsmith": {"required": True}}):
            pass


# --- the server over it ------------------------------------------------------------------------------------

FAULTS = [429, 500, "hang", "cut", "drip"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_requests_are_neither_failed_nor_held_up(
    tmp_path: Path, service: LangSmithServer, clean: pytest.MonkeyPatch, fault: int | str
) -> None:
    plugin = {"endpoint": service.url, "api_key": {"env": "X", "default": KEY}, "timeout_seconds": 0.3}
    quick = {"sample_hits": 1.0, "max_waiting": 20, "max_batch": 5, "flush_seconds": 0.5}
    service.fault = fault
    async with traced_app(tmp_path, langsmith=plugin, tracing=quick) as app:
        for _ in range(120):
            async with asyncio.timeout(30):
                reply = await app.complete()
            assert reply.status_code == 200
        queue = app.tracing.queues[0]
        await eventually(lambda: queue.failures and queue.dropped, "something is dropped")
        began = time.monotonic()
    assert time.monotonic() - began < 30, "the end waits no longer than it may"
    assert queue.dropped + queue.sent == 120, "each is accounted for"
    assert queue.report()["state"] == "failing"
    assert not service.runs


async def test_a_wrong_key_is_named_without_being_shown(
    tmp_path: Path, service: LangSmithServer, clean: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = "lsv2-wrong-key-9876543210"
    plugin = {"endpoint": service.url, "api_key": {"env": "X", "default": wrong}, "timeout_seconds": 1.0}
    async with traced_app(tmp_path, langsmith=plugin, tracing={"flush_seconds": 0.2}) as app:
        assert (await app.invoke()).status_code == 200
        queue = app.tracing.queues[0]
        await eventually(lambda: queue.failures)
        assert queue.report()["error"] == "LangSmithAuthError"
    assert queue.dropped == 1
    said = "".join(capfd.readouterr())
    assert "LangSmithAuthError" in said
    assert "tracer.failed" in said
    assert wrong[:8] not in said


async def test_what_waits_is_sent_at_the_end(
    tmp_path: Path, service: LangSmithServer, clean: pytest.MonkeyPatch
) -> None:
    plugin = {"endpoint": service.url, "api_key": {"env": "X", "default": KEY}}
    slow = {"sample_hits": 1.0, "schedule_delay_seconds": 60.0, "flush_seconds": 10.0}
    async with traced_app(tmp_path, langsmith=plugin, tracing=slow) as app:
        for _ in range(30):
            await app.complete()
        assert not service.runs
    assert len(service.roots) == 30
    assert app.tracing.queues[0].dropped == 0


# --- the doctor --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", KEY])
async def test_the_doctor_says_whether_it_is_on(tmp_path: Path, key: str) -> None:
    config = {"use": {"tracers": ["langsmith"], "cache": ["memory"]}}
    found = [one for one in scan() if one.builtin]
    path = Path("plugins.toml")
    loaded = LoadedConfig(config=validate_config(config, path), path=path, packaged=False)
    variables = {"LANGSMITH_API_KEY": key} if key else {}
    host = PluginHost.start(loaded, variables=variables, data_dir=tmp_path, discovered=found)
    (finding,) = [finding async for finding in doctor_checks.outlets(host, 10.0)]
    await host.aclose()
    assert (finding.part, finding.state) == ("tracer langsmith", "ok")
    assert finding.detail == "ready" if key else "disabled" in finding.detail
    assert KEY not in repr(finding)
