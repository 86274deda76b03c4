"""Time in tests: a clock that the test sets, and waiting for a condition where others would sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

# Long, because a condition that is going to be true costs no more than it takes, on a slow machine too.
PATIENCE_SECONDS = 90.0
_LONGEST_PAUSE = 0.2


class Clock:
    """A clock that stands still until the test moves it; calling it gives the time.

    Args:
        now: seconds since the epoch at which it stands.
    """

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self.now += seconds


async def eventually(
    condition: Callable[[], Any],
    what: str | Callable[[], str] = "the condition",
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.005,
) -> Any:
    """Wait until a condition is true while other tasks run; its value.

    Args:
        condition: called again and again, and awaited where it returns something to await.
        what: what is waited for, for the error message; a function is called when the time is over.
        seconds: how long to wait at most.
        every: the first pause between two calls, in seconds; later ones are a tenth of the wait, 0.2 s at most.

    Raises:
        AssertionError: it did not become true in time.
    """
    begun = time.monotonic()
    while True:
        value = condition()
        found = await value if isawaitable(value) else value
        if found:
            return found
        await asyncio.sleep(_pause(begun, every, seconds, what))


def wait_until(
    condition: Callable[[], Any],
    what: str | Callable[[], str] = "the condition",
    seconds: float = PATIENCE_SECONDS,
    every: float = 0.01,
) -> Any:
    """Wait as `eventually` does, without an event loop."""
    begun = time.monotonic()
    while not (value := condition()):
        time.sleep(_pause(begun, every, seconds, what))
    return value


def _pause(begun: float, every: float, seconds: float, what: str | Callable[[], str]) -> float:
    """What looks again and again takes processor time from what it waits for, so it looks less and less often."""
    waited = time.monotonic() - begun
    assert waited < seconds, f"{what() if callable(what) else what}: not within {seconds:g} s"
    return max(every, min(_LONGEST_PAUSE, waited / 10))


async def settle(rounds: int = 50) -> None:
    """Let every task run that can run without waiting for the outside."""
    for _ in range(rounds):
        await asyncio.sleep(0)
