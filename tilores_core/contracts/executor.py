"""What an executor plugin hands over beside `concurrent.futures.Executor`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class SupportsThreads(Protocol):
    """An executor whose work runs in threads of this process, each with one line of a batch at a time."""

    def thread_count(self) -> int:
        """How many threads there are at most."""
