"""The task that runs, tasks that are ended, timers, and events that are waited for no longer than so many seconds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

Callbacks = set[Callable[[], None]]


class _Thread(threading.local):
    loop: asyncio.AbstractEventLoop | None = None
    """The loop that ran in this thread when it was last looked for."""

    def __init__(self) -> None:
        self.timers: dict[float, Callbacks] = {}  # of `loop`, by its time


_thread = _Thread()


def current_task() -> asyncio.Task[Any]:
    """`asyncio.current_task`, for what each request passes several times: to find the loop, Python 3.11 asks the
    operating system for the process's id each time, which takes longer than the rest of a time limit.

    Raises `RuntimeError` where no task runs.
    """
    loop = _thread.loop
    task = None if loop is None else asyncio.current_task(loop)
    if task is None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("this needs a task")
        _thread.loop, _thread.timers = task.get_loop(), {}
    return task


def call_about(loop: asyncio.AbstractEventLoop, seconds: float, callback: Callable[[], None]) -> Callbacks:
    """Call `callback` after `seconds`, or up to a tenth of a second later (a fortieth, below one second), unless it
    is discarded from what this returns.

    For what each request sets and nearly none needs: all that is due at about one time shares one timer of the loop,
    which takes a fifth of the time that a timer for each does. `seconds` is finite; the callback must not raise.
    """
    if _thread.loop is not loop:
        _thread.loop, _thread.timers = loop, {}
    grain = 0.1 if seconds >= 1.0 else 0.025
    when = (loop.time() + seconds) // grain * grain + grain
    timers = _thread.timers
    due = timers.get(when)
    if due is None:
        due = timers[when] = set()
        loop.call_at(when, _call_due, timers, when, context=Context())  # not that of the request which is the first
    due.add(callback)
    return due


def _call_due(timers: dict[float, Callbacks], when: float) -> None:
    due = timers.pop(when)
    while due:  # one of them may discard others
        due.pop()()


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
