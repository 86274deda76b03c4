"""The tier itself, imported only when `[use] cache` names it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field
from tilores_core import CacheEntry, PluginContext, TierStats


class Settings(BaseModel):
    """`[plugins.acme-cache]` in plugins.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_entries: int = Field(10_000, ge=1, description="entries kept; beyond it the least recently used go")


class AcmeTier:
    """Satisfies `tilores_core.CacheTier` by having its methods; nothing to inherit from."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._hits = self._misses = self._evictions = self._expirations = 0

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        now = time.time()
        found = {key: entry for key in keys if (entry := self._get(key, now)) is not None}
        self._hits += len(found)
        self._misses += len(set(keys)) - len(found)
        return found

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        now = time.time()
        for key, entry in entries.items():
            self._entries.pop(key, None)
            if entry.expires_at > now:
                self._entries[key] = entry
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
            self._evictions += 1

    async def delete(self, keys: Sequence[str]) -> int:
        now = time.time()
        there = [key for key in set(keys) if self._get(key, now) is not None]
        return self._remove(there)

    async def delete_tag(self, tag: str) -> int:
        now = time.time()
        return self._remove([key for key in list(self._entries) if (e := self._get(key, now)) and tag in e.tags])

    async def clear(self, namespace: str | None = None) -> int:
        now = time.time()
        prefix = "" if namespace is None else f"{namespace}:"
        return self._remove([key for key in list(self._entries) if key.startswith(prefix) and self._get(key, now)])

    async def stats(self) -> TierStats:
        return TierStats(
            entries=len(self._entries),
            bytes=sum(len(entry.value) for entry in self._entries.values()),
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
            expirations=self._expirations,
        )

    async def aclose(self) -> None:
        self._entries.clear()

    def _get(self, key: str, now: float) -> CacheEntry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= now:
            del self._entries[key]
            self._expirations += 1
            return None
        self._entries.move_to_end(key)
        return entry

    def _remove(self, keys: Sequence[str]) -> int:
        for key in keys:
            del self._entries[key]
        return len(keys)


def build(context: PluginContext) -> AcmeTier:
    settings: Settings = context.settings
    return AcmeTier(settings.max_entries)
