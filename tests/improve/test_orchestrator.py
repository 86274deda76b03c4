"""Cycles that are triggered by breaches: which spectrums, when not, and who may stop it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tilores_core.contracts import Alert
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.resilience import acquire_lease
from tilores_core.settings.improve import ImproveTable
from tilores_core.store.address import store_address
from tilores_core.store.improvement import LEASE, StoredCycle
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import AlertReport

SPECTRUMS = ("credit_analysis", "customer_profile", "geographic_analysis", "temporal_analysis")


class World:
    """A store with breaches and cycles, and what was run. `now`: seconds since the epoch."""

    def __init__(self, folder: Path) -> None:
        self.store = LazyStore(store_address(None, folder))
        self.now = datetime.now(UTC).timestamp()
        self.ran: list[tuple[str, ...]] = []

    def orchestrator(self, **table: Any) -> ContinuousImprovementOrchestrator:
        async def run(spectrums: tuple[str, ...]) -> StoredCycle | None:
            self.ran.append(spectrums)
            await self.cycle(spectrums)
            return None

        given = ImproveTable(**{"triggered": True, "cooldown_hours": 2.0} | table)
        return ContinuousImprovementOrchestrator(self.store, given, run, clock=lambda: self.now)

    async def breach(self, *spectrums: str, kind: str = "quality.floor") -> None:
        now = int(self.now * 1000)
        alerts = [
            Alert(kind=kind, severity="HIGH", title="low", source="quality", spectrum=name) for name in spectrums
        ]
        reports = [
            AlertReport(fingerprint=one.fingerprint, alert=one, count=1, first_ms=now, last_ms=now) for one in alerts
        ]
        await (await self.store.get()).alerts.report(reports)

    async def cycle(self, spectrums: tuple[str, ...], *, ends: bool = True) -> None:
        store = await self.store.get()
        lease = await acquire_lease(store.leases, LEASE, seconds=30.0)
        assert lease is not None
        async with lease:
            number = len(await store.improvement.recent(limit=1000))
            await store.improvement.begin(f"cycle-{number}", {"spectrums": list(spectrums)}, fence=lease.fence)
            if ends:
                await store.improvement.end(f"cycle-{number}", "done", fence=lease.fence)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.store.aclose()


async def test_breaches_trigger_one_cycle_for_at_most_three_spectrums(world: World) -> None:
    await world.breach(*SPECTRUMS)
    await world.breach("call_center_operations", kind="model.down")
    one = world.orchestrator()
    await one.step()
    assert world.ran == [SPECTRUMS[:3]]
    await one.step()
    assert world.ran[1:] == [SPECTRUMS[3:]]  # the others rest
    await one.step()
    assert len(world.ran) == 2
    assert any("credit_analysis: a cycle took it within 2 hours" in text for text in (await one.look()).held)


async def test_spectrum_rests_after_a_cycle_and_comes_again_while_it_is_breached(world: World) -> None:
    await world.breach("credit_analysis")
    one = world.orchestrator()
    await one.step()
    world.now += 3600
    await one.step()
    world.now += 3700
    await one.step()
    assert world.ran == [("credit_analysis",), ("credit_analysis",)]


async def test_no_more_cycles_in_a_day_than_the_setting_says(world: World) -> None:
    await world.breach("credit_analysis")
    one = world.orchestrator(cycles_per_day=2, cooldown_hours=0.0)
    for _ in range(4):
        await one.step()
        world.now += 60
    assert len(world.ran) == 2
    world.now += 86_400
    await one.step()
    assert len(world.ran) == 3


async def test_without_a_breach_nothing_runs(world: World) -> None:
    await world.orchestrator().step()
    assert world.ran == []


async def test_pause_holds_all_cycles_and_says_who_and_why(world: World) -> None:
    await world.breach("credit_analysis")
    one = world.orchestrator(spectrums_at_once=1)
    await one.pause(actor="jo", reason="a launch")
    await one.step()
    found = await one.look()
    assert world.ran == []
    assert found.paused is not None
    assert (found.paused["by"], found.held) == ("jo", ("paused by jo: a launch",))
    await one.resume(actor="jo", reason="launched")
    assert (await one.look()).paused is None
    await one.step()
    assert world.ran == [("credit_analysis",)]


async def test_no_cycle_begins_or_goes_on_during_a_code_rollout(world: World) -> None:
    await world.breach("credit_analysis")
    await world.cycle(("customer_profile",), ends=False)
    one, rollouts = world.orchestrator(), (await world.store.get()).rollouts
    await rollouts.begin("r1", target="railway", actor="ops", seconds=60.0)
    await one.step()
    assert (world.ran, (await one.look()).held) == ([], ("a code roll-out is in progress (railway)",))
    await rollouts.end("r1", result="succeeded", actor="ops")
    await one.step()
    assert world.ran == [("credit_analysis",)]


async def test_interrupted_cycle_is_gone_on_with(world: World) -> None:
    await world.cycle(("credit_analysis",), ends=False)
    await world.orchestrator().step()
    assert world.ran == [()]
