"""What was warmed: kept in memory past that tier's own time, and whether anybody asked for it.

A hit on a warmed answer is noticed by a dictionary of the warmed keys that every cached reply looks its key up in.
The key is a string whose hash is known already, so that this costs some forty nanoseconds of a reply that takes a
hundred thousand; sampling would save nothing one could measure, and would miss the callers that are few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from tilores_core.cache.tiered import TieredCache

MOST_WATCHED: Final = 50_000
_AT_ONCE: Final = 256
_FETCHED_AT_ONCE: Final = 16  # a third of a millisecond, for which callers wait
_ANSWERS: Final = "answers:"


class WarmedEntries:
    """The entries that pre-warming keeps fresh, and whether callers use them.

    `watched`: hits by answer key (`ChatEngine.watched_hits`). `most_pinned`: entries kept in memory.
    """

    def __init__(self, cache: TieredCache, watched: dict[str, int], *, most_pinned: int) -> None:
        self._cache = cache
        self._watched = watched
        self._most_pinned = most_pinned
        self._pinned: dict[str, None] = {}
        self._past_hits = 0
        self._past_used = 0
        self._past = 0

    def watch(self, key: str) -> None:
        """Count the hits on this answer; the oldest of too many is counted no more."""
        self._watched[key] = self._watched.pop(key, 0)
        if len(self._watched) > MOST_WATCHED:
            hits = self._watched.pop(next(iter(self._watched)))
            self._past += 1
            self._past_hits += hits
            self._past_used += hits > 0

    def pin(self, keys: Iterable[str]) -> None:
        """Keep these in memory, as long as there is room: those that came first have the higher priority."""
        for key in keys:
            if len(self._pinned) < self._most_pinned:
                self._pinned[key] = None

    async def keep(self) -> None:
        """Restart the time in memory of what is held; what has left memory is fetched from the tiers below.

        Entries that are in no tier any more, because they expired or were removed, are dropped.
        """
        keys = iter(tuple(self._pinned))
        while chunk := list(islice(keys, _AT_ONCE)):
            absent = [key for key in chunk if not self._cache.touch(key)]
            if absent and self._cache.has_shared:
                found: Collection[str] = await self._cache.get_many(absent)
            else:
                found = ()
            for key in absent:
                if key not in found:
                    self._pinned.pop(key, None)
            await asyncio.sleep(0)  # hits are answered between two chunks

    async def refresh(self, keys: Sequence[str]) -> list[str]:
        """Another process has warmed these: hold them, fetch them into memory, and count the hits on answers.

        Returns those that were not read, which are worth another try: after one that could not be, none is tried.
        """
        for start in range(0, len(keys), _FETCHED_AT_ONCE):
            chunk = keys[start : start + _FETCHED_AT_ONCE]
            found, failed = await self._cache.refresh(chunk)
            self.pin(key for key in chunk if key in found)
            for key in chunk:
                if key in found and key.startswith(_ANSWERS):
                    self.watch(key)
            if failed:
                return [*failed, *keys[start + _FETCHED_AT_ONCE :]]
        return []

    def as_plain(self) -> dict[str, Any]:
        """Return the figures as plain JSON. `used_share`: of the warmed answers, how many were asked for at least
        once; None before the first."""
        hits = self._past_hits + sum(self._watched.values())
        used = self._past_used + sum(1 for count in self._watched.values() if count)
        entries = self._past + len(self._watched)
        return {
            "warmed_answers": entries,
            "used_answers": used,
            "used_share": round(used / entries, 4) if entries else None,
            "hits": hits,
            "kept_in_memory": len(self._pinned),
        }
