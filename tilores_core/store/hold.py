"""Hold a lease for as long as a block runs, and hear when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tilores_core.errors import StoreError
from tilores_core.store.leases import Lease, Leases

_RENEWALS = 3
"""How often a lease is renewed in the time that it has."""


class Held:
    """`lost` is set when the lease is over, or may be: the database was not heard of for as long as it has."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.lost = asyncio.Event()

    @property
    def fence(self) -> int:
        return self.lease.fence


@asynccontextmanager
async def hold(leases: Leases, name: str, holder: str, seconds: float) -> AsyncIterator[Held | None]:
    """The lease, renewed until the block ends; None when somebody else has it. Raises `StoreError`."""
    asked = time.monotonic()
    lease = await leases.acquire(name, holder, seconds)
    if lease is None:
        yield None
        return
    held = Held(lease)
    renewing = asyncio.create_task(_renew(leases, held, seconds, asked))
    try:
        yield held
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        if not held.lost.is_set():
            with contextlib.suppress(StoreError):  # then it runs out by itself
                await leases.release(held.lease)


async def _renew(leases: Leases, held: Held, seconds: float, asked: float) -> None:
    """`asked`: before the request was sent, so that this clock never promises more than the database's gives."""
    while True:
        await asyncio.sleep(seconds / _RENEWALS)
        sent, left = time.monotonic(), asked + seconds - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                lease = await leases.renew(held.lease, seconds)
        except TimeoutError:
            lease = None
        except StoreError:
            if time.monotonic() < asked + seconds:
                continue
            lease = None
        if lease is None:
            held.lost.set()
            return
        held.lease, asked = lease, sent
