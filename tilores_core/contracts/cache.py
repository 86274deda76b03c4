"""Cache tiers: `CacheEntry`, `TierStats`, and the `CacheTier` role with its optional abilities."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct


class CacheEntry(Struct, frozen=True, gc=False):  # gc: it holds nothing that could hold it
    """Bytes with an expiry (seconds since the epoch) and the tags they can be deleted by."""

    value: bytes
    expires_at: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TierStats:
    """A tier's own statistics. Counters since it was built; `entries` and `bytes` now, None where unknown."""

    entries: int | None = None
    bytes: int | None = None
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    expirations: int = 0
    errors: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)


class CacheTier(Protocol):
    """One tier. Keys are ASCII, `namespace:…`, at most 200 characters. Safe for concurrent use.

    A tier never returns an expired entry, and returns bytes, expiry and tags as they were given. Failures
    raise `CacheError`; the cache counts them and continues with the other tiers.
    """

    async def get_many(self, keys: Sequence[str]) -> Mapping[str, CacheEntry]:
        """The entries of `keys`; keys without one are left out."""

    async def set_many(self, entries: Mapping[str, CacheEntry]) -> None:
        """Store, replacing. An entry already expired, or larger than the tier takes, is dropped."""

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove entries; returns how many there were."""

    async def delete_tag(self, tag: str) -> int:
        """Remove all entries that carry the tag; returns how many there were."""

    async def clear(self, namespace: str | None = None) -> int:
        """Remove a namespace (all keys that begin with `namespace:`), or everything of this application."""

    async def stats(self) -> TierStats: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class SupportsPeek(Protocol):
    """A tier in this process: it answers at once, without I/O and without waiting.

    `peek` returns the very object that `put` was given: the cache stores subclasses of `CacheEntry`.
    """

    def peek(self, key: str) -> CacheEntry | None: ...

    def put(self, key: str, entry: CacheEntry) -> None: ...


@runtime_checkable
class SupportsLease(Protocol):
    """A tier that several processes share and that grants exclusive rights for a time."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """True when `holder` has the lease now (also when it had it already: it is renewed)."""

    async def release(self, name: str, holder: str) -> None: ...


@runtime_checkable
class SupportsTagKeys(Protocol):
    """A tier that lists the keys under a tag, so that a forgotten customer's entries are counted by namespace."""

    async def tag_keys(self, tag: str) -> Sequence[str]:
        """The keys of the entries that carry the tag, expired ones left out."""


@runtime_checkable
class SupportsBroadcast(Protocol):
    """A tier that sends messages to the other processes, for example about removed entries."""

    async def publish(self, message: bytes) -> None: ...

    def messages(self) -> AsyncIterator[bytes | None]:
        """Messages of the other processes; None means that some may have been lost: trust nothing local."""
