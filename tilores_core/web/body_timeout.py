"""Times out requests whose body arrives too slowly."""

from __future__ import annotations

import asyncio
from time import monotonic

from tilores_core.errors import DeadlineExceededError
from tilores_core.resilience import cancel_tasks
from tilores_core.web.http_exchange import HttpExchange

_CHECKS_PER_LIMIT = 6


class BodyTimeout:
    """Reads bodies; one that takes longer than `seconds` (up to a sixth more) is answered with an error.

    One task checks all pending bodies every few seconds. A timer per request would cost as much as reading a body
    that has arrived already, as nearly all have. The error is sent as the reply, which ends the pending read.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[HttpExchange, float] = {}
        self._checker: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._checker = asyncio.get_running_loop().create_task(self._check())

    async def aclose(self) -> None:
        await cancel_tasks(self._checker)

    async def read(self, exchange: HttpExchange, limit: int) -> bytes:
        """The body. Raises as `HttpExchange.body`; a late one ends with `ClientGoneError`."""
        self._since[exchange] = monotonic()
        try:
            return await exchange.body(limit)
        finally:
            del self._since[exchange]

    async def _check(self) -> None:
        late = DeadlineExceededError(f"the body did not arrive within {self._seconds:g} s", fix="send it at once")
        while True:
            await asyncio.sleep(self._seconds / _CHECKS_PER_LIMIT)
            begun_before = monotonic() - self._seconds
            for exchange in [one for one, since in self._since.items() if since < begun_before and not one.status]:
                await exchange.reply(*exchange.error_reply(late))
