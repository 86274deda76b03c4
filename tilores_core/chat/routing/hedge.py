"""Hedged calls: a second call when the first token is late; the call with the first token is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Claim = Callable[[], bool]


async def hedged(run: Callable[[Claim, bool], Coroutine[Any, Any, T]], *, after: float) -> T:
    """The result of `run(claim, second)`, which is started again when nothing was claimed within `after` seconds.

    Each run calls `claim` at its first token. It returns True for the first caller, which continues while the other
    run is cancelled. When one fails before it has claimed, the other continues; when both fail, the error of the
    first run is raised.
    """
    winner: asyncio.Task[T] | None = None
    tasks: list[asyncio.Task[T]] = []
    claimed = asyncio.Event()

    def claim() -> bool:
        nonlocal winner
        me = asyncio.current_task()
        if winner is None:
            winner = next(task for task in tasks if task is me)
            claimed.set()
            for task in tasks:
                if task is not me:
                    task.cancel()
        return winner is me

    try:
        tasks.append(asyncio.create_task(run(claim, False)))
        first_claim = asyncio.create_task(claimed.wait())
        try:
            await asyncio.wait({tasks[0], first_claim}, timeout=after, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first_claim.cancel()
        if winner is None and not tasks[0].done():
            tasks.append(asyncio.create_task(run(claim, True)))
        return await _first_good(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first_good(tasks: list[asyncio.Task[T]]) -> T:
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled() and task.exception() is None:
                return task.result()
    failed = [task for task in tasks if not task.cancelled()]
    return (failed or tasks)[0].result()
