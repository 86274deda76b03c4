"""The tiers in order: where an entry is looked up, where it is stored, and what may not be stored any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

from msgspec.structs import replace

from tilores_core.cache import policy
from tilores_core.cache.coherence import RecentStores
from tilores_core.cache.guard import GuardedTier
from tilores_core.cache.invalidation import EVERYTHING, Invalidation, InvalidationLog
from tilores_core.cache.keys import WIRE, namespace_of, wire_key, wire_origin
from tilores_core.cache.policy import Life
from tilores_core.cache.values import Hit, compact, hit_of, pack, to_memory_hit, unpack
from tilores_core.contracts import CacheEntry

_SAMPLE_EVERY = 64
_CLOCK_SECONDS = 300.0
"""An entry that was made so far in the future was made before the clock was put back, and would live for too long."""


Writes = dict[str, tuple[Hit, int]]
"""Entries by key, each with the revision from before it was made."""
Defer = Callable[[GuardedTier, str, Hit, int], Awaitable[None]]
"""Writes an entry in the background; it writes it at once when too much is waiting already."""


class Stack:
    """The cache tiers as one: reads go from the fastest tier to the slowest, writes go to all.

    `tiers`, fastest first. The first in this process (`SupportsPeek`) is the local one.

    Every store gets the `revision` of `log` that was noted before what is stored was read: see `InvalidationLog`.
    """

    def __init__(self, tiers: Sequence[GuardedTier], *, clock: Callable[[], float]) -> None:
        self.tiers = list(tiers)
        self.local = next((tier for tier in self.tiers if tier.local is not None), None)
        self.log = InvalidationLog()
        self._clock = clock
        self.on_pending: Callable[[GuardedTier], None] = lambda _: None
        """Called with a tier that has invalidations to retry."""
        self.on_invalidation: Callable[[Invalidation], None] = lambda _: None
        """Called with all that is about to be removed."""
        self._recent = RecentStores()
        self._protocols: set[str] = set()
        self._look = self.local.local.peek if self.local is not None and self.local.local is not None else None
        self._until_sample = _SAMPLE_EVERY

    # --- reading ------------------------------------------------------------------------------------------

    def get_from_memory(self, key: str) -> Hit | None:
        look, local = self._look, self.local
        if look is None or local is None:
            return None
        self._until_sample -= 1
        if not self._until_sample:
            return self._get_timed(key)
        try:
            hit = look(key)
        except Exception as error:  # third-party code
            local.note_failure(error)
            return None
        # Not `namespace_of`: this line runs on every hit, and one more call is a tenth of it.
        counters = local.counters[key.partition(":")[0]]
        if isinstance(hit, Hit):
            counters.hits += 1
            return hit
        counters.misses += 1
        return None

    async def read(self, keys: Iterable[str], *, skip_local: bool = False) -> dict[str, Hit]:
        """Each from the fastest tier that has it, one call per tier. What was found is put into the tiers above."""
        revision = self.log.revision()
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Hit] = {}
        for place, tier in enumerate(self.tiers):
            if not wanted:
                break
            if tier is self.local:
                if not skip_local:
                    found |= {key: hit for key in wanted if (hit := self.get_from_memory(key)) is not None}
            else:
                hits = self._check(tier, wanted, await tier.read(wanted) or {})
                found |= hits
                if hits and place:
                    await self._promote(hits, place, revision)
            wanted = [key for key in wanted if key not in found]
        return found

    async def refresh(self, keys: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
        """Put what is newer in the shared tiers into the local one.

        Returns the keys that a shared tier has, and those that could not be read, which are worth another try.
        """
        before = {key: self.look_local(key) for key in keys}
        failures = self._failures()
        found = await self.read(keys, skip_local=True)
        for key, hit in found.items():
            if (old := before.get(key)) is not None and old.stored_at != hit.stored_at:
                await self._drop_wire(key)
        unread = frozenset(keys) - found.keys() if self._failures() != failures else frozenset[str]()
        return frozenset(found), unread

    def _failures(self) -> int:
        return sum(tier.errors + tier.skipped for tier in self.tiers if tier.local is None)

    async def share(self, keys: Sequence[str]) -> frozenset[str]:
        """Write into the shared tiers what the local one has and they lack, or have of an earlier time.

        Returns the keys that are settled: in every shared tier now, or not in the local one any more. The others
        could not be written, and are worth another try.
        """
        revision, now = self.log.revision(), self._clock()
        held = {key: hit for key in keys if (hit := self.look_local(key)) is not None and hit.expires_at > now}
        failed: set[str] = set()
        for tier in self.tiers:
            if tier.local is not None or not held:
                continue
            entries = await tier.read(list(held))
            if entries is None:
                failed |= held.keys()
                continue
            there = {key: unpack(key, entry, tier.label) for key, entry in entries.items()}
            lacking = {
                key: hit for key, hit in held.items() if not (old := there.get(key)) or old.stored_at < hit.stored_at
            }
            for key, hit in lacking.items():
                self._recent.add(key, hit.tags)
            if not await self.write(tier, {key: (hit, revision) for key, hit in lacking.items()}):
                failed |= lacking.keys()
        return frozenset(keys) - failed

    def look_local(self, key: str) -> Hit | None:
        return None if self.local is None else self.look(self.local, key)

    def look(self, tier: GuardedTier, key: str) -> Hit | None:
        """The entry in a tier of this process, without counting."""
        if tier.local is None:
            return None
        try:
            entry = tier.local.peek(key)
        except Exception as error:  # third-party code
            tier.note_failure(error)
            return None
        return entry if isinstance(entry, Hit) else None

    # --- storing ------------------------------------------------------------------------------------------

    async def store(
        self, key: str, value: bytes, life: Life, tags: tuple[str, ...], revision: int, *, defer: Defer | None = None
    ) -> bool:
        """Put it into every tier; False when it has expired or may not be stored any more.

        With `defer` the tiers outside this process are written in the background.
        """
        if self._protocols:
            await self._drop_wire(key)
        if life.expires_at <= self._clock() or self.log.has_invalidated(revision, key, tags):
            return False
        self._recent.add(key, tags)
        namespace = namespace_of(key)
        first = self.tiers[0] if self.tiers else None
        hit = hit_of(compact(value), "miss" if first is None else first.label, life, tags)
        for tier in self.tiers:
            tier.counters[namespace].stores += 1
            if tier is first and tier.local is not None:  # nothing was awaited since the check
                self._put(tier, key, hit)
            elif defer is None or tier.local is not None:
                await self.write(tier, {key: (hit, revision)})
            else:
                await defer(tier, key, hit, revision)
        return True

    def put_in_memory(self, key: str, value: bytes, like: Hit) -> None:
        """Into the tier of this process alone, with the life and tags of `like`.

        Under a wire key it is stored only while the entry it was made from is still there, in the same state: an
        invalidation in between has removed that one already and would not find this one.
        """
        if self.local is None or like.expires_at <= self._clock():
            return
        origin = wire_origin(key)
        if origin is not None:
            # An invalidation since `like` was read has removed the entry that these bytes were made from already.
            held = self.look(self.local, origin)
            if held is None or held.stored_at != like.stored_at:
                return
            self._protocols.add(key.split(":", 2)[1])
        elif self.log.has_invalidated(self.log.revision(), key, like.tags):
            return
        self._put(self.local, key, to_memory_hit(replace(like, value=value), self.local.label))

    def touch(self, key: str) -> bool:
        """Let an entry begin its time in the tier of this process again; False when it is not there."""
        held = self.look_local(key)
        if held is None or self.local is None:
            return False
        self._put(self.local, key, held)
        return True

    # --- removing -----------------------------------------------------------------------------------------

    async def remove(self, what: Invalidation) -> int:
        """Everywhere; how many entries the tier that had most of them removed."""
        with self._invalidating(what):
            return max([await self._remove_from(tier, what) for tier in self.tiers], default=0)

    async def on_remote_invalidation(self, what: Invalidation) -> None:
        """Another process has removed this from the tiers that are shared."""
        with self._invalidating(what):
            late = self._recent.hit_by(what)
            for tier in self.tiers:
                if tier.local is not None:
                    await self._remove_from(tier, what)
                elif late:
                    await self._delete(tier, late)

    async def flush_local(self) -> None:
        """Empty the tiers in this process, because messages may have been lost."""
        with self._invalidating(EVERYTHING):
            for tier in self.tiers:
                if tier.local is not None:
                    await self._remove_from(tier, EVERYTHING)

    @contextmanager
    def _invalidating(self, what: Invalidation) -> Iterator[None]:
        self.log.begin(what)
        self.on_invalidation(what)
        try:
            yield
        finally:
            self.log.end(what)

    # --- inside -------------------------------------------------------------------------------------------

    def _get_timed(self, key: str) -> Hit | None:
        self._until_sample = _SAMPLE_EVERY + 1
        started = perf_counter()
        hit = self.get_from_memory(key)
        if self.local is not None:
            self.local.times.add(perf_counter() - started)
        return hit

    def _check(self, tier: GuardedTier, keys: Iterable[str], entries: Mapping[str, CacheEntry]) -> dict[str, Hit]:
        now = self._clock()
        hits: dict[str, Hit] = {}
        for key in keys:
            counters = tier.counters[namespace_of(key)]
            entry = entries.get(key)
            hit = entry if entry is None or isinstance(entry, Hit) else unpack(key, entry, tier.label)
            if entry is not None and hit is None:
                counters.damaged += 1
            if hit is None or hit.expires_at <= now or hit.stored_at > now + _CLOCK_SECONDS:
                counters.misses += 1
            else:
                counters.hits += 1
                hits[key] = hit
        return hits

    async def _promote(self, hits: Mapping[str, Hit], below: int, revision: int) -> None:
        for tier in self.tiers[:below]:
            chosen = {key: hit for key, hit in hits.items() if policy.newer(hit, self.look(tier, key))}
            for key in chosen:
                tier.counters[namespace_of(key)].promotions += 1
            await self.write(tier, {key: (hit, revision) for key, hit in chosen.items()})

    async def write(self, tier: GuardedTier, writes: Writes) -> bool:
        """Put entries into one tier, in one call; False when a tier outside this process failed."""
        hits = self._drop_invalidated(writes)
        if tier.local is not None:
            for key, hit in hits.items():
                self._put(tier, key, to_memory_hit(hit, tier.label))
        elif hits:
            before = self.log.revision()
            written = await tier.write({key: pack(key, hit) for key, hit in hits.items()})
            if self.log.has_news(before) and (outdated := hits.keys() - self._drop_invalidated(writes).keys()):
                await self._delete(tier, outdated)  # an invalidation overtook the write
            return written
        return True

    def _drop_invalidated(self, writes: Writes) -> dict[str, Hit]:
        touched = self.log.has_invalidated
        return {key: hit for key, (hit, revision) in writes.items() if not touched(revision, key, hit.tags)}

    def _put(self, tier: GuardedTier, key: str, hit: Hit) -> None:
        if tier.local is None:
            return
        try:
            tier.local.put(key, hit)
        except Exception as error:  # third-party code
            tier.note_failure(error)

    async def _drop_wire(self, key: str) -> None:
        """The bytes made from an older value of `key`."""
        if self.local is None or key.startswith(f"{WIRE}:"):
            return
        wires = {wire_key(key, protocol) for protocol in self._protocols}
        if held := {wire for wire in wires if self.look_local(wire) is not None}:
            await self._delete(self.local, held)

    async def _delete(self, tier: GuardedTier, keys: set[str]) -> None:
        await self._remove_from(tier, Invalidation(keys=frozenset(keys)))

    async def _remove_from(self, tier: GuardedTier, what: Invalidation) -> int:
        removed = await tier.remove(what)
        if tier is self.local and what.keys:
            wires = [wire_key(key, protocol) for key in what.keys for protocol in self._protocols]
            await tier.remove(Invalidation(keys=frozenset(wires)))
        if tier.pending_invalidations:
            self.on_pending(tier)
        return removed
