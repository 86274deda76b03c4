"""What the tests of the tiered cache are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tilores_core.cache.tiered import TieredCache
from tilores_plugins.cache.memory import MemoryTier

Build = Callable[..., TieredCache]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def memory(clock: Clock) -> MemoryTier:
    return MemoryTier(clock=clock)


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
