"""Rate limits that hold over all processes of a server.

`limits` has the same algorithm, but no storage that processes of one machine share without a server.
"""

from __future__ import annotations

import fcntl
import ipaddress
import mmap
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from time import time
from typing import Any, Final

from tilores_core.errors import RateLimitedError

_MOST_KNOWN_PEERS: Final = 10_000


class RateLimit:
    """So many requests in a time for each key, such as `600/minute`: the notation of `limits`.

    `name`: of the file of counters in `folder`, which all processes of the server share; None for one process.
    """

    def __init__(self, limit: str, name: str, folder: Path | None) -> None:
        from limits import parse  # costs a start 50 ms, and few need it at once

        self._item = parse(limit)
        self._limit = (self._item.amount, self._item.get_expiry())
        self._counters = SharedCounters(name, folder)

    def hit(self, key: str) -> bool:
        """Count a request. False, and not counted, when it is one too many."""
        return self._counters.hit(key, *self._limit)

    def is_used_up(self, key: str) -> bool:
        return self._counters.wait(key, *self._limit) > 0

    def error(self, key: str, what: str, fix: str | None = None) -> RateLimitedError:
        """What to raise for one too many; `what` is counted."""
        wait = self._counters.wait(key, *self._limit)
        return RateLimitedError(f"more than {self._item} {what}", retry_after=max(1.0, wait), fix=fix)


class FailedAuthentication:
    """The limit of failed authentication for each peer, which is the address of its socket: no header can change it.

    A peer that has used it up is refused before its key is looked at, so that guessing is slowed down; except with a
    key that it has used before, so that one client of a proxy cannot lock out the others.
    """

    def __init__(self, limit: str, folder: Path | None) -> None:
        self._text = limit
        self._folder = folder
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    @cached_property
    def _limit(self) -> RateLimit:
        return RateLimit(self._text, "failed-authentication", self._folder)

    def is_known(self, peer: str, name: str) -> bool:
        """Whether the peer has used the key of this name since the process started."""
        return (peer, name) in self._known

    def check(self, peer: str) -> None:
        """Raise `RateLimitedError` for a peer that has used up its limit."""
        network = _network(peer)
        if self._limit.is_used_up(network):
            raise self._limit.error(
                network,
                "without the right key from this address",
                "send the right key, after the time in Retry-After",
            )

    def record_failure(self, peer: str) -> None:
        self._limit.hit(_network(peer))

    def record_success(self, peer: str, name: str) -> None:
        self._known[peer, name] = None
        if len(self._known) > _MOST_KNOWN_PEERS:
            self._known.popitem(last=False)


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address at the other end of the connection; empty for a Unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def _network(peer: str) -> str:
    """The address, or of IPv6 the network of 64 bits, all of which one client has."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else peer


# --- counters that processes share -----------------------------------------------------------------------------

_COUNTER: Final = struct.Struct("<16sQII")  # digest of the key, number of the window, count in it, count in the last
_PER_BUCKET: Final = 8
_BUCKETS: Final = 512
_BYTES: Final = _COUNTER.size * _PER_BUCKET * _BUCKETS


class SharedCounters:
    """Sliding-window counters in a fixed piece of memory: in a file of `folder`, which processes share, or in this
    process alone. When it is full, the counter that was used longest ago makes room.

    The count of the last window is weighted by the share of it that the window of `seconds` before now still holds.
    """

    def __init__(self, name: str, folder: Path | None) -> None:
        self._file: int | None = None
        if folder is None:
            self._memory = mmap.mmap(-1, _BYTES)
            return
        self._file = os.open(folder / f"{name}.counters", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _BYTES)
        self._memory = mmap.mmap(self._file, _BYTES)

    def hit(self, key: str, limit: int, seconds: int) -> bool:
        """Count one more. False, and not counted, when it would be more than `limit` within `seconds`."""
        with self._lock():
            at, digest, window, count, last, left = self._find(key, seconds)
            if last * left + count + 1 > limit:
                return False
            _COUNTER.pack_into(self._memory, at, digest, window, count + 1, last)
            return True

    def wait(self, key: str, limit: int, seconds: int) -> float:
        """Seconds until one more would be counted; 0 when it would be now."""
        _, _, _, count, last, left = self._find(key, seconds)
        if last * left + count + 1 <= limit:
            return 0.0
        if count < limit:  # until the last window weighs less
            return seconds * (left - (limit - count - 1) / last)
        return seconds * (left + 1 - (limit - 1) / count)

    def _find(self, key: str, seconds: int) -> tuple[int, bytes, int, int, int, float]:
        """Place, digest, window, count, the last window's count, and the share of the window that is left."""
        window, passed = divmod(time(), seconds)
        digest = blake2b(key.encode(), digest_size=16).digest()
        bucket = int.from_bytes(digest[:4], "little") % _BUCKETS
        begin = bucket * _PER_BUCKET * _COUNTER.size
        places = range(begin, begin + _PER_BUCKET * _COUNTER.size, _COUNTER.size)
        counters = {at: _COUNTER.unpack_from(self._memory, at) for at in places}
        at = next((at for at, counter in counters.items() if counter[0] == digest), None)
        count = last = 0
        if at is None:
            at = min(counters, key=lambda place: counters[place][1])
        elif (age := int(window) - counters[at][1]) == 0:
            count, last = counters[at][2:]
        elif age == 1:
            last = counters[at][2]
        return at, digest, int(window), count, last, 1 - passed / seconds

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
