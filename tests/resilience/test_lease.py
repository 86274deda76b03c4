"""Leases are given back whatever happens to their holder."""

from __future__ import annotations

import asyncio

import pytest

from tilores_core.resilience import acquire_lease


class Backend:
    """One lease, in memory; each call takes a turn of the event loop after it has taken effect."""

    def __init__(self) -> None:
        self.holder: str | None = None

    async def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        granted = self.holder in (None, holder)
        if granted:
            self.holder = holder
        await asyncio.sleep(0)
        return 0 if granted else None

    async def renew(self, name: str, holder: str, fence: int, seconds: float) -> bool:
        return self.holder == holder

    async def release(self, name: str, holder: str, fence: int) -> bool:
        await asyncio.sleep(0)
        if self.holder == holder:
            self.holder = None
        return True


@pytest.mark.parametrize("steps", range(8))
async def test_lease_whose_holder_is_cancelled_at_any_step_is_released(steps: int) -> None:
    backend = Backend()

    async def hold() -> None:
        lease = await acquire_lease(backend, "name", seconds=30.0)
        assert lease is not None
        async with lease:
            await asyncio.sleep(0)

    task = asyncio.create_task(hold())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for _ in range(10):
        await asyncio.sleep(0)
    assert backend.holder is None
