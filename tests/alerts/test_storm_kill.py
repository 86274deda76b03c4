"""A storm while Slack refuses and is then down, with a kill; benchmarks/alerts/bench_storm.py is the large one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.alerts.receiver import Receiver
from tests.redis_server import free_port
from tilores_core.store.address import store_address
from tilores_core.store.store import Store
from tilores_core.testing import eventually

CHILD = """
import asyncio, sys
from pathlib import Path
from tilores_core import Alert
from tilores_core.alerts import system
from tilores_core.alerts.queue import MARK, AlertQueue
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import AlertsTable
from tilores_core.store.address import store_address
from tilores_core.store.lazy import LazyStore
from tilores_plugins.alerts.http_post import HttpChannel
from tilores_plugins.alerts.slack import message

async def main():
    folder, breaches = Path(sys.argv[1]), int(sys.argv[2])
    if breaches:
        system.LEASE_SECONDS = 1.0  # the next process need not wait for ten
    store = LazyStore(store_address(None, folder))
    sink = AlertQueue(store, folder)
    sink.start()
    channel = HttpChannel(sys.argv[3], lambda notice: (message(notice), {}), seconds=60.0)
    alerting = system.AutomatedAlertingSystem(
        store, {"slack": channel}, AlertsTable(group_seconds=0.5), mark=WorkMark(folder, MARK)
    )
    running = asyncio.create_task(alerting.run())
    for n in range(breaches):
        number = str(n % 10)
        sink.raise_alert(Alert(kind="a", severity="LOW", title=f"breach {number}", source="t", labels={"n": number}))
        if n % 100 == 0:
            await asyncio.sleep(0.01)
    await running

asyncio.run(main())
"""


def start(folder: Path, breaches: int, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(breaches), url])


async def test_each_alert_is_delivered_once_through_429_outage_and_kill(tmp_path: Path) -> None:
    store = await Store.open(store_address(None, tmp_path))

    async def is_down() -> bool:
        waiting = await store.deliveries.get_claimed("slack")
        return any("cannot be reached" in (one.error or "") for one in waiting)

    with Receiver(free_port()) as receiver:
        receiver.fault, receiver.retry_after, port = 429, "1", receiver.port
        first = start(tmp_path, 1000, receiver.url)
        await eventually(lambda: receiver.requests >= 2)
    try:
        await eventually(is_down)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with Receiver(port) as receiver:
        second = start(tmp_path, 0, receiver.url)
        try:

            async def is_done() -> bool:
                return (await store.deliveries.counts()) == {("slack", "sent"): 10}

            await eventually(is_done)
        finally:
            second.kill()
            second.wait()
            await store.aclose()
        named = Counter(title for body in receiver.bodies for title in re.findall(r"\*(breach \d)\*", body))
    assert named == {f"breach {number}": 1 for number in range(10)}
