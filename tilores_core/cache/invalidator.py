"""Removing entries from all tiers and processes, and retrying what a tier could not remove."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tilores_core.cache.coherence import Coherence
from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.invalidation import Invalidation
from tilores_core.cache.stack import Stack
from tilores_core.contracts import SupportsBroadcast

Spawn = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]

_RETRY_SECONDS = 1.0


class Invalidator:
    """Invalidates in the tiers of `stack`, tells the other processes, and calls listeners.

    `name`: this process's, which tells its own messages from others'. `spawn` starts a background task.
    """

    def __init__(self, stack: Stack, *, name: str, spawn: Spawn) -> None:
        self._stack = stack
        self._spawn = spawn
        self._retrying: set[str] = set()
        self._invalidation_listeners: list[Callable[[Invalidation], None]] = []
        self._announcement_listeners: list[Callable[[str], None]] = []
        self._coherence = self._find_coherence(name)
        stack.on_pending = self._retry_later
        stack.on_invalidation = self._on_invalidation

    def start(self) -> None:
        """Begin to listen to the other processes."""
        if self._coherence is not None:
            self._spawn(self._coherence.listen())

    async def invalidate(self, what: Invalidation) -> int:
        """Remove it here and in all other processes; how many entries the tier that had most of them removed."""
        # In a task of its own: a caller who goes away half way must not leave half of it.
        return await asyncio.shield(self._spawn(self._remove_everywhere(what)))

    def announce(self, topic: str) -> None:
        """Tell the other processes, where a tier can, that something changed which is kept elsewhere.

        It is not waited for and may get lost: for listeners that would find out by themselves, only later.
        """
        if self._coherence is not None:
            self._spawn(self._coherence.announce(topic))

    def on_announcement(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the topics that other processes announce."""
        self._announcement_listeners.append(listener)

    def on_invalidation(self, listener: Callable[[Invalidation], None]) -> None:
        """Call `listener` with all that is invalidated, here or by another process, for what is kept elsewhere."""
        self._invalidation_listeners.append(listener)

    def stats(self) -> dict[str, int]:
        """Messages `sent`, `heard` and `unreadable`, and how often some may have been `lost`."""
        found = self._coherence
        return {name: getattr(found, name) if found else 0 for name in ("sent", "heard", "lost", "unreadable")}

    async def _remove_everywhere(self, what: Invalidation) -> int:
        removed = await self._stack.remove(what)
        if self._coherence is not None and not await self._coherence.publish(what):
            # The others may still serve it from their memory: remove and publish again, later.
            self._coherence.tier.add_pending(what)
            self._retry_later(self._coherence.tier)
        return removed

    def _retry_later(self, tier: GuardedTier) -> None:
        if tier.pending_invalidations and tier.label not in self._retrying:
            self._retrying.add(tier.label)
            self._spawn(self._retry(tier))

    async def _retry(self, tier: GuardedTier) -> None:
        try:
            while tier.pending_invalidations:
                await asyncio.sleep(_RETRY_SECONDS)
                for what in await tier.retry_pending():
                    # Others may have read it again from this tier since the first message, if that arrived.
                    if self._coherence is not None and not await self._coherence.publish(what):
                        self._coherence.tier.add_pending(what)
        finally:
            self._retrying.discard(tier.label)

    def _on_invalidation(self, what: Invalidation) -> None:
        for listener in self._invalidation_listeners:
            listener(what)

    def _on_announcement(self, topic: str) -> None:
        for listener in self._announcement_listeners:
            listener(topic)

    def _find_coherence(self, name: str) -> Coherence | None:
        for tier in self._stack.tiers:
            if isinstance(tier.tier, SupportsBroadcast):
                return Coherence(
                    tier=tier,
                    broadcast=tier.tier,
                    name=name,
                    on_remote_invalidation=self._stack.on_remote_invalidation,
                    on_gap=self._stack.flush_local,
                    on_announcement=self._on_announcement,
                )
        return None
