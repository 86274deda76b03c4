"""Counters of rate limits, which the processes of a server share.

`limits` has the same algorithm, but no storage that processes of one machine share without a server.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from time import time
from typing import Final

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
