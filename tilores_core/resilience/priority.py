"""The priority of a call and the time that it has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tilores_core.contracts import Purpose


class Priority:
    """The priority of a call: live, or background work for the `purpose` it was started for.

    Background work is promoted to live, once, when a live request joins it. Queues that hold it learn of that
    through callbacks.
    """

    __slots__ = ("_callbacks", "purpose")

    def __init__(self, purpose: Purpose) -> None:
        self.purpose: Purpose = purpose
        self._callbacks: dict[Callable[[], None], None] = {}

    @property
    def live(self) -> bool:
        return self.purpose == "live"

    def promote(self) -> None:
        """Make it live and run the callbacks."""
        if self.live:
            return
        self.purpose = "live"
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks:
            callback()

    def on_promote(self, callback: Callable[[], None]) -> None:
        """Call `callback` on promotion, unless it is removed before."""
        self._callbacks[callback] = None

    def remove_callback(self, callback: Callable[[], None]) -> None:
        self._callbacks.pop(callback, None)


@dataclass(slots=True)
class Budget:
    """The time and the priority of a call. `until`: its deadline on `time.monotonic()`."""

    until: float
    priority: Priority = field(default_factory=lambda: Priority("live"), compare=False)

    def extend(self, other: Budget) -> None:
        """Grow to the later of the two deadlines, and to live priority when the other is live."""
        self.until = max(self.until, other.until)
        if other.priority.live:
            self.priority.promote()

    def remaining(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.until - time.monotonic())
