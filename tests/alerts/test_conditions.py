"""What raises alerts: each kind becomes true in real parts, opens an alert in the store, and ends it."""

from __future__ import annotations

import random
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

import tilores_plugins.cache.redis as redis_plugin
from tests.chat.engine_world import ABOUT_EDWINA, MODEL, World
from tests.deploy.fake_platform import FakePlatform, FakeServer
from tests.deploy.projects import sound_project
from tests.jobs.prewarm_world import one_list, talking, warming
from tests.redis_server import RedisServer
from tilores_core import Alert, ProviderQuotaError, ProviderUnavailableError, SourceUnavailableError
from tilores_core.alerts.conditions import (
    ConditionWatch,
    grounding_check,
    model_check,
    prewarm_budget_check,
    source_check,
    tier_check,
    worker_check,
)
from tilores_core.alerts.queue import AlertQueue
from tilores_core.cache.tiered import TieredCache
from tilores_core.deploy.rollout import DeploymentFailedError, Journal, Rollout
from tilores_core.quality.thresholds import LEASE, QualityThresholdMonitor
from tilores_core.resilience.presence import WorkersSeen
from tilores_core.settings import AlertsTable, CacheTable, ChatTable, QualityTable, RoutingTable
from tilores_core.settings.config import DeployTable
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import Cell
from tilores_core.testing import CACHE, Clock, eventually, isolated_host

Kinds = dict[str, str]
"""Severity by kind, of the alerts that are open."""
Scenario = Callable[["Stage"], AsyncIterator[Kinds]]
PAGE: Final = Path(__file__).parents[2] / "docs" / "alerts.md"


class Stage:
    """The parts that every scenario shares: a sink over a real store, and a watch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = LazyStore(store_address(None, folder / "store"))
        self.sink = AlertQueue(self.store, folder)
        self.clock = Clock(time.time())
        self.watch = ConditionWatch(self.sink, clock=self.clock)

    def watching(self, check: Callable[..., AsyncIterator[Alert]], *arguments: Any, **options: Any) -> None:
        self.watch.add(check, *arguments, **options)

    async def open(self) -> Kinds:
        """What is open in the store after a look."""
        await self.watch.look()
        assert await self.sink.flush()
        found = await (await self.store.get()).alerts.recent()
        return {one.alert.kind: one.alert.severity for one in found if one.state == "open"}


# --- scenarios: each yields what is to be open now, at last nothing --------------------------------------


async def worker_that_is_gone_or_was_restarted(stage: Stage) -> AsyncIterator[Kinds]:
    seen = WorkersSeen()
    stage.watching(worker_check(lambda: seen, clock=stage.clock))
    yield {}
    stage.clock.advance(60.0)
    yield {}  # there was none
    seen = replace(seen, last_seen=1.0)
    yield {}
    stage.clock.advance(15.0)
    yield {}
    stage.clock.advance(5.0)
    yield {"worker.dead": "CRITICAL"}
    seen = replace(seen, running=1)
    yield {}
    seen = replace(seen, restarts=1)
    yield {"worker.dead": "MEDIUM"}
    yield {}


async def model_whose_breaker_is_open(stage: Stage) -> AsyncIterator[Kinds]:
    async with World(routing=RoutingTable(attempts=1, breaker_failures=1, breaker_seconds=0.05)) as world:
        stage.watching(model_check, world.engine)
        world.provider.enqueue(ProviderUnavailableError("down", provider="fake"))
        with pytest.raises(ProviderUnavailableError):
            await world.ask()
        yield {"model.down": "CRITICAL"}  # there is no other model
        (stored,) = await (await stage.store.get()).alerts.recent()
        assert (stored.alert.model, stored.alert.detail) == (MODEL, "last error: provider_unavailable")
        await eventually(lambda: world.engine.routes()[MODEL]["breaker"] == "half_open")
        world.provider.enqueue("Forty.")
        await world.ask()
        yield {}


async def account_that_is_used_up(stage: Stage) -> AsyncIterator[Kinds]:
    async with World(routing=RoutingTable(attempts=1, breaker_failures=1, breaker_seconds=0.05)) as world:
        stage.watching(model_check, world.engine)
        world.provider.enqueue(ProviderQuotaError("used up", provider="fake"))
        with pytest.raises(ProviderQuotaError):
            await world.ask()
        yield {"model.down": "CRITICAL", "budget.spent": "HIGH"}
        await eventually(lambda: world.engine.routes()[MODEL]["breaker"] == "half_open")
        world.provider.enqueue("Forty.")
        await world.ask()
        yield {}


async def budget_of_pre_warming(stage: Stage) -> AsyncIterator[Kinds]:
    plan = one_list({"customer_id": "C-2001"}, {"customer_id": "EDW_HAWTHORNE_001"})
    plan = plan.model_copy(update={"budget": plan.budget.model_copy(update={"calls_per_hour": 1})})
    async with talking() as world, warming(world, plan) as service:
        stage.watching(prewarm_budget_check, lambda: service.budget.is_spent)
        yield {}
        await service.run()
        yield {"budget.spent": "LOW"}
        service.budget.give_back()
        yield {}


async def source_that_fails_until_it_answers(stage: Stage) -> AsyncIterator[Kinds]:
    async with World() as world:
        stage.watching(source_check, world.engine, "crm", clock=stage.clock)
        world.crm.down = True
        with pytest.raises(SourceUnavailableError):
            await world.ask()
        yield {}
        stage.clock.advance(30.0)
        yield {"source.down": "CRITICAL"}
        world.crm.down = False  # no caller asks: the check itself finds out
        yield {}


async def redis_that_is_gone_until_it_is_back(stage: Stage) -> AsyncIterator[Kinds]:
    with RedisServer(stage.folder) as server:
        host = isolated_host(
            {"redis": redis_plugin}, {"plugins": {"redis": {"url": server.url}}}, data_dir=stage.folder
        )
        cache = TieredCache([("redis", host.build(CACHE, "redis"))], table=CacheTable())
        await cache.start()
        try:
            stage.watching(tier_check, cache, clock=stage.clock)
            yield {}
            server.kill()
            yield {}
            stage.clock.advance(60.0)
            yield {"cache.tier_down": "HIGH"}
            server.start()

            async def is_over() -> bool:
                return await stage.open() == {}

            await eventually(is_over)
            yield {}
        finally:
            await cache.aclose()
            await host.aclose()


async def answers_that_are_blocked(stage: Stage) -> AsyncIterator[Kinds]:
    async with World(chat=ChatTable(grounding="block")) as world:
        stage.watching(grounding_check(world.engine, AlertsTable(grounding_blocked=2), clock=stage.clock))
        for number in range(2):
            yield {}
            world.provider.enqueue(f"Her credit score is 99{number}.")
            await world.ask(f"{ABOUT_EDWINA} {number}")
        stage.clock.advance(10.0)
        yield {"grounding.blocked": "MEDIUM"}
        stage.clock.advance(301.0)
        yield {}


async def deployment_that_fails_until_one_works(stage: Stage) -> AsyncIterator[Kinds]:
    servers = [FakeServer(), FakeServer(ready=None), FakeServer()]
    (stage.folder / "project").mkdir()
    try:
        for server in servers:
            await server.start()
        rollout = Rollout(
            name="fake",
            target=FakePlatform(*servers),
            project=sound_project(stage.folder / "project"),
            journal=Journal(stage.folder / "journal", "fake"),
            table=DeployTable(ready_seconds=60.0, watch_seconds=0, question_seconds=60.0),
            alerts=stage.sink,
            progress=lambda _: None,
        )
        await rollout.up()
        yield {}
        with pytest.raises(DeploymentFailedError):
            await replace(rollout, table=DeployTable(ready_seconds=0.2, watch_seconds=0, question_seconds=60.0)).up()
        yield {"deployment.failed": "HIGH"}
        await rollout.up()
        yield {}
    finally:
        for server in servers:
            await server.stop()


async def live_quality_that_falls_varies_and_recovers(stage: Stage) -> AsyncIterator[Kinds]:
    store = await stage.store.get()
    fence = await store.leases.acquire(LEASE, "test", 600.0)
    assert fence is not None
    monitor = QualityThresholdMonitor(stage.store, stage.sink, QualityTable(), clock=stage.clock)
    draw = random.Random(3)

    async def answered(count: int, *means: float) -> None:
        scores = [min(1.0, max(0.0, draw.gauss(means[n % len(means)], 0.01))) for n in range(count)]
        await store.windows.add({}, {Cell(MODEL, "billing", "v1"): scores}, now_ms=0)
        while await monitor.check(fence):
            pass

    await answered(600, 0.985)
    yield {}
    await answered(60, 0.4, 0.6)
    yield {"quality.floor": "CRITICAL", "quality.degradation": "MEDIUM", "quality.variance": "MEDIUM"}
    await answered(2000, 0.99)
    yield {}


SCENARIOS: Final[dict[Scenario, set[str]]] = {
    worker_that_is_gone_or_was_restarted: {"worker.dead"},
    model_whose_breaker_is_open: {"model.down"},
    account_that_is_used_up: {"model.down", "budget.spent"},
    budget_of_pre_warming: {"budget.spent"},
    source_that_fails_until_it_answers: {"source.down"},
    redis_that_is_gone_until_it_is_back: {"cache.tier_down"},
    answers_that_are_blocked: {"grounding.blocked"},
    deployment_that_fails_until_one_works: {"deployment.failed"},
    live_quality_that_falls_varies_and_recovers: {"quality.floor", "quality.degradation", "quality.variance"},
}
"""With the kinds of each. Of evaluations: tests/quality/test_evaluation_alerts.py; of healing: tests/improve."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_condition_opens_an_alert_in_the_store_and_ends_it(scenario: Scenario, tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        async for expected in scenario(stage):
            assert await stage.open() == expected
        states = {one.alert.kind: one.state for one in await (await stage.store.get()).alerts.recent()}
        assert states == dict.fromkeys(SCENARIOS[scenario], "resolved")
    finally:
        await stage.store.aclose()


def test_every_kind_of_the_page_has_a_scenario() -> None:
    section = PAGE.read_text().partition("## What raises alerts")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([a-z_.]+)` \|", section, re.MULTILINE))
    assert named - {"alerts.test", "healing.acted", "healing.ended"} == set().union(*SCENARIOS.values())


async def test_condition_is_raised_again_while_it_holds_also_beside_a_check_that_fails(
    tmp_path: Path,
) -> None:
    stage, holding = Stage(tmp_path), True
    alert = Alert(kind="a", severity="LOW", title="a", source="a")

    async def check() -> AsyncIterator[Alert]:
        if holding:
            yield alert

    async def failing() -> AsyncIterator[Alert]:
        yield alert
        raise RuntimeError

    stage.watching(failing)
    stage.watching(check)
    for _ in range(13):
        await stage.watch.look()
        stage.clock.advance(5.0)
    assert stage.sink.raised == 2, "again after a minute"
    assert await stage.open() == {"a": "LOW"}
    holding = False
    assert await stage.open() == {}
    await stage.store.aclose()
