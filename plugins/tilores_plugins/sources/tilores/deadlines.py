"""How long one look-up may take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tilores_core import SourceUnavailableError, current_purpose
from tilores_plugins.sources.tilores.settings import Settings
from tilores_plugins.sources.tilores.status import Status


@dataclass(frozen=True, slots=True)
class Deadline:
    """Both on `time.monotonic()`. Past `soft`, what is optional is left out; past `hard`, all is."""

    soft: float
    hard: float

    @property
    def left(self) -> float:
        return max(0.0, self.hard - time.monotonic())

    @property
    def pressed(self) -> bool:
        return time.monotonic() >= self.soft


def in_background() -> bool:
    """Whether the current work is in the background: no caller waits for it."""
    return current_purpose.get() != "live"


@asynccontextmanager
async def deadline(settings: Settings, status: Status, what: str) -> AsyncIterator[Deadline]:
    """Raises `SourceUnavailableError` once the time for `what` is over."""
    now = time.monotonic()
    hard = (
        max(settings.hard_seconds, settings.background_timeout_seconds) if in_background() else settings.hard_seconds
    )
    limit = Deadline(now + min(settings.soft_timeout_seconds, hard), now + hard)
    try:
        async with asyncio.timeout(hard):
            yield limit
    except TimeoutError:
        message = f"the Tilores instance did not answer within {hard:g} s ({what})"
        status.record_failure(message)
        raise SourceUnavailableError(
            message, fix="try again; TILORES_TIMEOUT_SECONDS or [plugins.tilores] timeout_seconds sets the limit"
        ) from None
