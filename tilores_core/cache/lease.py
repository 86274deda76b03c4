"""Single-flight across processes: who holds a lease does the work, the others wait for what it stores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tilores_core.cache.guard import FAILED, GuardedTier
from tilores_core.cache.values import Hit
from tilores_core.contracts import SupportsLease

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.1


@dataclass(frozen=True, slots=True)
class Lease:
    """`hit`: another process has made it, nothing is left to do. `held`: this caller is the one who makes it.

    Neither: no lease is to be had (switched off, or the tier is down); make it, perhaps together with others.
    """

    held: bool = False
    hit: Hit | None = None


class Leases:
    """Leases of one process in one tier. `name` tells this process from the others."""

    def __init__(self, tier: GuardedTier, leases: SupportsLease, *, name: str) -> None:
        self._tier = tier
        self._leases = leases
        self._name = name
        self._count = 0

    @asynccontextmanager
    async def hold(self, key: str, seconds: float, look: Callable[[], Awaitable[Hit | None]]) -> AsyncIterator[Lease]:
        """Wait until `look` finds what another process made, or until the lease is ours or not to be had.

        The lease is renewed while the work lasts, so that `seconds` is what a dead holder costs, not a limit.
        """
        self._count += 1
        holder = f"{self._name}:{self._count}"
        pause = _FIRST_PAUSE
        while True:
            held = await self._acquire(key, holder, seconds)
            if held is None:
                yield Lease()
                return
            if held:
                break
            hit = await look()
            if hit is not None:
                yield Lease(hit=hit)
                return
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - spreads the waiters, no secret
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        keeper = asyncio.create_task(self._keep(key, holder, seconds))
        try:
            # The former holder may have stored its value between our last look and our getting the lease.
            hit = await look()
            yield Lease(held=hit is None, hit=hit)
        finally:
            keeper.cancel()
            await self._tier.call(lambda: self._leases.release(key, holder))

    async def _acquire(self, key: str, holder: str, seconds: float) -> bool | None:
        answer = await self._tier.call(lambda: self._leases.acquire(key, holder, seconds))
        return None if answer is FAILED else answer is True

    async def _keep(self, key: str, holder: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            await self._acquire(key, holder, seconds)
