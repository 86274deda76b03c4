"""Messages between processes about what was removed from the cache."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from tilores_core.cache.guard import FAILED, GuardedTier
from tilores_core.cache.invalidation import Invalidation, announced_topics, from_message, to_announcement, to_messages
from tilores_core.contracts import SupportsBroadcast

log = structlog.get_logger(part="cache")

RECENT_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class RecentStores:
    """What this process stored in the last seconds.

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


@dataclass(slots=True, kw_only=True)
class Coherence:
    """Sends and receives invalidations through one tier that all processes share.

    `on_remote_invalidation` gets what another process removed, `on_announcement` the topics that it announced;
    `on_gap` is called when messages may have been lost. `name` is this process's, to recognise its own messages.
    """

    tier: GuardedTier
    broadcast: SupportsBroadcast
    name: str
    on_remote_invalidation: Callable[[Invalidation], Awaitable[None]]
    on_gap: Callable[[], Awaitable[None]]
    on_announcement: Callable[[str], None]
    sent: int = 0
    heard: int = 0
    lost: int = 0
    unreadable: int = 0

    async def publish(self, what: Invalidation) -> bool:
        """Send it to the other processes; False when not all messages were sent."""
        for message in to_messages(self.name, what):
            if await self.tier.call(partial(self.broadcast.publish, message)) is FAILED:
                return False
            self.sent += 1
        return True

    async def announce(self, topic: str) -> None:
        """Publish that something changed which is kept elsewhere. It may get lost."""
        await self.tier.call(lambda: self.broadcast.publish(to_announcement(self.name, topic)))

    async def listen(self) -> None:
        """Receive until cancelled. When the messages end, for any reason, call `on_gap` and connect again."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async for message in self.broadcast.messages():
                    pause = _FIRST_PAUSE
                    await self._apply(message)
            except Exception as error:  # third-party code; without a listener this process would serve old entries
                log.warning("cache.invalidation_stream_failed", error=type(error).__name__)
            await self._apply(None)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _apply(self, message: bytes | None) -> None:
        if message is None:
            self.lost += 1
            await self.on_gap()
            return
        try:
            sender, what = from_message(message)
            topics = frozenset[str]() if what else announced_topics(message)
        except ValueError:
            # Perhaps of a newer version in a rolling upgrade: it says that something is outdated, but not what.
            self.unreadable += 1
            await self.on_gap()
            return
        if sender == self.name:
            return
        for topic in topics:
            self.on_announcement(topic)
        if what:
            self.heard += 1
            await self.on_remote_invalidation(what)
