"""`/health/detailed`: asked in parallel, within a second, shared; what is down is named, the server stays ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from tests.e2e.running_server import RunningServer
from tests.host.throwaway_plugins import Site
from tests.redis_server import RedisServer
from tilores_core.contracts import Outcome, Turn
from tilores_core.resilience import Condition
from tilores_core.settings import TracingTable
from tilores_core.testing.waiting import wait_until
from tilores_core.tracing import Tracing
from tilores_core.web.health import HealthReport

TIERS = """
[use]
cache = ["memory", "redis"]
source = "demo"
model = "demo:simulated-1"
[plugins.redis]
url = {{ env = "REDIS_URL", default = "" }}
"""


class _Nothing:
    """What the report asks, all well."""

    def __init__(self) -> None:
        self.condition = Condition()
        self.condition.record_success(0.002)
        self.default, self.fallbacks = "m", ()
        self.plugins: tuple[object, ...] = ()
        self.disabled_roles: dict[str, str] = {}
        self.idle_providers: dict[str, str] = {}
        self.observers = {"waiting": 0, "dropped": 0, "failed": 0}
        self.model, self.use, self.name = "m", self, "s"
        self.source = "s"

    def __getattr__(self, name: str) -> Any:
        return self  # engine.models, host.config, …

    def statistics(self) -> Mapping[str, Any]:
        return {"observers": self.observers, "grounding": {"mode": "off"}}

    def display_name(self, name: str) -> str:
        return name

    def conditions(self) -> Mapping[str, Condition]:
        return {"m": self.condition}

    def routes(self) -> Mapping[str, Mapping[str, Any]]:
        return {"m": {"breaker": self.__dict__.get("breaker", "closed")}}

    @property
    def source_condition(self) -> Condition:
        return cast("Condition", self.__dict__.get("at_source", self.condition))

    async def probe(self, seconds: float) -> tuple[()]:
        return ()

    async def probe_source(self, seconds: float) -> bool:
        return True


async def no_store() -> bool:
    return False


def report(world: Any, *checks: tuple[str, Any], **more: Any) -> HealthReport:
    prompts = {"production": 1, "labels": {}, "origin": "builtin", "known_at": 0.0, "stale": None}
    parts = {"tracers": dict, "store": no_store, "prompts": lambda: prompts, "workers": None, **more}
    return HealthReport(host=world, cache=world, engine=world, checks=checks, **parts)


async def test_checks_run_at_once_and_none_for_longer_than_a_second() -> None:
    asked = 0

    async def hangs() -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(60)
        return {}

    async def fails() -> Mapping[str, Any]:
        raise ZeroDivisionError("Edwina Hawthorne")

    async def odd() -> Mapping[str, Any]:
        return {"status": "splendid"}

    checks = [(f"hanging-{number}", hangs) for number in range(20)]
    health = report(_Nothing(), *checks, ("failing", fails), ("odd", odd))
    began = time.monotonic()
    first, second = await asyncio.gather(health.get(), health.get())
    assert time.monotonic() - began < 19  # twenty seconds, one after the other
    assert first is second
    assert asked == 20, "each was asked twice"
    assert first.status == "degraded"
    assert first.parts["hanging-0"].status == "failed"
    assert first.parts["hanging-0"].detail == {"error": "no answer within 1 s"}
    assert first.parts["failing"].detail == {"error": "ZeroDivisionError"}
    assert first.parts["odd"].status == "failed"
    assert "Edwina" not in first.model_dump_json()
    assert await health.get() is first, "not shared"


async def test_outcomes_that_a_tracer_did_not_get_are_seen() -> None:
    class Nowhere:
        async def record(self, traces: object) -> None: ...

        async def aclose(self) -> None: ...

    table = TracingTable(max_waiting=2)
    given: Any = {"resolve": str, "shown": str, "remembered": lambda _: None, "deployment": {}}
    tracing = Tracing({"mine": Nowhere()}, table, **given)
    for _ in range(5):
        tracing.take(Outcome(turn=Turn(messages=()), answer=None, timings={}))
    part = (await report(_Nothing(), tracers=tracing.report).get()).parts["tracer/mine"]
    assert (part.detail["waiting"], part.detail["dropped"]) == (2, 3)


async def test_since_when_a_part_is_as_it_is() -> None:
    world = _Nothing()
    state = "ok"

    async def check() -> Mapping[str, Any]:
        return {"status": state}

    health = report(world, ("mine", check))
    before = (await health.get()).parts["mine"]
    health._good_until = 0.0
    same = (await health.get()).parts["mine"]
    assert same.since == before.since
    state = "degraded"
    health._good_until = 0.0
    after = (await health.get()).parts["mine"]
    assert after.status == "degraded"
    assert after.since is not None
    assert before.since is not None
    assert after.since > before.since


async def test_the_whole_fails_with_the_source_or_with_all_models() -> None:
    world = _Nothing()
    assert (await report(world).get()).status == "ok"
    world.__dict__["breaker"] = "open"
    assert (await report(world).get()).status == "failed"
    world = _Nothing()
    world.__dict__["at_source"] = Condition()
    world.__dict__["at_source"].record_failure("source_unavailable")
    told = await report(world).get()
    assert told.status == "failed"
    fault = told.parts["source"].last_error
    assert fault is not None
    assert fault.code == "source_unavailable"


async def test_the_database_is_asked_once_something_has_opened_it() -> None:
    opened = False

    async def ping() -> bool:
        if opened and broken:
            raise ConnectionError("postgresql://user:secret@host")
        return opened

    broken = False
    assert (await report(_Nothing(), store=ping).get()).parts["store"].status == "off"
    opened = True
    part = (await report(_Nothing(), store=ping).get()).parts["store"]
    assert part.status == "ok"
    assert part.latency_ms is not None
    broken = True
    part = (await report(_Nothing(), store=ping).get()).parts["store"]
    assert part.status == "failed"
    assert part.detail == {"error": "ConnectionError"}


async def test_what_an_observer_lost_is_said_for_a_while() -> None:
    world = _Nothing()
    health = report(world)
    assert (await health.get()).parts["observers"].status == "ok"
    world.observers["dropped"] = 3
    health._good_until = 0.0
    part = (await health.get()).parts["observers"]
    assert part.status == "degraded"
    assert part.detail["dropped"] == 3
    health._losses["observers"] = (3, time.monotonic() - 301)
    health._good_until = 0.0
    assert (await health.get()).parts["observers"].status == "ok"


def test_redis_down_is_named_and_the_server_stays_ready(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        variables = {"REDIS_URL": redis.url}
        with RunningServer(tmp_path / "server", toml=TIERS.format(), variables=variables) as server:

            def tier() -> dict[str, Any]:
                told = httpx.get(f"{server.url}/health/detailed", headers=server.admin, timeout=30).json()
                assert told["parts"]["cache"]["status"] == ("ok" if told["status"] == "ok" else "degraded")
                return dict(told["parts"]["cache"]["detail"]["tiers"]["l2"])

            well = tier()
            assert well["status"] == "ok"
            assert well["last_error"] is None
            assert 0 < well["latency_ms"] < 250
            redis.kill()
            ill = wait_until(
                lambda: (told := tier())["status"] == "failed" and told, "Redis is gone and nobody says so"
            )
            assert ill["last_error"]["code"].isidentifier()
            assert ill["since"] > well["since"]
            assert httpx.get(f"{server.url}/health/ready").status_code == 200
            reply = httpx.post(f"{server.chat}/invoke", json={"input": "What is Edwina Hawthorne's credit score?"})
            assert reply.status_code == 200
            redis.start()
            again = wait_until(
                lambda: (told := tier())["status"] == "ok" and told, "Redis is back and nobody says so"
            )
            assert again["last_error"] == ill["last_error"] or again["last_error"]["at"] > ill["last_error"]["at"]
            assert again["since"] > ill["since"]


IDLE_PROVIDER = """
from tilores_core import LLMProviderSpec, hookimpl


@hookimpl
def register_llm_providers():
    return [LLMProviderSpec(name="idle", factory="idle_models:build", requires={"no_such_library": "acme[models]"})]


def build(context):
    raise AssertionError("its library is missing")
"""


def test_provider_that_is_not_selected_and_lacks_its_library_is_not_a_degradation(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    Site(site).install("idle", IDLE_PROVIDER, target="idle_models")
    with RunningServer(tmp_path / "server", variables={"PYTHONPATH": str(site)}) as server:
        found: dict[str, Any] = {}

        def healthy() -> bool:
            found.update(httpx.get(f"{server.url}/health/detailed", headers=server.admin, timeout=30).json())
            return bool(found["status"] == "ok")

        # The embedded Redis may still be starting.
        wait_until(healthy, lambda: f"a healthy server: {found}")
        assert found["parts"]["plugins"] == {**found["parts"]["plugins"], "status": "ok"}
        assert "idle" not in found["parts"]["plugins"]["detail"]["problems"]
