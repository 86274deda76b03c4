"""One replica makes what all of them miss: it holds a lease in a shared tier, the others wait for its result."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from tilores_core.cache.guard import FAILED, GuardedTier
from tilores_core.cache.values import Hit
from tilores_core.contracts import SupportsLease
from tilores_core.errors import CacheError, TiloresError
from tilores_core.resilience import LeaseBackend, acquire_lease

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.1


class TierLeases:
    """Leases in a cache tier that processes share. They have no fences."""

    def __init__(self, tier: GuardedTier, leases: SupportsLease) -> None:
        self._tier = tier
        self._leases = leases

    async def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        return 0 if await self._acquire(name, holder, seconds) else None

    async def renew(self, name: str, holder: str, fence: int, seconds: float) -> bool:
        return await self._acquire(name, holder, seconds)

    async def release(self, name: str, holder: str, fence: int) -> bool:
        return await self._tier.call(lambda: self._leases.release(name, holder)) is not FAILED

    async def _acquire(self, name: str, holder: str, seconds: float) -> bool:
        acquired = await self._tier.call(lambda: self._leases.acquire(name, holder, seconds))
        if acquired is FAILED:
            raise CacheError(f"the cache tier {self._tier.name!r} cannot be reached", fix="start it, or wait")
        return acquired is True


@asynccontextmanager
async def wait_for_replica(
    backend: LeaseBackend, key: str, seconds: float, look: Callable[[], Awaitable[Hit | None]]
) -> AsyncIterator[Hit | None]:
    """Wait until `look` finds what another replica made, or until this one should make it (None).

    The lease is held while the block runs. Where none is to be had, because the tier is down, the block makes it
    all the same. `seconds`: what a holder that died costs.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            lease = await acquire_lease(backend, key, seconds=seconds)
        except TiloresError:
            yield None
            return
        if lease is not None:
            async with lease:
                # The former holder may have stored its value between our last look and the lease.
                yield await look()
            return
        hit = await look()
        if hit is not None:
            yield hit
            return
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - spreads the waiters, no secret
        pause = min(pause * 1.5, _LONGEST_PAUSE)
