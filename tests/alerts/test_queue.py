"""Raising alerts: from any thread, whatever the store does, and over a kill."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.alerts.alerting import alerting
from tilores_core.alerts import queue
from tilores_core.alerts.queue import MARK, AlertQueue
from tilores_core.alerts.spill import SpillFile, take_over
from tilores_core.contracts import Alert
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import AlertReport
from tilores_core.testing import eventually, wait_until
from tilores_core.testing.alerts import sample_alert


def broken_store(folder: Path) -> LazyStore:
    """One whose file cannot be made: a file is where its folder should be."""
    (folder / "blocked").write_text("")
    return LazyStore(store_address(None, folder / "blocked" / "data"))


async def stored_count(store: LazyStore) -> int:
    found = await (await store.get()).alerts.get(sample_alert().fingerprint)
    return 0 if found is None else found.raised


async def test_alerts_of_other_threads_are_written(tmp_path: Path) -> None:
    store = LazyStore(store_address(None, tmp_path))
    sink = AlertQueue(store, tmp_path)
    sink.start()

    def raise_many() -> None:
        for _ in range(500):
            sink.raise_alert(sample_alert())

    await asyncio.gather(*(asyncio.to_thread(raise_many) for _ in range(4)))
    await eventually(lambda: stored_count_is(store, 2000))
    await eventually(lambda: WorkMark(tmp_path, MARK).is_set())  # set once the store has taken them
    assert (sink.raised, sink.dropped, sink.waiting) == (2000, 0, 0)
    await sink.aclose()
    await store.aclose()


async def stored_count_is(store: LazyStore, number: int) -> bool:
    return await stored_count(store) == number


async def test_cleared_and_raised_again_before_the_write_stays_open(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        it.queue.raise_alert(sample_alert())
        it.queue.clear(sample_alert().fingerprint)
        it.queue.raise_alert(sample_alert())
        await it.step()
        assert (await it.stored(sample_alert())).state == "open"
        it.queue.clear("0" * 32)
        await it.step()


async def test_fingerprints_beyond_the_limit_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_WAITING", 2)
    async with alerting(tmp_path) as it:
        for number in range(5):
            it.queue.raise_alert(sample_alert(labels={"n": str(number)}))
        it.queue.raise_alert(sample_alert(labels={"n": "0"}))
        assert (it.queue.raised, it.queue.dropped, it.queue.waiting) == (6, 3, 2)
        await it.step()
        assert len(await it.store.alerts.recent()) == 2


async def test_too_long_text_is_cut(tmp_path: Path) -> None:
    async with alerting(tmp_path) as it:
        long = sample_alert(title="x" * 5000, detail="y\0" * 5000, model="m" * 900)
        it.queue.raise_alert(long)
        await it.step()
        stored = await it.stored(long)
        assert (len(stored.alert.title), len(stored.alert.detail)) == (300, 2000)
        assert "\0" not in stored.alert.detail
        assert it.said() == ["raised"]


async def test_what_the_store_does_not_take_is_kept_in_a_file_and_written_later(tmp_path: Path) -> None:
    store = broken_store(tmp_path)
    sink = AlertQueue(store, tmp_path)
    sink.start()
    for _ in range(3):
        sink.raise_alert(sample_alert())
    (path,) = await eventually(lambda: list((tmp_path / "alerts").glob("*.alerts.json")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sink.failed
    (tmp_path / "blocked").unlink()
    await eventually(lambda: stored_count_is(store, 3))
    await eventually(lambda: not path.exists())
    await sink.aclose()
    await store.aclose()


async def test_what_waits_at_the_end_is_left_for_the_next_process(tmp_path: Path) -> None:
    sink = AlertQueue(broken_store(tmp_path), tmp_path)
    with capture_logs() as lines:
        sink.start()
        sink.raise_alert(sample_alert())
        assert not await sink.flush()
        assert not await sink.flush()
        await sink.aclose()
    assert [line["event"] for line in lines] == ["alerts.queue_failed"]
    (tmp_path / "blocked").unlink()
    store = LazyStore(store_address(None, tmp_path))
    after = AlertQueue(store, tmp_path)
    after.start()
    await eventually(lambda: stored_count_is(store, 1))
    await eventually(lambda: not list((tmp_path / "alerts").iterdir()))
    await after.aclose()
    await store.aclose()


CHILD = """
import asyncio, sys
from pathlib import Path
from tilores_core.alerts.queue import AlertQueue
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_core.testing.alerts import sample_alert

async def main():
    folder = Path(sys.argv[1])
    sink = AlertQueue(LazyStore(store_address(None, folder / "blocked" / "data")), folder)
    sink.start()
    for _ in range(7):
        sink.raise_alert(sample_alert())
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_alerts_of_a_killed_process_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)])
    try:
        folder, own = tmp_path / "alerts", SpillFile(tmp_path / "alerts")
        await asyncio.to_thread(wait_until, lambda: list(folder.glob("*.alerts.json")))
        assert take_over(folder, own) == [], "the process is alive"
        child.send_signal(signal.SIGKILL)
        child.wait()
        ((path, reports),) = take_over(folder, own)
        assert [(report.alert, report.count) for report in reports] == [(sample_alert(), 7)]
        assert path.exists(), "it is there until it is written"
        assert len(take_over(folder, own)) == 1, "and is found again, if this process does not get to that"
    finally:
        child.kill()
        child.wait()


def test_alert_without_labels_and_values_is_taken_over(tmp_path: Path) -> None:
    left = SpillFile(tmp_path)
    alert = Alert(kind="worker.down", severity="HIGH", title="The worker is gone", source="watch")
    report = AlertReport(fingerprint=alert.fingerprint, alert=alert, count=1)
    left.write([report])
    ((_, reports),) = take_over(tmp_path, SpillFile(tmp_path))
    assert reports == [report]


def test_damaged_file_is_put_aside(tmp_path: Path) -> None:
    left = SpillFile(tmp_path)
    left.write([AlertReport(fingerprint="0" * 32, cleared_ms=1)])
    left.path.write_text("{")
    assert take_over(tmp_path, SpillFile(tmp_path)) == []
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]


def test_file_of_another_container_is_left_while_it_is_fresh(tmp_path: Path) -> None:
    """Containers may share a host's name and a data folder; the ids of their processes say nothing here."""
    own = SpillFile(tmp_path)
    own.write([AlertReport(fingerprint="a" * 32, count=1)])
    no_process = 2**30
    machine = own.path.name.partition("~")[0]
    dead, elsewhere = (tmp_path / f"{name}~{no_process}~0.alerts.json" for name in (machine, f"{machine}0"))
    for path in (dead, elsewhere):
        path.write_bytes(own.path.read_bytes())
    ((taken, reports),) = take_over(tmp_path, own)
    assert (dead.exists(), elsewhere.exists(), taken.exists()) == (False, True, True)
    assert reports == [AlertReport(fingerprint="a" * 32, count=1)]
