"""Requests that were decoded a moment ago, by the very bytes they came in.

Who asks the same again mostly sends the same bytes; checking them field by field again would cost a fifth of a cached
answer. Whatever differs, a space or a run id, is decoded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

T = TypeVar("T")

_MOST = 512
_LONGEST_BODY = 16 * 1024  # so that all together are at most 8 MiB


class DecodeCache(Generic[T]):
    """Decoded requests, least recently used out first. Whoever gets one must not change it.

    `decode` depends on the body and on the header values given with it, and on nothing else that changes.
    """

    def __init__(self) -> None:
        self._kept: LRUCache[tuple[bytes | None, ...], T] = LRUCache(_MOST)

    def get(self, body: bytes, headers: tuple[bytes | None, ...], decode: Callable[[], T]) -> T:
        """The decoded request. Raises what `decode` raises, which is not remembered."""
        if len(body) > _LONGEST_BODY:
            return decode()
        key = (body, *headers)
        try:
            return self._kept[key]
        except KeyError:
            decoded = self._kept[key] = decode()
            return decoded
