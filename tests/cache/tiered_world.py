"""What the tests of the tiered cache are made of."""

from __future__ import annotations

from collections.abc import Callable

from tilores_core.cache.tiered import TieredCache
from tilores_core.testing.waiting import Clock
from tilores_plugins.cache.memory import MemoryTier

Build = Callable[..., TieredCache]


def memory(clock: Clock) -> MemoryTier:
    return MemoryTier(clock=clock)
