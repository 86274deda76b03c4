"""One channel's messages: put together, sent one after the other, tried again."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog

from tilores_core.alerts.notices import group, notice_of, trace_of
from tilores_core.contracts import AlertChannel, AlertNotice, Trace
from tilores_core.errors import AlertChannelError, AlertRefusedError, TiloresError, error_code
from tilores_core.logs import LastingFault
from tilores_core.resilience import wait_for_event
from tilores_core.settings import AlertsTable

if TYPE_CHECKING:
    from tilores_core.store.alert_deliveries import Delivery
    from tilores_core.store.store import Store

log = structlog.get_logger(part="alerts")

_MOST_TOGETHER: Final = 5000
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 300.0
_SHORTEST_RETRY_AFTER: Final = 1.0
_LONGEST_RETRY_AFTER: Final = 3600.0
_IDLE_SECONDS: Final = 30.0
_STORE_PAUSE: Final = 2.0
_MINUTE_MS: Final = 60_000
_FAR_MS: Final = 10**12
_REFUSED: Final = "refused: "


@dataclass(kw_only=True, eq=False)
class ChannelSender:
    """Sends what waits for one channel, with its own queue in the store, so that no channel waits for another.

    `fence`: of the lease under which it may write. `clock`: seconds since the epoch. `counted`: what came of messages
    (`sent`, `failed`, `given_up`), for metrics. `trace`: takes the trace of each attempt.
    """

    name: str
    channel: AlertChannel
    table: AlertsTable
    store: Store
    fence: int
    counted: Counter[tuple[str, str]]
    trace: Callable[[Trace], None] = lambda _: None
    clock: Callable[[], float] = time.time
    roll: Callable[[], float] = random.random
    _sent: deque[int] | None = field(default=None, init=False)
    _unnoted: set[str] = field(default_factory=set, init=False)
    _fault: LastingFault = field(default_factory=lambda: LastingFault("alerts.store_failed"), init=False)
    _outage: LastingFault = field(init=False)
    _awake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self._outage = LastingFault("alerts.send_failed", channel=self.name)

    def wake(self) -> None:
        """Something may have come to wait for the channel."""
        self._awake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._awake.clear()
            try:
                pause = await self.step()
                self._fault.end()
            except TiloresError as error:  # the store: what was not noted as sent is sent again, with the same id
                pause = _STORE_PAUSE
                if self._fault.is_new(error.message):
                    log.warning("alerts.store_failed", channel=self.name, error=error.message, fix=error.fix)
            await wait_for_event(self._awake, max(pause, 0.05))

    async def step(self) -> float:
        """Send all that may be sent now; how many seconds until there may be more. Raises `StoreError`."""
        if self._sent is None:  # what a former process sent counts as well
            since = self._now_ms() - _MINUTE_MS
            self._sent = deque(sorted(await self.store.deliveries.list_sent_since(self.name, since)))
        while True:
            blocked, idle = await self._send_claimed()
            if blocked:
                return idle
            waiting = await self.store.deliveries.ready(self.name, self._now_ms() + _FAR_MS, _MOST_TOGETHER)
            ready = [delivery for delivery in waiting if not self._wait_for(delivery.due_ms)]
            if not ready:
                return min([idle, *(self._wait_for(delivery.due_ms) for delivery in waiting)])
            if not (allowed := self._count_allowed()):
                return self._until_allowed()
            await self._claim(ready, allowed)

    async def _claim(self, ready: Sequence[Delivery], allowed: int) -> None:
        alerts = await self.store.alerts.of(delivery.fingerprint for delivery in ready)
        known = [delivery for delivery in ready if delivery.fingerprint in alerts]
        messages: dict[str, Sequence[Delivery]] = {uuid4().hex: claimed for claimed in group(known, alerts, allowed)}
        if lost := [delivery for delivery in ready if delivery.fingerprint not in alerts]:
            messages[uuid4().hex] = lost  # its alert was removed: it is ended as a message without entries
        await self.store.deliveries.claim(messages, fence=self.fence)

    async def _send_claimed(self) -> tuple[bool, float]:
        """Send the messages that were put together: whether the channel takes nothing more now, and the pause."""
        messages: dict[str, list[Delivery]] = {}
        for delivery in await self.store.deliveries.get_claimed(self.name):
            messages.setdefault(str(delivery.message), []).append(delivery)
        idle = _IDLE_SECONDS
        for message, deliveries in messages.items():
            if message in self._unnoted:  # it was sent, and the store could not be told
                await self._note_sent(message)
                continue
            wait = self._wait_for(deliveries[0].next_ms)
            refused = (deliveries[0].error or "").startswith(_REFUSED)
            if not wait:
                if not self._count_allowed():
                    return True, self._until_allowed()
                outcome = await self._send(message, deliveries)
                if outcome is None:
                    continue
                wait, refused = outcome
            if not refused:
                return True, wait
            idle = min(idle, wait)
        return False, idle

    async def _send(self, message: str, deliveries: Sequence[Delivery]) -> tuple[float, bool] | None:
        """None when it is over; else in how many seconds it is tried again, and whether the others go on before."""
        alerts = await self.store.alerts.of(delivery.fingerprint for delivery in deliveries)
        notice = notice_of(message, deliveries, alerts)
        if notice is None:
            await self.store.deliveries.mark_failed(
                message, "its alert was removed", now_ms=self._now_ms(), fence=self.fence
            )
            return None
        began = self.clock()
        failed = await self._call_channel(notice)
        code = None if failed is None else error_code(failed)
        self.trace(trace_of(notice, deliveries, self.name, began=began, ended=self.clock(), error=code))
        if failed is not None:
            return await self._record_failure(message, deliveries, failed)
        assert self._sent is not None
        self._outage.end()
        self._sent.append(self._now_ms())
        self.counted[self.name, "sent"] += 1
        self._unnoted.add(message)
        log.info("alerts.sent", channel=self.name, alerts=len(notice.entries), severity=notice.severity)
        await self._note_sent(message)
        return None

    async def _call_channel(self, notice: AlertNotice) -> AlertChannelError | None:
        """Send it; why that failed."""
        try:
            async with asyncio.timeout(self.table.send_seconds):
                await self.channel.send(notice)
        except TimeoutError:
            return AlertChannelError(f"no answer within {self.table.send_seconds:g} s")
        except AlertChannelError as error:
            return error
        except Exception as error:  # a stranger's code: its text may hold anything
            return AlertChannelError(type(error).__name__)
        return None

    async def _note_sent(self, message: str) -> None:
        await self.store.deliveries.mark_sent(message, now_ms=self._now_ms(), fence=self.fence)
        self._unnoted.discard(message)

    async def _record_failure(
        self, message: str, deliveries: Sequence[Delivery], error: AlertChannelError
    ) -> tuple[float, bool] | None:
        now, refused = self._now_ms(), isinstance(error, AlertRefusedError)
        text = (_REFUSED if refused else "") + error.message
        age_ms = now - min(delivery.created_ms for delivery in deliveries)
        if age_ms > self.table.give_up_hours * 3_600_000:
            self.counted[self.name, "given_up"] += 1
            log.error("alerts.given_up", channel=self.name, alerts=len(deliveries), error=text)
            await self.store.deliveries.mark_failed(message, text, now_ms=now, fence=self.fence)
            return None
        attempts = deliveries[0].attempts
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(attempts, 10)) * (0.5 + self.roll() / 2)
        if error.retry_after is not None:
            pause = min(max(error.retry_after, _SHORTEST_RETRY_AFTER), _LONGEST_RETRY_AFTER)
        self.counted[self.name, "failed"] += 1
        if self._outage.is_new(text):
            seconds = round(pause, 1)
            log.warning("alerts.send_failed", channel=self.name, attempt=attempts + 1, error=text, retry_in_s=seconds)
        await self.store.deliveries.retry(message, text, next_ms=now + round(pause * 1000), fence=self.fence)
        return pause, refused

    def _count_allowed(self) -> int:
        """How many messages may be sent now."""
        assert self._sent is not None
        now = self._now_ms()
        while self._sent and not now - _MINUTE_MS < self._sent[0] <= now:  # later: the clock was put back
            self._sent.popleft()
        return max(0, self.table.max_per_minute - len(self._sent))

    def _until_allowed(self) -> float:
        assert self._sent
        return max(0.0, (self._sent[0] + _MINUTE_MS - self._now_ms()) / 1000)

    def _wait_for(self, at_ms: int) -> float:
        """Seconds until then; 0 for a time so far away that it was noted before the clock was put back."""
        wait = max(0.0, (at_ms - self._now_ms()) / 1000)
        return wait if wait <= _LONGEST_RETRY_AFTER else 0.0

    def _now_ms(self) -> int:
        return round(self.clock() * 1000)
