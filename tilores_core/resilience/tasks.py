"""The task that runs, tasks that are ended, and events that are waited for no longer than so many seconds."""

from __future__ import annotations

import asyncio
import threading
from typing import Any


class _Thread(threading.local):
    loop: asyncio.AbstractEventLoop | None = None
    """The loop that ran in this thread when it was last looked for."""


_thread = _Thread()


def current_task() -> asyncio.Task[Any]:
    """`asyncio.current_task`, for what each request passes several times: to find the loop, Python 3.11 asks the
    operating system for the process's id each time, which takes longer than the rest of a time limit.

    Raises `RuntimeError` where no task runs.
    """
    task = None if _thread.loop is None else asyncio.current_task(_thread.loop)
    if task is None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("this needs a task")
        _thread.loop = task.get_loop()
    return task


async def cancel_tasks(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel these tasks and wait until they have ended, whatever they raise. None: one that was not begun."""
    begun = [task for task in tasks if task is not None]
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


async def wait_for_event(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until it is set, or for so many seconds (None: without a limit); whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
