"""Ends the process when a step that cannot be interrupted does not end: an import, a factory, a file system."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer


@contextmanager
def ends_within(seconds: float, last_words: Callable[[], None]) -> Iterator[None]:
    """Unless the block ends in time, say the last words and leave with exit code 1, without any clearing up."""

    def give_up() -> None:
        try:
            last_words()
        finally:
            os._exit(1)

    timer = Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
