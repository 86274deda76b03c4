"""Delivers alerts: one process leads, decides what is sent, and sends it with one task for each channel."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from tilores_core.alerts.policy import AlertPolicy
from tilores_core.alerts.sender import ChannelSender
from tilores_core.contracts import AlertChannel, Trace
from tilores_core.errors import ConfigError, TiloresError
from tilores_core.host.host import PluginHost
from tilores_core.host.roles import ALERTS as ROLE
from tilores_core.logs import LastingFault
from tilores_core.resilience import Lease, cancel_tasks, lead, wait_for_event
from tilores_core.resilience.work_mark import WorkMark
from tilores_core.settings import AlertsTable
from tilores_core.store.lazy import LazyStore
from tilores_core.store.topics import ALERTS

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import DeliveryPlan
    from tilores_core.store.store import Store

log = structlog.get_logger(part="alerts")

LEASE_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0
_QUIET_SECONDS: Final = 15.0
_EXPIRE_SECONDS: Final = 15.0
_TIDY_SECONDS: Final = 3600.0
_RETRY_SECONDS: Final = 3.0
_MOST_AT_ONCE: Final = 5000
_MOST_PER_WRITE: Final = 200
_DAY_MS: Final = 86_400_000


def build_channels(host: PluginHost) -> dict[str, AlertChannel]:
    """The channels of `[use] alerts`, which are closed with the host. Raises `ConfigError` for a route to another."""
    check_routes(host)
    return host.build_used(ROLE)


def check_routes(host: PluginHost) -> None:
    """Raise `ConfigError` when a route names a channel that `[use] alerts` does not."""
    used = host.config.use.alerts
    for number, route in enumerate(host.config.alerts.routes):
        for name in route.channels:
            if name not in used:
                raise ConfigError(
                    f"there is no channel '{name}' in [use] alerts",
                    where=f"{host.loaded.path}: alerts.routes[{number}].channels",
                    fix=f"name one of {', '.join(used) or 'none'}, or add it to [use] alerts",
                )


class AutomatedAlertingSystem:
    """Sends what was raised, whichever process raised it. `run` in the worker process; several may run, one leads.

    `mark`: wakes a worker that starts when there is something to send. `trace`: takes the trace of each attempt to
    send a message. `clock`: seconds since the epoch.
    """

    def __init__(
        self,
        store: LazyStore,
        channels: Mapping[str, AlertChannel],
        table: AlertsTable,
        *,
        mark: WorkMark,
        trace: Callable[[Trace], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.counted: Counter[tuple[str, str]] = Counter()
        """What came of messages since the start, by channel and result: `sent`, `failed`, `given_up`."""
        self.figures: dict[str, Any] = {"leading": False, "open": {}, "waiting": {}}
        """How many alerts are open by severity, and how many wait by channel, when this process looked last."""
        self._store = store
        self._channels = channels
        self._table = table
        self._policy = AlertPolicy(table, tuple(channels))
        self._mark = mark
        self._trace = trace
        self._clock = clock
        self._changed = asyncio.Event()
        self._fault = LastingFault("alerts.store_failed")
        self._expired_at = self._tidied_at = 0.0
        store.listen(ALERTS, lambda _: self._changed.set())

    async def run(self) -> None:
        """Lead whenever no other process does, until cancelled."""
        while True:
            try:
                await lead(self._store.leases, "alerts", self._lead, seconds=LEASE_SECONDS, pause=_RETRY_SECONDS)
            except TiloresError as error:
                if self._fault.is_new(error.message):
                    log.warning("alerts.store_failed", error=error.message, fix=error.fix)
            except Exception as error:  # the next time may fare better, and what is in the store is not lost
                log.error("alerts.failed", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _lead(self, lease: Lease) -> None:
        """Until the lease is lost, or something fails."""
        store = await self._store.get()
        self._fault.end()
        senders = self.senders(store, lease.fence)
        tasks = [asyncio.create_task(sender.run(), name=f"alerts {sender.name}") for sender in senders]
        tasks.append(asyncio.create_task(self._plan_forever(store, lease.fence, senders), name="alerts"))
        lost = asyncio.create_task(lease.lost.wait())
        self.figures["leading"] = True
        log.info("alerts.leading", channels=sorted(self._channels), fence=lease.fence)
        try:
            done, _ = await asyncio.wait({*tasks, lost}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {lost}:
                task.result()
        finally:
            self.figures["leading"] = False
            await cancel_tasks(*tasks, lost)

    def senders(self, store: Store, fence: int) -> list[ChannelSender]:
        """One for each channel, under the lease with this fence."""
        return [
            ChannelSender(
                name=name,
                channel=channel,
                table=self._table,
                store=store,
                fence=fence,
                counted=self.counted,
                trace=self._trace,
                clock=self._clock,
            )
            for name, channel in self._channels.items()
        ]

    async def _plan_forever(self, store: Store, fence: int, senders: list[ChannelSender]) -> None:
        while True:
            self._changed.clear()
            self._mark.take()
            is_quiet = not await self.plan(store, fence)
            self._mark.clear(unless=not is_quiet or any(self.figures["waiting"].values()))
            for sender in senders:
                sender.wake()
            await wait_for_event(self._changed, _QUIET_SECONDS if is_quiet else _LOOK_SECONDS)

    async def plan(self, store: Store, fence: int) -> int:
        """Decide what is sent of every alert; how many of them something may have to be sent of later.

        Raises `StoreError`, also when the lease with this fence is over.
        """
        now = self._clock()
        now_ms = round(now * 1000)
        if now - self._expired_at >= _EXPIRE_SECONDS:
            self._expired_at = now
            await store.alerts.expire(now_ms, round(self._table.expire_hours * 3_600_000))
        unsettled = await store.alerts.list_unsettled(_MOST_AT_ONCE)
        planned: list[DeliveryPlan] = []
        if unsettled:
            silences = await store.silences.current(now_ms)
            over = {stored.fingerprint for stored in unsettled if stored.state == "resolved"}
            for silence in [silence for silence in silences if silence.until_clear and silence.fingerprint in over]:
                await store.silences.end(silence.id, now_ms)
                silences.remove(silence)
            decided = (self._policy.decide(stored, silences, now_ms) for stored in unsettled)
            planned = [plan for plan in decided if plan is not None]
        for start in range(0, len(planned), _MOST_PER_WRITE):
            await store.deliveries.plan(planned[start : start + _MOST_PER_WRITE], now_ms=now_ms, fence=fence)
        await self._look(store)
        if now - self._tidied_at >= _TIDY_SECONDS:
            self._tidied_at = now
            await self._tidy(store, now_ms)
        return len(unsettled)

    async def _look(self, store: Store) -> None:
        found, waiting = await store.alerts.counts(), await store.deliveries.counts()
        open_: Counter[str] = Counter()
        for (state, severity), count in found.items():
            if state != "resolved":
                open_[severity] += count
        self.figures["open"] = dict(open_)
        self.figures["waiting"] = {
            channel: count for (channel, state), count in waiting.items() if state == "waiting"
        }

    async def _tidy(self, store: Store, now_ms: int) -> None:
        oldest = now_ms - round(self._table.keep_days * _DAY_MS)
        await store.deliveries.remove_before(oldest)
        await store.silences.remove_before(oldest)
        await store.alerts.remove_before(oldest)
        given_up = now_ms - round(self._table.give_up_hours * 3_600_000)
        await store.deliveries.give_up_others(tuple(self._channels), given_up, now_ms)
