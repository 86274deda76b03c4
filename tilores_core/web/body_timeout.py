"""An end to requests whose body does not arrive."""

from __future__ import annotations

import asyncio
from time import monotonic

from tilores_core.errors import DeadlineExceededError
from tilores_core.web.http_exchange import HttpExchange

_LOOKS_PER_LIMIT = 6


class BodyTimeout:
    """Reads bodies and gives each at most `seconds`, and a sixth of that more.

    One look at all that wait, every few seconds, instead of a timer for each: a timer costs as much as the rest of
    reading a body that is there already, and nearly all are. Who is late gets the error as a reply; the server then
    tells the reader, who still waits, that the exchange is over.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[HttpExchange, float] = {}
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._look())

    async def aclose(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def read(self, exchange: HttpExchange, limit: int) -> bytes:
        """The body. Raises as `HttpExchange.body`; a late one ends with `ClientGoneError`."""
        self._since[exchange] = monotonic()
        try:
            return await exchange.body(limit)
        finally:
            del self._since[exchange]

    async def _look(self) -> None:
        late = DeadlineExceededError(f"the body did not arrive within {self._seconds:g} s", fix="send it at once")
        while True:
            await asyncio.sleep(self._seconds / _LOOKS_PER_LIMIT)
            begun_before = monotonic() - self._seconds
            for exchange in [one for one, since in self._since.items() if since < begun_before and not one.status]:
                await exchange.reply(*exchange.error_reply(late))
