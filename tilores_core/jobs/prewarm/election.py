"""Which replica runs the schedule: the one that holds a lease, for as long as it holds it.

The lease is in the database where one is shared (DATABASE_URL), else in a cache tier that processes share, else in
the SQLite file of this machine, which its workers share. Two replicas that share none of these both run it:
everything is then warmed twice, which costs, and does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol

import structlog

from tilores_core.contracts import CacheTier, SupportsLease
from tilores_core.errors import TiloresError
from tilores_core.store.lazy import LazyStore

log = structlog.get_logger(part="prewarm")

LEASE: Final = "prewarm"
LEASE_SECONDS: Final = 30.0


def holder_name() -> str:
    """Another one for every process and every start."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


class Election(Protocol):
    def term(self) -> AbstractAsyncContextManager[asyncio.Event | None]:
        """The lease for as long as the block runs; None when somebody else has it. The event is set when it is lost.

        Raises `TiloresError` when it cannot be known.
        """
        ...


class StoreElection:
    """By a lease in the database."""

    def __init__(self, store: LazyStore, *, seconds: float = LEASE_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._holder = holder_name()

    @asynccontextmanager
    async def term(self) -> AsyncIterator[asyncio.Event | None]:
        store = await self._store.get()
        from tilores_core.store.hold import hold  # it imports SQLAlchemy, which has just been paid for

        async with hold(store.leases, LEASE, self._holder, self._seconds) as held:
            yield None if held is None else held.lost


class TierElection:
    """By a lease in a cache tier that processes share."""

    def __init__(self, tier: SupportsLease, *, seconds: float = LEASE_SECONDS) -> None:
        self._tier = tier
        self._seconds = seconds
        self._holder = holder_name()

    @asynccontextmanager
    async def term(self) -> AsyncIterator[asyncio.Event | None]:
        if not await self._acquire():
            yield None
            return
        lost = asyncio.Event()
        renewing = asyncio.create_task(self._renew(lost))
        try:
            yield lost
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            if not lost.is_set():
                with contextlib.suppress(TiloresError, TimeoutError):  # then it runs out by itself
                    async with asyncio.timeout(self._seconds / 3):
                        await self._tier.release(LEASE, self._holder)

    async def _acquire(self) -> bool:
        try:
            async with asyncio.timeout(self._seconds / 3):
                return await self._tier.acquire(LEASE, self._holder, self._seconds)
        except TimeoutError:
            return False

    async def _renew(self, lost: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                held = await self._acquire()
            except TiloresError:
                held = False  # who cannot reach the tier cannot warm it either
            if not held:
                lost.set()
                return


async def lead(election: Election, work: Callable[[], Awaitable[None]], *, pause: float = LEASE_SECONDS / 2) -> None:
    """Do the work whenever this replica is the one, and cancel it when it is no longer. Never ends by itself.

    `pause`: seconds between two tries to become it.
    """
    failing = False
    while True:
        try:
            async with election.term() as lost:
                failing = False
                if lost is not None:
                    await _until(work, lost)
        except TiloresError as error:
            if not failing:
                log.warning("nobody can say who runs the schedule; it waits", error=error.message)
            failing = True
        await asyncio.sleep(pause)


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


def choose_election(database_url: object | None, tiers: Iterable[CacheTier], store: LazyStore) -> Election:
    """By the database where one is given, else by a tier that processes share, else by this machine's database."""
    if database_url is None:
        for tier in tiers:
            if isinstance(tier, SupportsLease):
                return TierElection(tier)
    return StoreElection(store)
