"""Whether a cache tier answers: a server waits a moment for a tier that is still starting."""

from __future__ import annotations

import asyncio
from typing import Final

from tilores_core.contracts import CacheTier
from tilores_core.errors import CacheError, CacheStartingError

PATIENCE: Final = 1.0
"""Seconds for a tier to answer."""

STARTING_PATIENCE: Final = 15.0
"""Seconds for a tier that says it is starting: one that this command has started may read a long file first."""

_PROBE = "probe:probe"
_PAUSE = 0.1


async def tier_answers(tier: CacheTier, patience: float = PATIENCE) -> None:
    """Wait until the tier answers, `patience` seconds from when it last said that it was starting. Raises
    `CacheError`, or whatever the tier raised last."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    give_up = begun + patience
    while True:
        try:
            async with asyncio.timeout(patience):
                await tier.get_many([_PROBE])
        except Exception as error:  # third-party code
            now = loop.time()
            if isinstance(error, CacheStartingError) and now < begun + STARTING_PATIENCE:
                give_up = now + patience
            if now >= give_up:
                if isinstance(error, TimeoutError):
                    raise CacheError("it does not answer") from error
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return
