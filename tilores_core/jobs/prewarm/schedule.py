"""When a list's turn comes, and which replica follows the schedule: the one that holds a lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any, Final

import structlog

from tilores_core.cache.tiered import TieredCache
from tilores_core.errors import ConfigError, TiloresError
from tilores_core.jobs.prewarm.plan import WarmList
from tilores_core.resilience import LeaseBackend, acquire_lease
from tilores_core.store.lazy import LazyStore

Run = Callable[[WarmList], Awaitable[Any]]


def check_schedule() -> None:
    """Raises `ConfigError` where the library for schedules is not installed."""
    if find_spec("apscheduler") is None:
        raise ConfigError("a schedule needs APScheduler", fix="pip install 'tilores-core[prewarm]'")


async def follow(lists: Sequence[tuple[WarmList, float]], run: Run, *, at_once: bool) -> None:
    """Run each list every so many seconds, until cancelled; the first time now, or when its time has passed once.

    A round that lasts longer than its interval is not begun a second time beside itself.
    """
    check_schedule()
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]  # it has no types
    from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

    scheduler = AsyncIOScheduler(timezone=UTC)
    now = datetime.now(UTC)
    for one, seconds in lists:
        scheduler.add_job(
            run,
            IntervalTrigger(seconds=max(1, round(seconds)), timezone=UTC),
            args=(one,),
            id=one.name,
            next_run_time=now if at_once else now + timedelta(seconds=seconds),
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
    scheduler.start()
    try:
        await asyncio.Event().wait()
    finally:
        scheduler.shutdown(wait=False)


log = structlog.get_logger(part="prewarm")

LEASE: Final = "prewarm"
LEASE_SECONDS: Final = 30.0

Leases = Callable[[], Awaitable[LeaseBackend]]
"""Where the lease is. Raises `TiloresError` when that cannot be reached."""


async def lead(
    leases: Leases,
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    seconds: float = LEASE_SECONDS,
    pause: float | None = None,
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
                    await lease.run(work())
        except TiloresError as error:
            if not failing:
                log.warning("prewarm.election_unavailable", error=error.message)
            failing = True
        await asyncio.sleep(seconds / 2 if pause is None else pause)


def choose_leases(database_url: object | None, cache: TieredCache, store: LazyStore) -> Leases:
    """The database where one is given, else a tier that processes share, else this machine's database."""
    shared = cache.leases if database_url is None else None

    async def leases() -> LeaseBackend:
        return (await store.get()).leases if shared is None else shared

    return leases
