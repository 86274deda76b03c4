"""What raises alerts by itself, and that it ends them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tilores_plugins.cache.redis as redis_plugin
from tests.chat.engine_world import ABOUT_EDWINA, MODEL, World
from tests.redis_server import RedisServer
from tilores_core import Alert, ProviderQuotaError, ProviderUnavailableError, SourceUnavailableError
from tilores_core.alerts.conditions import (
    ConditionWatch,
    grounding_check,
    model_check,
    source_check,
    tier_check,
    worker_check,
)
from tilores_core.cache.tiered import TieredCache
from tilores_core.settings import AlertsTable, CacheTable, ChatTable, RoutingTable
from tilores_core.testing import CACHE, Clock, eventually, isolated_host


@dataclass
class Recorded:
    """A sink that keeps what is open."""

    open: dict[str, Alert] = field(default_factory=dict)
    raised: list[Alert] = field(default_factory=list)

    def raise_alert(self, alert: Alert) -> None:
        self.open[alert.fingerprint] = alert
        self.raised.append(alert)

    def clear(self, fingerprint: str) -> None:
        del self.open[fingerprint]

    @property
    def kinds(self) -> dict[str, str]:
        return {alert.kind: alert.severity for alert in self.open.values()}


@dataclass
class Seen:
    running: int = 1
    last_seen: float | None = 1.0
    restarts: int = 0


async def test_condition_is_raised_while_it_holds_and_then_cleared() -> None:
    sink, clock, holding = Recorded(), Clock(), True
    alert = Alert(kind="a", severity="LOW", title="a", source="a")

    async def check() -> list[Alert]:
        return [alert] if holding else []

    async def failing() -> list[Alert]:
        raise RuntimeError

    watch = ConditionWatch(sink, clock=clock)
    watch.add(failing)
    watch.add(check)
    for _ in range(13):
        await watch.look()
        clock.advance(5.0)
    assert (len(sink.raised), list(sink.open)) == (2, [alert.fingerprint]), "again after a minute"
    holding = False
    await watch.look()
    assert sink.open == {}


async def test_worker_that_is_gone_or_was_restarted() -> None:
    sink, clock, seen = Recorded(), Clock(), Seen(running=0, last_seen=None)
    watch = ConditionWatch(sink, clock=clock)
    watch.add(worker_check(lambda: seen, clock=clock))
    await watch.look()
    clock.advance(60.0)
    await watch.look()
    assert sink.kinds == {}, "there was none"
    seen.last_seen = 1.0
    await watch.look()
    clock.advance(15.0)
    await watch.look()
    assert sink.kinds == {}
    clock.advance(5.0)
    await watch.look()
    assert sink.kinds == {"worker.dead": "CRITICAL"}
    seen.running = 1
    await watch.look()
    assert sink.kinds == {}
    seen.restarts = 1
    await watch.look()
    assert sink.kinds == {"worker.dead": "MEDIUM"}
    await watch.look()
    assert sink.kinds == {}


async def test_model_whose_breaker_is_open_until_it_answers_again() -> None:
    routing = RoutingTable(attempts=1, breaker_failures=1, breaker_seconds=0.05)
    async with World(routing=routing) as world:
        sink = Recorded()
        watch = ConditionWatch(sink)
        watch.add(model_check(world.engine))
        world.provider.enqueue(ProviderUnavailableError("down", provider="fake"))
        with pytest.raises(ProviderUnavailableError):
            await world.ask()
        await watch.look()
        assert sink.kinds == {"model.down": "CRITICAL"}, "there is no other model"
        (alert,) = sink.open.values()
        assert (alert.model, alert.detail) == (MODEL, "last error: provider_unavailable")
        await eventually(lambda: world.engine.routes()[MODEL]["breaker"] == "half_open")
        world.provider.enqueue("Forty.")
        await world.ask()
        await watch.look()
        assert sink.kinds == {}


async def test_account_that_is_used_up() -> None:
    async with World(routing=RoutingTable(attempts=1, breaker_failures=1)) as world:
        sink = Recorded()
        watch = ConditionWatch(sink)
        watch.add(model_check(world.engine))
        world.provider.enqueue(ProviderQuotaError("used up", provider="fake"))
        with pytest.raises(ProviderQuotaError):
            await world.ask()
        await watch.look()
        assert sink.kinds == {"model.down": "CRITICAL", "budget.spent": "HIGH"}


async def test_source_that_fails_for_a_while_until_it_answers() -> None:
    async with World() as world:
        sink, clock = Recorded(), Clock(time.time())
        watch = ConditionWatch(sink)
        watch.add(source_check(world.engine, "crm", clock=clock))
        world.crm.down = True
        with pytest.raises(SourceUnavailableError):
            await world.ask()
        await watch.look()
        assert sink.kinds == {}
        clock.advance(30.0)
        await watch.look()
        assert sink.kinds == {"source.down": "CRITICAL"}
        world.crm.down = False  # nobody asks: the check itself finds out
        await watch.look()
        assert sink.kinds == {}


async def test_redis_that_is_gone_until_it_is_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        host = isolated_host({"redis": redis_plugin}, {"plugins": {"redis": {"url": server.url}}}, data_dir=tmp_path)
        cache = TieredCache([("redis", host.build(CACHE, "redis"))], table=CacheTable())
        await cache.start()
        try:
            sink, clock = Recorded(), Clock(time.time())
            watch = ConditionWatch(sink)
            watch.add(tier_check(cache, clock=clock))
            await watch.look()
            server.kill()
            await watch.look()
            assert sink.kinds == {}
            clock.advance(60.0)
            await watch.look()
            assert sink.kinds == {"cache.tier_down": "HIGH"}
            server.start()

            async def is_over() -> bool:
                await watch.look()
                return sink.kinds == {}

            await eventually(is_over)
        finally:
            await cache.aclose()
            await host.aclose()


@pytest.mark.parametrize(("most", "expected"), [(2, {"grounding.blocked": "MEDIUM"}), (3, {})])
async def test_answers_that_are_blocked(most: int, expected: dict[str, str]) -> None:
    async with World(chat=ChatTable(grounding="block")) as world:
        sink, clock = Recorded(), Clock()
        watch = ConditionWatch(sink)
        watch.add(grounding_check(world.engine, AlertsTable(grounding_blocked=most), clock=clock))
        for number in range(2):
            world.provider.enqueue(f"Her credit score is 99{number}.")
            await world.ask(f"{ABOUT_EDWINA} {number}")
        assert world.engine.statistics()["grounding"]["blocked"] == 2
        clock.advance(10.0)
        await watch.look()
        assert sink.kinds == expected
        clock.advance(301.0)
        await watch.look()
        assert sink.kinds == {}
