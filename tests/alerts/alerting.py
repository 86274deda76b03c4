"""Alerting without processes: a real store, channels that keep what they get, and a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilores_core import Alert, Trace
from tilores_core.alerts.queue import MARK, AlertQueue
from tilores_core.alerts.sender import ChannelSender
from tilores_core.alerts.system import AutomatedAlertingSystem
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import AlertsTable
from tilores_core.store.address import store_address
from tilores_core.store.alerts import StoredAlert
from tilores_core.store.lazy import LazyStore
from tilores_core.store.store import Store
from tilores_core.testing import Clock
from tilores_core.testing.alerts import FakeChannel


@dataclass
class Alerting:
    """`step` does at once what the worker does in time."""

    clock: Clock
    queue: AlertQueue
    system: AutomatedAlertingSystem
    store: Store
    channels: dict[str, FakeChannel]
    senders: list[ChannelSender]
    fence: int
    traces: list[Trace]

    async def step(self, seconds: float = 0.0) -> None:
        """Let the time pass, write what was raised, decide, and send what is due."""
        self.clock.advance(seconds)
        assert await self.queue.flush()
        await self.system.plan(self.store, self.fence)
        for sender in self.senders:
            await sender.step()

    async def minutes(self, number: int) -> None:
        for _ in range(number):
            await self.step(60.0)

    async def stored(self, alert: Alert) -> StoredAlert:
        found = await self.store.alerts.get(alert.fingerprint)
        assert found is not None
        return found

    def said(self, channel: str = "one") -> list[str]:
        """Of each message that a channel got: the reasons of its entries."""
        return ["+".join(entry.reason for entry in notice.entries) for notice in self.channels[channel].notices]


@asynccontextmanager
async def alerting(
    folder: Path, *channels: str, lead: bool = True, clock: Clock | None = None, **table: Any
) -> AsyncIterator[Alerting]:
    """`table`: `[alerts]`; messages wait for nothing unless it says so. `folder` may be that of one before."""
    clock = clock or Clock(1_790_000_000.0)
    lazy = LazyStore(store_address(None, folder))
    made = {name: FakeChannel() for name in channels or ("one",)}
    settings = AlertsTable(**({"group_seconds": 0} | table))
    traces: list[Trace] = []
    system = AutomatedAlertingSystem(
        lazy, made, settings, mark=WorkMark(folder, MARK), trace=traces.append, clock=clock
    )
    store = await lazy.get()
    fence = await store.leases.acquire("alerts", f"test {id(system)}", 3600.0) if lead else 0
    assert fence is not None
    try:
        queue = AlertQueue(lazy, folder, clock=clock)
        yield Alerting(clock, queue, system, store, made, system.senders(store, fence), fence, traces)
    finally:
        if lead:
            await store.leases.release("alerts", f"test {id(system)}", fence)
        await lazy.aclose()
