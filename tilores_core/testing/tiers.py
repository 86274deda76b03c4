"""Tiers for tests: a store that several caches share, and a tier that fails on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from tilores_core.contracts import CacheEntry, CacheTier, TierStats
from tilores_core.errors import CacheError


class SharedStore:
    """What the connections (`SharedTier`) of several caches have in common: entries, leases and messages.

    `clock` in seconds since the epoch. With `deliver=False` messages wait until `deliver()`.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, deliver: bool = True) -> None:
        self.clock = clock
        self.entries: dict[str, CacheEntry] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.listeners: list[asyncio.Queue[bytes | None]] = []
        self._at_once = deliver
        self._waiting: list[bytes] = []

    def publish(self, message: bytes) -> None:
        self._waiting.append(message)
        if self._at_once:
            self.deliver()

    def deliver(self) -> None:
        """Hand the waiting messages to all who listen."""
        for message in self._waiting:
            for listener in self.listeners:
                listener.put_nowait(message)
        self._waiting.clear()

    def lose_connection(self) -> None:
        """All who listen learn that messages may have been lost."""
        for listener in self.listeners:
            listener.put_nowait(None)


class SharedTier:
    """A connection to a `SharedStore`: a cache tier with leases and broadcast, each call a turn of the event loop."""

    def __init__(self, store: SharedStore) -> None:
        self.store = store
        self.calls = 0

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        now = await self._turn()
        found = {key: self.store.entries[key] for key in keys if key in self.store.entries}
        return {key: entry for key, entry in found.items() if entry.expires_at > now}

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        now = await self._turn()
        for key, entry in entries.items():
            self.store.entries.pop(key, None)
            if entry.expires_at > now:
                self.store.entries[key] = entry

    async def delete(self, keys: Sequence[str]) -> int:
        now = await self._turn()
        return self._remove(keys, now)

    async def delete_tag(self, tag: str) -> int:
        now = await self._turn()
        return self._remove([key for key, entry in self.store.entries.items() if tag in entry.tags], now)

    async def tag_keys(self, tag: str) -> Sequence[str]:
        now = await self._turn()
        return [key for key, entry in self.store.entries.items() if tag in entry.tags and entry.expires_at > now]

    async def clear(self, namespace: str | None = None) -> int:
        now = await self._turn()
        chosen = [key for key in self.store.entries if namespace is None or key.startswith(f"{namespace}:")]
        return self._remove(chosen, now)

    async def stats(self) -> TierStats:
        await self._turn()
        return TierStats(
            entries=len(self.store.entries), bytes=sum(len(entry.value) for entry in self.store.entries.values())
        )

    async def aclose(self) -> None:
        return None

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        now = await self._turn()
        owner, until = self.store.leases.get(name, (holder, 0.0))
        if owner != holder and until > now:
            return False
        self.store.leases[name] = (holder, now + seconds)
        return True

    async def release(self, name: str, holder: str) -> None:
        await self._turn()
        if self.store.leases.get(name, ("", 0.0))[0] == holder:
            del self.store.leases[name]

    async def publish(self, message: bytes) -> None:
        await self._turn()
        self.store.publish(message)

    async def messages(self) -> AsyncIterator[bytes | None]:
        mine: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.store.listeners.append(mine)
        try:
            yield None  # what was said before this connection stood is lost
            while True:
                yield await mine.get()
        finally:
            self.store.listeners.remove(mine)

    async def _turn(self) -> float:
        self.calls += 1
        await asyncio.sleep(0)
        return self.store.clock()

    def _remove(self, keys: Sequence[str], now: float) -> int:
        gone = [entry for key in keys if (entry := self.store.entries.pop(key, None)) is not None]
        return sum(entry.expires_at > now for entry in gone)


class FlakyTier:
    """A tier around another that raises `CacheError` while `down`, and never answers while `hanging`."""

    def __init__(self, inner: CacheTier) -> None:
        self.inner = inner
        self.down = False
        self.hanging = False
        self.calls = 0

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        await self._fail()
        return await self.inner.get_many(keys)

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        await self._fail()
        await self.inner.set_many(entries)

    async def delete(self, keys: Sequence[str]) -> int:
        await self._fail()
        return await self.inner.delete(keys)

    async def delete_tag(self, tag: str) -> int:
        await self._fail()
        return await self.inner.delete_tag(tag)

    async def clear(self, namespace: str | None = None) -> int:
        await self._fail()
        return await self.inner.clear(namespace)

    async def stats(self) -> TierStats:
        await self._fail()
        return await self.inner.stats()

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def _fail(self) -> None:
        self.calls += 1
        if self.down:
            raise CacheError("the tier is down")
        if self.hanging:
            await asyncio.Event().wait()
