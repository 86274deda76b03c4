"""When a list's turn comes: APScheduler calls, and the list goes round."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

from tilores_core.errors import ConfigError
from tilores_core.jobs.prewarm.plan import WarmList

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
