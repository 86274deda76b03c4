"""Several processes, one truth: telling the others what was removed, and hearing it from them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.invalidation import Invalidation, announced, from_message, to_announcement, to_messages
from tilores_core.contracts import SupportsBroadcast

log = structlog.get_logger(part="cache")

RECENT_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class RecentStores:
    """What this process stored a moment ago.

    Another process removes an entry from the shared tier, and before its message arrives here this process stores one
    that it had read earlier. The message must then remove that one too, from the shared tier as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._stores: deque[tuple[float, str, tuple[str, ...]]] = deque(maxlen=1024)
        self._clock = clock

    def add(self, key: str, tags: tuple[str, ...]) -> None:
        self._stores.append((self._clock(), key, tags))

    def hit_by(self, what: Invalidation) -> set[str]:
        oldest = self._clock() - RECENT_SECONDS
        return {key for at, key, tags in self._stores if at >= oldest and what.matches(key, tags)}


class Coherence:
    """The conversation with the other processes through one tier.

    `hear` is told what another process removed, `changed` what it announced; `lose` is called when messages may have
    been lost. `name` is this process's, so that it knows its own messages when they come back.
    """

    def __init__(
        self,
        tier: GuardedTier,
        broadcast: SupportsBroadcast,
        *,
        name: str,
        hear: Callable[[Invalidation], Awaitable[None]],
        lose: Callable[[], Awaitable[None]],
        changed: Callable[[str], None],
    ) -> None:
        self._tier = tier
        self._broadcast = broadcast
        self._name = name
        self._hear = hear
        self._lose = lose
        self._changed = changed
        self.sent = 0
        self.heard = 0
        self.lost = 0
        self.unreadable = 0

    async def tell(self, what: Invalidation) -> None:
        """Publish. A failure is counted by the tier's guard; what the tier itself could not remove is told later."""
        for message in to_messages(self._name, what):
            await self._tier.call(lambda message=message: self._broadcast.publish(message))  # type: ignore[misc]
            self.sent += 1

    async def announce(self, topic: str) -> None:
        """Publish that something changed which is kept elsewhere. It may get lost."""
        await self._tier.call(lambda: self._broadcast.publish(to_announcement(self._name, topic)))

    async def listen(self) -> None:
        """Until cancelled. When the messages end, for whatever reason, nothing local is trusted; it begins anew."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async for message in self._broadcast.messages():
                    pause = _FIRST_PAUSE
                    await self._apply(message)
            except Exception as error:  # a stranger's code; a dead listener would leave this process with old entries
                log.warning("cache.invalidation_stream_failed", error=type(error).__name__)
            await self._apply(None)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _apply(self, message: bytes | None) -> None:
        if message is None:
            self.lost += 1
            await self._lose()
            return
        try:
            sender, what = from_message(message)
            topics = frozenset[str]() if what else announced(message)
        except ValueError:
            # Perhaps of a newer version in a rolling upgrade: it says that something is outdated, but not what.
            self.unreadable += 1
            await self._lose()
            return
        if sender == self._name:
            return
        for topic in topics:
            self._changed(topic)
        if what:
            self.heard += 1
            await self._hear(what)
