"""Self-healing over a real store: what is found from the evidence there, what is done, and what live traffic says."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.release.conftest import Replica, ReplicaStart, replica
from tilores_core import CachePolicy, Turn
from tilores_core.chat.prompts import BUILTIN_PARTS
from tilores_core.chat.routing.health import Hold
from tilores_core.contracts import Alert
from tilores_core.errors import StoreError
from tilores_core.host.plugin import scan
from tilores_core.improve.healing import Means, SelfHealing
from tilores_core.improve.healing_diagnosis import Finding, HealingLesson, choose, lessons
from tilores_core.improve.healing_signals import ModelHolds
from tilores_core.improve.orchestrator import ContinuousImprovementOrchestrator
from tilores_core.improve.report import episode_row
from tilores_core.release.monitor import ProductionPerformanceMonitor
from tilores_core.services import load_host, open_services
from tilores_core.settings import LoadedConfig, load_environment
from tilores_core.settings.improve import HealingTable, ImproveTable, MonitorTable
from tilores_core.settings.loader import validate_config
from tilores_core.store.healing import LEASE, Episode
from tilores_core.store.topics import AlertReport
from tilores_core.store.windows import Cell
from tilores_core.testing import eventually

__all__ = ["replica"]  # a fixture

GOOD, BAD = "one:good", "two:bad"
CREDIT = "credit_analysis"


class World:
    """What one worker has, with a clock that is set. `now`: seconds since the epoch."""

    def __init__(self, one: Replica, fence: int) -> None:
        self.replica, self.store, self.alerts, self.fence = one, one.store, one.alerts, fence
        self.now = time.time()
        self.orchestrator = ContinuousImprovementOrchestrator(
            self.store, ImproveTable(triggered=True), clock=lambda: self.now
        )

    def healing(self, chain: tuple[str, ...] = (BAD, GOOD), *, cycles: bool = True, **table: Any) -> SelfHealing:
        prompts = self.replica.manager
        return SelfHealing(
            self.store,
            prompts,
            ProductionPerformanceMonitor(
                self.store, prompts, MonitorTable(), alerts=self.alerts, clock=lambda: self.now
            ),
            self.orchestrator,
            HealingTable(**table),
            Means(chain=chain, cycles=cycles, roll_back=True, good=0.9),
            alerts=self.alerts,
            clock=lambda: self.now,
        )

    async def look(self, **options: Any) -> list[Episode]:
        return await self.healing(**options).look(self.fence)

    async def alert(self, kind: str, *, age: float = 60.0, model: str | None = BAD, **more: Any) -> Alert:
        one = Alert(kind=kind, severity="HIGH", title=kind, source="test", model=model, **more)
        first = round((self.now - age) * 1000)
        report = AlertReport(
            fingerprint=one.fingerprint, alert=one, count=1, first_ms=first, last_ms=round(self.now * 1000)
        )
        await (await self.store.get()).alerts.report([report])
        return one

    async def breach(self, model: str = BAD, spectrum: str = CREDIT, **more: Any) -> Alert:
        await self.replica.manager.refresh()
        version = self.replica.manager.state.production.version
        return await self.alert("quality.floor", model=model, spectrum=spectrum, prompt_version=version, **more)

    async def scores(
        self, model: str, mean: float, count: int = 60, *, spectrum: str = CREDIT, version: str = "", errors: int = 0
    ) -> None:
        """Answers with scores around a mean, at the clock's time."""
        await self.replica.manager.refresh()
        cell = Cell(model, spectrum, version or self.replica.manager.state.production.version)
        sums = {
            "turns": count + errors,
            "errors": errors,
            "overall_count": count,
            "overall_sum": mean * count,
            "overall_squares": count * (mean * mean + 0.0025),
        }
        now = round(self.now * 1000)
        await (await self.store.get()).windows.add({(cell, now): sums}, now_ms=now)

    async def seen(self, kind: Any, subject: str, value: str, *, ago: float = 0.0, count: int = 20) -> None:
        now = round((self.now - ago) * 1000)
        await (await self.store.get()).healing.add_signals({(kind, subject, value): count}, now_ms=now)

    def kinds(self) -> list[str]:
        return [one.kind for one in self.alerts.raised if one.source == "improve.healing"]

    async def held(self) -> Mapping[tuple[str, str], Any]:
        return await ModelHolds(self.store, lambda models: None, clock=lambda: self.now).follow()


@pytest.fixture
async def world(replica: ReplicaStart) -> World:
    one = await replica()
    fence = await (await one.store.get()).leases.acquire(LEASE, "the test", 3600.0)
    assert fence is not None
    return World(one, fence)


async def test_model_that_is_down_is_not_asked_until_the_time_is_over_and_callers_are_served(world: World) -> None:
    await world.alert("model.down", age=10)
    assert await world.look() == []  # the breaker alone may do
    world.now += 30
    [begun] = await world.look()
    assert (begun.diagnosis, begun.body["action"], begun.state) == ("model down", "fail over", "verifying")
    assert await world.held() == {(BAD, ""): (pytest.approx(3600, abs=1), math.inf)}
    assert await world.look() == []
    await world.scores(GOOD, 0.95, errors=1)
    [ended] = await world.look()
    assert (ended.state, ended.body["lesson"]) == ("healed", "'fail over' helped against 'model down'")
    assert world.kinds() == ["healing.acted", "healing.ended"]
    assert "two:bad is not asked for 60 minutes" in world.alerts.raised[-1].detail
    world.now += 3601
    assert await world.held() == {}


async def test_prompt_that_is_worse_in_one_spectrum_is_rolled_back_and_the_breach_is_over(world: World) -> None:
    manager = world.replica.manager
    world.now -= 400
    for spectrum in (CREDIT, *(f"other{number}" for number in range(12))):
        await world.scores(GOOD, 0.95, 100, spectrum=spectrum)
    world.now += 400
    rollouts = (await world.store.get()).rollouts
    await rollouts.begin("code", target="test", actor="jo", seconds=60.0)  # of the code, within the same hour
    await rollouts.end("code", result="", actor="jo")
    number, _ = await manager.versions.new({**BUILTIN_PARTS, "answer_style": "Ramble."}, author="jo", reason="r")
    await manager.deploy(number, actor="jo", reason="better?", skip_evaluation=True)
    world.now += 600
    for number in range(12):
        await world.scores(GOOD, 0.95, 100, spectrum=f"other{number}")
    await world.scores(GOOD, 0.6, 100)
    breach = await world.breach(GOOD)
    [begun] = await world.look()
    assert (begun.diagnosis, begun.body["action"]) == ("prompt regressed", "roll back")
    assert manager.state.number == 1
    assert await world.look() == []  # the old scores of version 1 say nothing about now
    world.now += 5
    await world.scores(GOOD, 0.96, 60)
    [ended] = await world.look()
    assert ended.state == "healed"
    assert breach.fingerprint in world.alerts.cleared
    assert {"prompt.regression", "prompt.rolled_back"} <= {one.kind for one in world.alerts.raised}
    row = episode_row(ended)
    assert row["done"] == f"version 1 was put back in place of {manager.state.number + 1}"
    assert row["figures"]["mean"] == pytest.approx(0.96)


async def test_provider_that_changed_is_failed_over_and_when_that_does_not_help_a_cycle_is_asked_for(
    world: World,
) -> None:
    await world.seen("served_by", BAD, "bad-1 fp_1", ago=7200)
    await world.seen("served_by", BAD, "bad-1 fp_2", ago=600)
    [only] = await world.look()  # no breach: said, and nothing done
    assert (only.diagnosis, only.state, only.body["evidence"]["now"]) == (
        "provider changed",
        "reported",
        "bad-1 fp_2",
    )
    assert await world.look() == []
    breach = await world.breach(age=300)
    [begun] = await world.look()
    assert (begun.body["action"], begun.body["spectrums"]) == ("fail over", [CREDIT])
    assert any("healing" in text for text in (await world.orchestrator.look()).held)
    await world.scores(GOOD, 0.5)
    [failed] = await world.look()
    assert failed.state == "not healed"
    assert await world.held() == {}  # it did not help: no reason to go on
    assert world.alerts.raised[-1].severity == "HIGH"
    world.now += 3601
    await world.breach(age=300)
    assert (await world.look())[0].body["action"] == "re-optimise"
    assert (await world.orchestrator.look()).due == (CREDIT,)
    await (await world.store.get()).alerts.resolve(breach.fingerprint, round(world.now * 1000))
    [ended] = await world.look()
    assert (ended.state, ended.body["result"]) == ("healed", "quality holds its levels again")


async def test_model_that_became_bad_in_one_spectrum_after_another_is_replaced_in_those_alone(world: World) -> None:
    await world.seen("served_by", BAD, "bad-1 fp_1", ago=7200)
    await world.seen("served_by", BAD, "bad-1 fp_2", ago=600)
    first = await world.breach(age=300)
    [begun] = await world.look()
    assert begun.body["done"] == f"{BAD} is not asked about {CREDIT} for 60 minutes"
    # Its answers from 20 seconds before the change was noticed on are not served.
    assert await world.held() == {(BAD, CREDIT): (pytest.approx(3600, abs=1), pytest.approx(world.now - 620, abs=1))}
    await world.scores(GOOD, 0.96)
    assert [one.state for one in await world.look()] == ["healed"]
    assert first.fingerprint in world.alerts.cleared
    await (await world.store.get()).alerts.resolve(first.fingerprint, round(world.now * 1000))
    await world.breach(spectrum="customer_profile", age=300)
    [begun] = await world.look()
    assert (begun.body["action"], begun.body["spectrums"]) == ("fail over", ["customer_profile"])
    assert set(await world.held()) == {(BAD, CREDIT), (BAD, "customer_profile")}


async def test_two_values_beside_each_other_are_not_a_change(world: World) -> None:
    await world.seen("served_by", BAD, "fp_1", ago=7200)
    await world.seen("served_by", BAD, "fp_2", ago=3600)
    await world.seen("served_by", BAD, "fp_1", ago=60)
    await world.seen("schema", "file", "a1", ago=7200)
    await world.seen("schema", "file", "b2", count=2)  # too few to say
    assert await world.look() == []


async def test_changed_schema_is_reported_with_the_fields_that_are_gone(world: World) -> None:
    for name, count in (("", 200), ("income", 190), ("city", 200)):
        await world.seen("field", "file", name, count=count, ago=6 * 3600)
        if name != "income":
            await world.seen("field", "file", name, count=200)
    await world.seen("schema", "file", "a1", ago=6 * 3600)
    await world.seen("schema", "file", "b2", ago=900)
    await world.breach(age=300)
    [told] = await world.look()
    assert (told.diagnosis, told.state) == ("schema changed", "reported")
    assert told.body["evidence"]["fields"] == {"income": [0.95, 0.0]}
    assert world.alerts.raised[-1].severity == "MEDIUM"


async def test_other_questions_than_before_are_drift_and_a_cycle_is_asked_for(world: World) -> None:
    world.now -= 86_400
    for spectrum, count in ((CREDIT, 900), ("billing", 100)):
        await world.scores(GOOD, 0.95, count, spectrum=spectrum)
    world.now += 86_400
    for spectrum, count in ((CREDIT, 100), ("billing", 400)):
        await world.scores(GOOD, 0.95, count, spectrum=spectrum)
    await world.breach(GOOD, "billing")
    [begun] = await world.look()
    assert (begun.diagnosis, begun.body["action"]) == ("data drift", "re-optimise")
    assert begun.body["evidence"]["spectrums"]["billing"] == [
        pytest.approx(0.1, abs=0.01),
        pytest.approx(0.8, abs=0.01),
    ]


async def test_what_is_not_explained_is_reported_where_cycles_are_off(world: World) -> None:
    await world.breach(age=5)
    assert await world.look(cycles=False) == []  # its cause may be seen a little later
    world.now += 20
    [told] = await world.look(cycles=False)
    assert (told.diagnosis, told.state, told.body["done"]) == (
        "not explained",
        "reported",
        "reported: nothing can be done by itself",
    )
    assert await world.look(cycles=False) == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"mode": "watch"}, 'dry run ([healing] mode = "watch"); it would be: fail over'),
        ({"actions_per_day": 0}, "0 actions in the last 24 hours, which is the limit; it would be: fail over"),
        ({}, "paused by jo: a launch; it would be: fail over"),
    ],
)
async def test_nothing_is_done_in_a_dry_run_over_the_limit_or_while_paused(
    world: World, table: dict[str, Any], said: str
) -> None:
    if not table:
        await world.orchestrator.pause(actor="jo", reason="a launch")
    await world.alert("model.down")
    [told] = await world.look(**table)
    assert (told.state, told.body["done"]) == ("reported", said)
    assert await world.held() == {}


async def test_settings_bound_how_long_and_how_often(world: World) -> None:
    table = {"fail_over_minutes": 5.0, "cooldown_minutes": 30.0, "verify_hours": 1.0, "verify_answers": 10}
    await world.alert("model.down")
    await world.look(**table)
    assert await world.held() == {(BAD, ""): (pytest.approx(300, abs=1), math.inf)}
    await world.scores(GOOD, 0.95, 10)
    [ended] = await world.look(**table)
    assert ended.state == "healed"
    world.now += 1700
    assert await world.look(**table) == []  # still down, and healed a short time ago
    world.now += 200
    [again] = await world.look(**table)
    assert again.state == "verifying"
    world.now += 3700  # no answers came
    failed = (await world.look(**table))[0]
    assert (failed.id, failed.state) == (again.id, "not healed")
    assert failed.body["result"] == "not sure after 1 hours"


async def test_worker_that_takes_over_does_what_was_decided_and_an_old_leader_writes_nothing(world: World) -> None:
    await world.alert("model.down")
    [begun] = await world.look()
    store = await world.store.get()
    body = {name: value for name, value in begun.body.items() if name not in ("acted", "held_until_ms", "done")}
    halfway = Episode(
        id=begun.id, state="verifying", diagnosis="model down", subject=BAD, created=begun.created, body=body
    )
    await store.healing.put(halfway, fence=world.fence)
    assert await world.held() == {}
    assert await world.look() == []
    assert set(await world.held()) == {(BAD, "")}
    with pytest.raises(StoreError, match="healing"):
        await store.healing.put(halfway, fence=world.fence + 1)
    await store.healing.put(halfway, fence=world.fence)
    world.now += 3 * 3600  # the next worker came only when the time to verify was over
    [late] = [one for one in await world.look(verify_hours=1) if one.id == begun.id]
    assert (late.state, late.body["done"], late.body["held_until_ms"]) == ("not healed", begun.body["done"], 0)


def test_an_action_that_never_helped_is_not_tried_again() -> None:
    finding = Finding(diagnosis="provider changed", subject=BAD, actions=("fail over", "re-optimise", "report"))
    possible = {"fail over", "re-optimise", "report"}
    assert choose(finding, possible, []) == "fail over"
    learned = [HealingLesson(diagnosis="provider changed", action="fail over", healed=0, not_healed=3)]
    assert choose(finding, possible, learned) == "re-optimise"
    assert choose(finding, {"report"}, learned) == "report"
    assert choose(
        finding, possible, [HealingLesson(diagnosis="model down", action="fail over", healed=0, not_healed=9)]
    )
    now, body = datetime.now(UTC), {"action": "fail over"}
    episode = Episode(id="a", state="healed", diagnosis="model down", subject=BAD, created=now, body=body)
    assert lessons([episode]) == [HealingLesson(diagnosis="model down", action="fail over", healed=1, not_healed=0)]


async def test_live_turns_leave_signals_without_values_and_a_held_model_is_passed_over(tmp_path: Path) -> None:
    config = {
        "use": {"model": "demo:simulated-1", "fallbacks": ["demo:simulated-units"]},
        "quality": {"live_cpu_percent": 100},
    }
    path = Path("plugins.toml")
    loaded = LoadedConfig(config=validate_config(config, path), path=path, packaged=False)
    environment = load_environment(None, data_dir=tmp_path)
    turn = Turn(
        messages=({"role": "user", "content": "What is the credit limit?"},),
        customer_id="EDW_HAWTHORNE_001",
        cache=CachePolicy(no_store=True),
    )
    host = load_host(environment, loaded=loaded, discovered=list(scan()))
    async with open_services(host, environment, live=True) as services:
        await services.store.get()
        assert (await services.engine.answer(turn)).model == "demo:simulated-1"
        services.engine.hold_models({("demo:simulated-1", "customer_profile"): Hold(60.0)})
        assert (await services.engine.answer(turn)).model == "demo:simulated-1"
        services.engine.hold_models({("demo:simulated-1", "credit_analysis"): Hold(60.0)})
        assert (await services.engine.answer(turn)).model == "demo:simulated-units"
        services.engine.hold_models({("demo:simulated-1", ""): Hold(60.0)})
        assert (await services.engine.answer(turn)).model == "demo:simulated-units"
        services.engine.hold_models({})
        assert (await services.engine.answer(turn)).model == "demo:simulated-1"
        quality = services.quality
        assert quality is not None
        await eventually(lambda: quality.counts["scored"] == 5)
        # What it answered since its provider changed is not served from the cache, where it is held and meanwhile.
        kept, before = replace(turn, cache=CachePolicy()), time.time()
        assert (await services.engine.answer(kept)).cache_tier == "miss"

        async def answered(*held: tuple[str, Hold]) -> tuple[str, bool]:
            services.engine.hold_models({("demo:simulated-1", spectrum): hold for spectrum, hold in held})
            answer = await services.engine.answer(kept)
            assert (services.engine.get_from_memory(kept) is None) == (answer.cache_tier == "miss")
            return answer.model, answer.cache_tier != "miss"

        changed, later = Hold(60.0, before - 1), Hold(60.0, before + 3600)
        stored, other = ("demo:simulated-1", True), ("demo:simulated-units", False)
        assert await answered() == stored
        for hold in ((CREDIT, changed), ("", changed)):
            assert await answered(hold) == other
        for hold in (("customer_profile", changed), (CREDIT, Hold(60.0)), (CREDIT, later), (CREDIT, Hold(0, 0))):
            assert await answered(hold) == stored
    async with open_services(load_host(environment, loaded=loaded, discovered=list(scan())), environment) as services:
        store = await services.store.get()
        seen = {one.value: one for one in await store.healing.signals()}
        customer = await services.source.get("EDW_HAWTHORNE_001")
        schema = (await services.source.schema()).hash
    assert (seen["simulated-1"].subject, seen["simulated-1"].count) == ("demo:simulated-1", 3)
    assert (seen[""].subject, seen[""].count, seen[schema].count) == ("demo", 5, 5)
    assert customer is not None
    fields = {name for record in customer.records for name in record.fields}
    assert set(seen) == {"", schema, "simulated-1", "simulated-units", *fields}
