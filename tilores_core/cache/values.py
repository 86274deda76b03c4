"""What the tiering hands out and takes in, and how an entry's life is written in front of its bytes.

A tier keeps bytes, an end of life and tags. The tiering also needs to know when a value was made and until when it
is fresh. The tier in this process simply keeps the `Hit` itself. For the others it goes in a header of 21 bytes,
with a checksum over key and value, so that a damaged entry, or one returned under another key, is a miss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from tilores_core.cache.policy import Life
from tilores_core.contracts import CacheEntry

_HEADER = Struct(">BIdd")  # format, checksum, stored_at, fresh_until
_FORMAT = 1

HEADER_BYTES = _HEADER.size


# An entry itself, so that the tier in this process can keep it and a hit there makes no object and copies no bytes.
class Hit(CacheEntry, frozen=True, kw_only=True, gc=False):
    """An entry that was found, with `value`, `expires_at` and `tags`. Times in seconds since the epoch.

    `tier` is `l1`, `l2`, …, or `miss` when it was made just now. Fresh until `fresh_until`, then stale, but still to
    be had until `expires_at`.
    """

    tier: str
    stored_at: float
    fresh_until: float

    def age(self, now: float) -> float:
        """Seconds since it was made; never negative, though clocks of two machines may differ."""
        return max(0.0, now - self.stored_at)

    def stale(self, now: float) -> bool:
        return now >= self.fresh_until


@dataclass(frozen=True, slots=True)
class MakerResult:
    """What a maker returns. `tags`: what it can be invalidated by.

    `negative`: it says that there is nothing, and is kept only briefly. `ttl` replaces the caller's, in seconds.
    `store=False`: give it to all who wait for it, but do not keep it.
    """

    value: bytes
    tags: Sequence[str] = ()
    negative: bool = False
    ttl: float | None = None
    store: bool = True


def hit_of(value: bytes, tier: str, life: Life, tags: tuple[str, ...]) -> Hit:
    return Hit(
        value=value,
        expires_at=life.expires_at,
        tags=tags,
        tier=tier,
        stored_at=life.stored_at,
        fresh_until=life.fresh_until,
    )


def compact(value: bytes) -> bytes:
    """A copy as a tier in this process keeps it, through a memoryview, since bytes(value) would hand back the same
    object: what orjson returns may hold far more memory than its length says."""
    return bytes(memoryview(value))


def to_memory_hit(hit: Hit, tier: str) -> Hit:
    """Return `hit` as the tier in this process keeps it."""
    return hit_of(compact(hit.value), tier, Life(hit.stored_at, hit.fresh_until, hit.expires_at), hit.tags)


def pack(key: str, hit: Hit) -> CacheEntry:
    """The entry for a tier outside this process."""
    header = _HEADER.pack(_FORMAT, crc32(hit.value, crc32(key.encode())), hit.stored_at, hit.fresh_until)
    return CacheEntry(header + hit.value, hit.expires_at, hit.tags)


def unpack(key: str, entry: CacheEntry, tier: str) -> Hit | None:
    """The hit in an entry from outside; None when damaged, of another format, or stored under another key."""
    data = entry.value
    if len(data) < HEADER_BYTES:
        return None
    form, checksum, stored_at, fresh_until = _HEADER.unpack_from(data)
    value = data[HEADER_BYTES:]
    if form != _FORMAT or checksum != crc32(value, crc32(key.encode())):
        return None
    return hit_of(value, tier, Life(stored_at, fresh_until, entry.expires_at), tuple(entry.tags))
