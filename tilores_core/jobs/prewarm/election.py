"""Which replica runs the schedule: the one that holds a lease, for as long as it holds it.

The lease is in the database where one is shared (DATABASE_URL), else in a cache tier that processes share, else in
the SQLite file of this machine, which its workers share. Two replicas that share none of these both run it:
everything is then warmed twice, which costs, and does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.errors import TiloresError
from tilores_core.resilience import LeaseBackend, acquire_lease
from tilores_core.store.lazy import LazyStore

log = structlog.get_logger(part="prewarm")

LEASE: Final = "prewarm"
LEASE_SECONDS: Final = 30.0

Leases = Callable[[], Awaitable[LeaseBackend]]
"""Where the lease is. Raises `TiloresError` when that cannot be reached."""


async def lead(
    leases: Leases, work: Callable[[], Awaitable[None]], *, seconds: float = LEASE_SECONDS, pause: float | None = None
) -> None:
    """Do the work while this replica holds the lease, and cancel it when the lease is lost. Never ends by itself.

    `seconds`: how long the lease outlives a holder that died. `pause`: seconds between two tries to get it.
    """
    failing = False
    while True:
        try:
            lease = await acquire_lease(await leases(), LEASE, seconds=seconds)
            failing = False
            if lease is not None:
                async with lease:
                    await _until(work, lease.lost)
        except TiloresError as error:
            if not failing:
                log.warning("prewarm.election_unavailable", error=error.message)
            failing = True
        await asyncio.sleep(seconds / 2 if pause is None else pause)


async def _until(work: Callable[[], Awaitable[None]], lost: asyncio.Event) -> None:
    working = asyncio.ensure_future(work())
    watching = asyncio.create_task(lost.wait())
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def choose_leases(database_url: object | None, cache: TieredCache, store: LazyStore) -> Leases:
    """The database where one is given, else a tier that processes share, else this machine's database."""
    shared = cache.leases if database_url is None else None

    async def leases() -> LeaseBackend:
        return (await store.get()).leases if shared is None else shared

    return leases
