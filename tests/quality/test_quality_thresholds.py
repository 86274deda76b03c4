"""The monitor of live quality: levels, its own past, variance; over restarts, and with several workers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from tilores_core.contracts import Alert
from tilores_core.errors import StoreError
from tilores_core.quality.overview import quality_overview
from tilores_core.quality.thresholds import LEASE, CellWatch, QualityThresholdMonitor
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import QualityTable
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.store.windows import DAY_MS, HOUR_MS, WINDOW_MS, Cell
from tilores_core.testing import eventually

NOW_MS = 1_790_000_000_000
CELL = Cell("demo:simulated-1", "billing", "v1")
TABLE = QualityTable()


class Sink:
    """An `AlertSink` that remembers."""

    def __init__(self) -> None:
        self.open: dict[str, Alert] = {}
        self.cleared: list[str] = []

    def raise_alert(self, alert: Alert) -> None:
        self.open[alert.fingerprint] = alert

    def clear(self, fingerprint: str) -> None:
        self.cleared.append(fingerprint)
        self.open.pop(fingerprint, None)

    @property
    def severities(self) -> dict[str, str]:
        return {alert.kind: alert.severity for alert in self.open.values()}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LazyStore]:
    lazy = LazyStore(store_address(None, tmp_path))
    yield lazy
    await lazy.aclose()


def scores(mean: float, count: int, seed: int = 1, deviation: float = 0.05) -> list[float]:
    draw = random.Random(seed)
    total = mean * (1 - mean) / deviation**2 - 1
    return [draw.betavariate(mean * total, (1 - mean) * total) for _ in range(count)]


async def log(store: LazyStore, values: Iterable[float], cell: Cell = CELL) -> None:
    await (await store.get()).windows.add({}, {cell: list(values)}, now_ms=NOW_MS)


async def monitor(store: LazyStore, sink: Sink, table: QualityTable = TABLE) -> tuple[QualityThresholdMonitor, int]:
    fence = await (await store.get()).leases.acquire(LEASE, "test", 600.0)
    assert fence is not None
    watching = QualityThresholdMonitor(store, sink, table, clock=lambda: NOW_MS / 1000)
    await watching.load()
    return watching, fence


async def test_fall_below_a_level_is_one_alert_whose_severity_follows(store: LazyStore) -> None:
    sink = Sink()
    watching, fence = await monitor(store, sink)
    await log(store, scores(0.97, 200))
    assert await watching.check(fence)
    assert sink.open == {}
    await log(store, scores(0.88, 120))
    await watching.check(fence)
    [alert] = [alert for alert in sink.open.values() if alert.kind == "quality.floor"]
    assert (alert.severity, alert.model, alert.spectrum, alert.prompt_version) == ("HIGH", *_labels(CELL))
    assert alert.values["floor"] == TABLE.warning
    await log(store, scores(0.75, 120))
    await watching.check(fence)
    assert sink.severities["quality.floor"] == "CRITICAL"
    assert not await watching.check(fence), "what was looked at is consumed"
    await log(store, scores(0.98, 400))
    await watching.check(fence)
    assert "quality.floor" not in sink.severities
    assert alert.fingerprint in sink.cleared


def _labels(cell: Cell) -> tuple[str, str, str]:
    return cell.model, cell.spectrum, cell.prompt_version


async def test_scores_from_the_time_of_a_code_rollout_are_left_out(store: LazyStore) -> None:
    opened, sink = await store.get(), Sink()
    await opened.rollouts.begin("new", target="railway", actor="test", seconds=600)
    ((begin, end),) = [rollout.span for rollout in await opened.rollouts.recent()]
    watching, fence = await monitor(store, sink)
    poor = scores(0.7, 200)
    await opened.windows.add({}, {CELL: poor}, now_ms=begin)
    await opened.windows.add({}, {CELL: poor}, now_ms=end - 1)
    assert await watching.check(fence)
    assert sink.open == {}
    assert not await watching.check(fence), "they are consumed"
    await opened.windows.add({}, {CELL: poor}, now_ms=end)
    await watching.check(fence)
    assert sink.severities["quality.floor"] == "CRITICAL"


async def test_one_bad_answer_breaches_nothing(store: LazyStore) -> None:
    sink = Sink()
    watching, fence = await monitor(store, sink)
    await log(store, [*scores(0.97, 100), 0.0, *scores(0.97, 100)])
    await watching.check(fence)
    assert sink.open == {}


async def test_degradation_and_variance_are_seen_above_every_level() -> None:
    steady = CellWatch.of(TABLE)
    for score in scores(0.995, 1000, deviation=0.01):
        steady.add(score)
    assert not steady.degraded
    assert not steady.unsteady
    for score in scores(0.965, 100, deviation=0.01):
        steady.add(score)
    assert steady.degraded
    assert steady.level is None
    varying = CellWatch.of(TABLE)
    for score in scores(0.97, 1000, deviation=0.02):
        varying.add(score)
    for number in range(60):
        varying.add(1.0 if number % 6 else 0.6)
    assert varying.unsteady


async def test_state_survives_a_restart_and_raises_again(store: LazyStore) -> None:
    sink = Sink()
    watching, fence = await monitor(store, sink)
    await log(store, scores(0.8, 60))
    await watching.check(fence)
    assert sink.severities["quality.floor"] == "CRITICAL"
    again = Sink()
    restarted = QualityThresholdMonitor(store, again, TABLE)
    await restarted.load()
    assert again.severities == sink.severities
    assert restarted.watched[CELL] == watching.watched[CELL]
    # A level that was set to another value begins a new test.
    other = QualityThresholdMonitor(store, Sink(), QualityTable(critical=0.5))
    await other.load()
    assert other.watched[CELL].floors["critical"].count == 0
    assert other.watched[CELL].floors["warning"].count == 60


async def test_worker_that_lost_the_lease_changes_nothing(store: LazyStore) -> None:
    watching, fence = await monitor(store, Sink())
    await log(store, scores(0.8, 60))
    with pytest.raises(StoreError, match="lease"):
        await watching.check(fence + 1)
    assert watching.watched[CELL].quick.count == 0
    assert await watching.check(fence), "the scores are still there"


async def test_levels_of_the_settings_decide(store: LazyStore) -> None:
    sink = Sink()
    watching, fence = await monitor(store, sink, QualityTable(target=0.8, warning=0.7, critical=0.6))
    await log(store, scores(0.75, 200))
    await watching.check(fence)
    assert sink.severities == {"quality.floor": "LOW"}
    with pytest.raises(ValueError, match="lower"):
        QualityTable(target=0.8)


async def test_run_forgets_what_is_too_old_under_the_lease(store: LazyStore, tmp_path: Path) -> None:
    opened, sink, mark = await store.get(), Sink(), WorkMark(tmp_path, "quality")
    start = NOW_MS - 10 * DAY_MS
    await opened.windows.add({(CELL, start): {"turns": 1, "overall_count": 1, "overall_sum": 0.95}}, now_ms=start)
    mark.set()
    table = QualityTable(keep_days=5)
    watching = QualityThresholdMonitor(store, sink, table, mark=mark, clock=lambda: NOW_MS / 1000, check_seconds=0.01)
    running = asyncio.create_task(watching.run())
    await log(store, scores(0.7, 60))
    await eventually(lambda: sink.open)
    await eventually(lambda: not mark.is_set())
    assert await opened.leases.holder(LEASE)

    async def forgotten() -> bool:
        return not await opened.windows.query(start, start + 1, step_ms=WINDOW_MS)

    await eventually(forgotten)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await opened.leases.holder(LEASE) is None


async def test_overview_says_how_each_cell_does(store: LazyStore) -> None:
    opened = await store.get()
    for hour in range(6):
        sums = {"turns": 4, "hits": 2, "errors": 1, "overall_count": 1, "overall_sum": 0.985, "overall_squares": 0.97}
        await opened.windows.add({(CELL, NOW_MS - hour * HOUR_MS): sums}, now_ms=NOW_MS)
    watching, fence = await monitor(store, Sink())
    await log(store, scores(0.8, 60))
    await watching.check(fence)
    overview = await quality_overview(store, TABLE, now_ms=NOW_MS, hours=24)
    [cell] = overview["cells"]
    assert (cell["turns"], cell["scored"], cell["rating"], cell["breached"]) == (24, 6, "excellent", "critical")
    assert (cell["cache_share"], cell["error_share"], cell["scores"]) == (0.5, 0.25, {"overall": 0.985})
    [trend] = overview["trends"]
    assert (trend["direction"], trend["spectrum"]) == ("steady", "billing")
    strict = QualityTable(excellent=0.99)
    assert (await quality_overview(store, strict, now_ms=NOW_MS, hours=24))["cells"][0]["rating"] == "target"
