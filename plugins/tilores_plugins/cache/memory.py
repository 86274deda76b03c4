"""The `memory` tier: the most recently used entries, in this process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import BaseModel, ConfigDict, Field

from tilores_core import (
    CacheBackendSpec,
    CacheEntry,
    PluginContext,
    SupportsPeek,
    SupportsTagKeys,
    TierStats,
    hookimpl,
)

ENTRY_OVERHEAD = 500
"""Bytes that an entry takes besides value, key and tags (measured), so that `max_bytes` means memory."""

TAG_OVERHEAD = 150
"""The same for each of its tags."""

_LARGEST_SHARE = 8  # one entry may take an eighth of `max_bytes`, or it would evict too many others
_SWEPT_AT_ONCE = 2
_SWEPT_PER_LOOK = 250
_CLOCK_SECONDS = 60.0
"""A clock that is put back by less is not noticed."""


class Settings(BaseModel):
    """`[plugins.memory]`"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_entries: int = Field(10_000, ge=1, description="entries held; the least recently used leave first")
    max_bytes: int = Field(64 * 1024 * 1024, ge=64 * 1024, description="memory held, bookkeeping included")
    ttl_seconds: float = Field(300.0, gt=0, description="longest life in this tier")


@hookimpl
def register_cache_backends() -> list[CacheBackendSpec]:
    return [
        CacheBackendSpec(
            name="memory",
            factory=build,
            settings=Settings,
            abilities=(SupportsPeek, SupportsTagKeys),
            summary="entries in this process",
        )
    ]


def build(context: PluginContext) -> MemoryTier:
    settings: Settings = context.settings
    return MemoryTier(
        max_entries=settings.max_entries, max_bytes=settings.max_bytes, ttl_seconds=settings.ttl_seconds
    )


@dataclass(slots=True)
class _Counts:
    """Of one namespace: what is held, and how many entries left."""

    entries: int = 0
    bytes: int = 0
    evictions: int = 0
    expirations: int = 0


class MemoryTier:
    """A bounded LRU cache with an expiry per entry and an index of tags. Thread-safe; no method waits for I/O.

    `put` keeps the entry it is given, `set_many` a copy of it that takes no more room than it needs.

    `clock` in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        ttl_seconds: float = 300.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._longest = ttl_seconds + _CLOCK_SECONDS
        self._clock = clock
        self._lock = threading.Lock()
        # When this tier drops the entry, perhaps before it expires, the entry and its size; the least recently used
        # first.
        self._entries: OrderedDict[str, tuple[float, CacheEntry, int]] = OrderedDict()
        # A tag of one entry is kept as that entry's key: a set for each would take more room than the entry's key.
        self._tags: dict[str, str | set[str]] = {}
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._counts: defaultdict[str, _Counts] = defaultdict(_Counts)

    # --- SupportsPeek ---

    def peek(self, key: str) -> CacheEntry | None:
        with self._lock:
            held = self._entries.get(key)
            if held is None:
                self._misses += 1
                return None
            until, entry, _ = held
            # What seems to live longer than anything may was stored before the clock was put back.
            if not 0 < until - self._clock() <= self._longest:
                self._remove(key)
                self._counts[_namespace(key)].expirations += 1
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry

    def put(self, key: str, entry: CacheEntry) -> None:
        with self._lock:
            now = self._clock()
            self._remove(key)
            self._sweep(now, _SWEPT_AT_ONCE)
            size = _size(key, entry)
            if entry.expires_at <= now or size * _LARGEST_SHARE > self._max_bytes:
                return
            while len(self._entries) >= self._max_entries or self._bytes + size > self._max_bytes:
                self._evict()
            until = entry.expires_at if entry.expires_at - now <= self._ttl else now + self._ttl
            self._entries[key] = (until, entry, size)
            self._add(key, 1, size)
            for tag in dict.fromkeys(entry.tags):
                self._index(tag, key)

    # --- CacheTier ---

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        return {key: entry for key in keys if (entry := self.peek(key)) is not None}

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        for key, entry in entries.items():
            # Through a memoryview, since bytes(value) would hand back the same object: what orjson returns may hold
            # far more memory than its length says.
            self.put(key, CacheEntry(bytes(memoryview(entry.value)), entry.expires_at, tuple(entry.tags)))

    async def delete(self, keys: Sequence[str]) -> int:
        with self._lock:
            now = self._clock()
            return sum(self._remove(key, now) for key in keys)

    async def delete_tag(self, tag: str) -> int:
        with self._lock:
            keys = self._tags.get(tag, ())
            now = self._clock()
            return sum(self._remove(key, now) for key in ([keys] if isinstance(keys, str) else list(keys)))

    async def tag_keys(self, tag: str) -> Sequence[str]:
        with self._lock:
            keys = self._tags.get(tag, ())
            now = self._clock()
            listed = [keys] if isinstance(keys, str) else keys
            return [key for key in listed if self._entries[key][0] > now]

    async def clear(self, namespace: str | None = None) -> int:
        with self._lock:
            now = self._clock()
            chosen = [key for key in self._entries if namespace is None or key.startswith(f"{namespace}:")]
            return sum(self._remove(key, now) for key in chosen)

    async def stats(self) -> TierStats:
        # Once a second: the time it takes must not grow with the number of entries.
        with self._lock:
            self._sweep(self._clock(), _SWEPT_PER_LOOK)
            counts = self._counts.values()
            return TierStats(
                entries=len(self._entries),
                bytes=self._bytes,
                hits=self._hits,
                misses=self._misses,
                evictions=sum(one.evictions for one in counts),
                expirations=sum(one.expirations for one in counts),
                extra={
                    "namespaces": {name: asdict(one) for name, one in self._counts.items()},
                    "tags": len(self._tags),
                },
            )

    async def aclose(self) -> None:
        with self._lock:
            self._entries.clear()
            self._tags.clear()
            self._counts.clear()
            self._bytes = 0

    # --- inside; the lock is held ---

    def _evict(self) -> None:
        key, (_, entry, size) = self._entries.popitem(last=False)
        self._forget(key, entry, size)
        self._counts[_namespace(key)].evictions += 1

    def _remove(self, key: str, now: float = 0.0) -> int:
        """1 if it was there and alive at `now`."""
        held = self._entries.pop(key, None)
        if held is None:
            return 0
        until, entry, size = held
        self._forget(key, entry, size)
        return int(until > now)

    def _sweep(self, now: float, number: int) -> None:
        """Drop the expired among the least recently used, so that they leave although they are not asked for: at
        `ttl_seconds` after its last use all before an entry has expired too."""
        for _ in range(number):
            key = next(iter(self._entries), None)
            if key is None or self._entries[key][0] > now:
                return
            self._remove(key)
            self._counts[_namespace(key)].expirations += 1

    def _forget(self, key: str, entry: CacheEntry, size: int) -> None:
        self._add(key, -1, -size)
        for tag in dict.fromkeys(entry.tags):
            keys = self._tags[tag]
            if isinstance(keys, str) or len(keys) == 1:
                del self._tags[tag]
            else:
                keys.discard(key)

    def _add(self, key: str, entries: int, size: int) -> None:
        self._bytes += size
        counts = self._counts[key.partition(":")[0]]  # `_namespace`, without a call
        counts.entries += entries
        counts.bytes += size

    def _index(self, tag: str, key: str) -> None:
        keys = self._tags.get(tag)
        if keys is None:
            self._tags[tag] = key
        elif isinstance(keys, str):
            self._tags[tag] = {keys, key}
        else:
            keys.add(key)


def _size(key: str, entry: CacheEntry) -> int:
    tags = entry.tags
    return len(entry.value) + len(key) + ENTRY_OVERHEAD + sum(map(len, tags)) + TAG_OVERHEAD * len(tags)


def _namespace(key: str) -> str:
    return key.partition(":")[0]
