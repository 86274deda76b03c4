"""The counters of rate limits, which the processes of a server share."""

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

from limits.storage import Storage
from limits.storage.base import SlidingWindowCounterSupport

_COUNTER: Final = struct.Struct("<16sQII")  # digest of the key, number of the window, count in it, count in the last
_PER_BUCKET: Final = 8
_BUCKETS: Final = 512
_BYTES: Final = _COUNTER.size * _PER_BUCKET * _BUCKETS


class SharedCounters(Storage, SlidingWindowCounterSupport):
    """A storage for `limits` in a fixed piece of memory: in a file of `folder`, which processes share, or in this
    process alone. When it is full, the counter that was used longest ago makes room."""

    STORAGE_SCHEME = None

    def __init__(self, name: str, folder: Path | None) -> None:
        super().__init__()
        self._file: int | None = None
        if folder is None:
            self._memory = mmap.mmap(-1, _BYTES)
            return
        self._file = os.open(folder / f"{name}.counters", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _BYTES)
        self._memory = mmap.mmap(self._file, _BYTES)

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        with self._locked():
            at, digest, window, count, last, left = self._find(key, expiry)
            if last * left + count + amount > limit:
                return False
            _COUNTER.pack_into(self._memory, at, digest, window, count + amount, last)
            return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        _, _, _, count, last, left = self._find(key, expiry)
        return last, expiry * left, count, expiry * (1 + left)

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self.clear(key)

    def _find(self, key: str, expiry: int) -> tuple[int, bytes, int, int, int, float]:
        """Place, digest, window, count, the last window's count, and the share of the window that is left."""
        window, passed = divmod(time(), expiry)
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
        return at, digest, int(window), count, last, 1 - passed / expiry

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    # --- what the other strategies of `limits` need ---------------------------------------------------------

    @property
    def base_exceptions(self) -> type[Exception]:
        return OSError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        self._memory[:] = bytes(_BYTES)
        return None

    def clear(self, key: str) -> None:
        raise NotImplementedError
