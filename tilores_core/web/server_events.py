"""Server-sent events of the administration: how they are written, and how many may follow them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from tilores_core.errors import OverloadedError

STILL_THERE: Final = b": still there\n\n"
"""A comment that keeps a quiet connection open."""
STILL_THERE_SECONDS: Final = 15.0
_MOST_FOLLOWERS: Final = 64


def encode_event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


class Followers:
    """How many follow now. `what`: for the error, such as `batches`; `instead`: what to ask for instead."""

    def __init__(self, what: str, instead: str) -> None:
        self._what = what
        self._instead = instead
        self._count = 0

    def check(self) -> None:
        """Raises `OverloadedError` when there are as many as there may be."""
        if self._count >= _MOST_FOLLOWERS:
            raise OverloadedError(f"{_MOST_FOLLOWERS} follow {self._what} already", fix=self._instead)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count one while the block runs."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
