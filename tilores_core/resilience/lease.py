"""Leases: the exclusive right to do something, among processes, for as long as it is renewed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, TypeVar

from tilores_core.errors import StoreError, TiloresError
from tilores_core.resilience.presence import machine, process_exists
from tilores_core.resilience.tasks import cancel_tasks

T = TypeVar("T")

_RENEWALS = 3
"""How often a lease is renewed in the time that it has."""


class LeaseBackend(Protocol):
    """Where leases are kept. Every method may raise `TiloresError` when that cannot be reached."""

    async def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """The fence of the new lease, or None while another holder has it.

        A fence rises with every acquisition of a name, so that what a former holder still writes can be refused;
        always 0 where the backend has no fences.
        """

    async def renew(self, name: str, holder: str, fence: int, seconds: float) -> bool:
        """Extend it to `seconds` from now; False when it is over, and then the work must stop."""

    async def release(self, name: str, holder: str, fence: int) -> bool:
        """Let others have it at once; False when it was over already."""


class Lease:
    """A lease that was acquired. `async with` renews it while the block runs, and releases it at the end.

    `lost` is set when the lease is over or may be, because the backend could not be reached for as long as it lasts.
    """

    def __init__(
        self, backend: LeaseBackend, name: str, holder: str, fence: int, seconds: float, until: float
    ) -> None:
        self.name = name
        self.holder = holder
        self.fence = fence
        self.lost = asyncio.Event()
        self._backend = backend
        self._seconds = seconds
        self._until = until
        self._renewing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Lease:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # In a task of its own: a holder that is cancelled on its way out would keep others waiting for the expiry.
        await asyncio.shield(asyncio.create_task(self._end()))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work, within the block; it is cancelled when the lease is over. Raises `StoreError` then."""
        working, losing = asyncio.create_task(work), asyncio.create_task(self.lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise StoreError(f"the lease '{self.name}' is over: another process goes on with it", fix=None)
            return await working
        finally:
            await cancel_tasks(working, losing)

    async def _end(self) -> None:
        await cancel_tasks(self._renewing)
        if not self.lost.is_set():
            with contextlib.suppress(TiloresError, TimeoutError):  # then it ends by itself
                async with asyncio.timeout(self._seconds / _RENEWALS):
                    await self._backend.release(self.name, self.holder, self.fence)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / _RENEWALS)
            sent = time.monotonic()  # before the request, so that the backend never ends it sooner than we think
            try:
                async with asyncio.timeout(max(self._until - sent, 0.0)):
                    renewed = await self._backend.renew(self.name, self.holder, self.fence, self._seconds)
            except TimeoutError:
                renewed = False
            except TiloresError:
                if time.monotonic() < self._until:
                    continue
                renewed = False
            if not renewed:
                self.lost.set()
                return
            self._until = sent + self._seconds


async def acquire_lease(
    backend: LeaseBackend, name: str, *, seconds: float, holder: str | None = None
) -> Lease | None:
    """The lease of `name`, or None while another holder has it. Raises `TiloresError` when that cannot be known.

        lease = await acquire_lease(store.leases, "prewarm", seconds=30.0)
        if lease is not None:
            async with lease:
                ...

    `seconds`: how long it outlives a holder that died. `holder`: by default a new name for each call.
    """
    holder = holder or f"{machine()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    asked = time.monotonic()
    try:
        fence = await backend.acquire(name, holder, seconds)
    except asyncio.CancelledError:  # it may have been granted: others need not wait until it expires
        with contextlib.suppress(TiloresError, TimeoutError):
            async with asyncio.timeout(seconds / _RENEWALS):
                await backend.release(name, holder, 0)
        raise
    return None if fence is None else Lease(backend, name, holder, fence, seconds, asked + seconds)


async def lead(
    leases: Callable[[], Awaitable[LeaseBackend]],
    name: str,
    work: Callable[[Lease], Awaitable[None]],
    *,
    seconds: float,
    pause: float,
) -> None:
    """Do the work whenever no other process does, until cancelled. `work` returns when its lease is lost.

    `pause`: seconds between two tries to get the lease. Raises what `leases` and `work` raise.
    """
    while True:
        lease = await acquire_lease(await leases(), name, seconds=seconds)
        if lease is not None:
            async with lease:
                await work(lease)
        await asyncio.sleep(pause)


def has_ended(holder: str) -> bool:
    """Whether a holder, as `acquire_lease` names them, was a process of this machine that has ended."""
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    return host == machine() and rest.isdecimal() and not process_exists(int(rest))
