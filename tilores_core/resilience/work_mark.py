"""Marks in the data folder that say there is something for the worker process to do.

A worker without work waits with little more than Python loaded, and a worker at work looks at most things only from
time to time. Any process that shares its data folder wakes it with a mark: a file named after the kind of work. What
is to be done is not in the mark but in the store, so a mark that is lost costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from tilores_core.resilience.lease import Lease, LeaseBackend, acquire_lease

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_KEPT: Final = ".kept"
_LOOK_SECONDS: Final = 0.25
_LEASE_SECONDS: Final = 15.0
_WORK_SECONDS: Final = 30.0


class WorkMark:
    """The mark for one kind of work. It stays through restarts of the worker until `clear`.

        mark.set()                        # a web process or a command: there is work

        while True:                       # the worker
            mark.take()                   # before it looks, so that what is set meanwhile counts again
            more = await do_what_there_is()  # is more expected, for example a trial that goes on?
            mark.clear(unless=more)
            await mark.wait(seconds=60.0)

    Where several workers use one data folder, only the one that holds the lease for the work takes the mark.
    """

    def __init__(self, data_dir: Path, name: str) -> None:
        """Name the file of the mark. `name`: lower-case letters, digits and underscores. Raises `ValueError` for
        another."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is not a name of work: use lower-case letters, digits and underscores")
        self._new = _folder(data_dir) / name
        self._kept = self._new.with_suffix(_KEPT)

    def set(self) -> None:
        """Say that there is work. Takes some microseconds; a data folder that cannot be written is ignored."""
        _touch(self._new)

    def is_set(self) -> bool:
        """Whether it was set since the last `take`."""
        return self._new.exists()

    def take(self) -> None:
        """The worker is about to look: a later `set` counts again. A worker that is killed now looks again."""
        with suppress(OSError):
            self._new.replace(self._kept)

    def clear(self, *, unless: bool = False) -> None:
        """There is nothing to do, apart from what was set since the last `take`; `unless` there is more to do later:
        then a worker that starts begins at once."""
        with suppress(OSError):
            if unless:
                _touch(self._kept)
            else:
                self._kept.unlink(missing_ok=True)

    async def wait(self, seconds: float) -> None:
        """Return when the mark is set, and after so many seconds anyway."""
        until = time.monotonic() + seconds
        while not await asyncio.to_thread(self.is_set):
            if (left := until - time.monotonic()) <= 0:
                return
            await asyncio.sleep(min(_LOOK_SECONDS, left))


async def work_off(
    mark: WorkMark,
    leases: Callable[[], Awaitable[LeaseBackend]],
    name: str,
    waiting: Callable[[], Awaitable[Sequence[T]]],
    do: Callable[[T, Lease], Awaitable[None]],
) -> None:
    """Do what waits, the first of it first, until cancelled; one process at a time, under the lease `name`.

    What `do` has done waits no more. A process that is killed leaves the rest to the next one. Raises what the
    callables raise.
    """
    while True:
        mark.take()
        done = not await waiting()
        if not done and (lease := await acquire_lease(await leases(), name, seconds=_LEASE_SECONDS)) is not None:
            async with lease:
                while not lease.lost.is_set() and (left := await waiting()):
                    await do(left[0], lease)
                done = not lease.lost.is_set()
        mark.clear(unless=not done)
        await mark.wait(_WORK_SECONDS)


def has_work(data_dir: Path) -> bool:
    """Whether any mark is set or kept."""
    try:
        return any(_folder(data_dir).iterdir())
    except OSError:
        return False


def _folder(data_dir: Path) -> Path:
    return data_dir / "work"


def _touch(path: Path) -> None:
    with suppress(OSError):
        try:
            path.touch(0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(0o600)
