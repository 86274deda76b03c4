"""What the worker process does all the time, supervised: a task that fails is started again, and the others go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from tilores_core.errors import TiloresError
from tilores_core.logs import sanitize_exception
from tilores_core.resilience import cancel_tasks

if TYPE_CHECKING:
    from tilores_core.services import Services

log = structlog.get_logger(part="worker")

FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_HEALTHY_SECONDS: Final = 60.0
"""After so many seconds without a failure the next pause is the first again."""


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """Something that the worker process does from its first work until its end.

    `run` goes on until it is cancelled, or returns when nothing is left to do in this process. What it raises is
    logged, and it is called again after a pause that doubles up to a minute; so it keeps in the store what must
    outlive a failure. Several workers may run: what must be done once is done under a lease (`acquire_lease`).
    """

    name: str
    run: Callable[[Services], Awaitable[None]]


@asynccontextmanager
async def run_tasks(
    services: Services, tasks: Sequence[WorkerTask], *, first_pause: float = FIRST_PAUSE
) -> AsyncIterator[None]:
    """Run the tasks while the block runs. `first_pause`: seconds before a task that failed is started again."""
    running = [asyncio.create_task(_supervise(services, task, first_pause), name=task.name) for task in tasks]
    try:
        yield
    finally:
        await cancel_tasks(*running)


async def _supervise(services: Services, task: WorkerTask, first_pause: float) -> None:
    pause = first_pause
    while True:
        begun = time.monotonic()
        try:
            await task.run(services)
            return
        except Exception as error:
            if time.monotonic() - begun > _HEALTHY_SECONDS:
                pause = first_pause
            said, trace = type(error).__name__, None
            if isinstance(error, TiloresError):
                said = error.message
            else:
                trace = sanitize_exception(error)
            log.error("worker.task_failed", task=task.name, error=said, restart_in_s=pause, exc_info=trace)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)
