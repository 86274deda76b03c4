"""Tasks that are ended, and events that are waited for no longer than so many seconds."""

from __future__ import annotations

import asyncio
from typing import Any


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
