"""How many calls of one provider run at once: the others wait their turn, live ones first."""

from __future__ import annotations

import asyncio
from collections import deque

from tilores_core.errors import OverloadedError
from tilores_core.resilience import Priority
from tilores_core.settings import RoutingTable


def background_share(limit: int) -> int:
    """How many of a provider's places background work may have."""
    return max(1, limit - limit // 4)


class Limits:
    """The limit of each upstream, by its name; `[routing.concurrent]` names providers."""

    def __init__(self, routing: RoutingTable) -> None:
        self._routing = routing
        self._limits: dict[str, ProviderLimit] = {}  # of as many as `SupportsUpstreams` allows

    def of(self, upstream: str) -> ProviderLimit:
        known = self._limits.get(upstream)
        if known is None:
            routing = self._routing
            known = self._limits[upstream] = ProviderLimit(
                upstream,
                limit=routing.concurrent.get(upstream.partition(":")[0], routing.max_concurrent),
                max_waiting=routing.max_waiting,
            )
        return known


class ProviderLimit:
    """At most `limit` calls at once, at most `max_waiting` waiting.

    Background work gets three quarters of the places, so that a caller finds one free sooner.
    """

    def __init__(self, upstream: str, *, limit: int, max_waiting: int) -> None:
        self.upstream = upstream
        self._limit = limit
        self._behind = background_share(limit)
        self._max_waiting = max_waiting
        self._live: deque[asyncio.Future[None]] = deque()
        self._background: deque[asyncio.Future[None]] = deque()
        self.busy = 0

    @property
    def waiting(self) -> int:
        return len(self._live) + len(self._background)

    def try_enter(self, *, live: bool) -> bool:
        """Take a place if one is free and no other call waits for it; to be given back with `leave`."""
        if not self._free(live) or self._live or (self._background and not live):
            return False
        self.busy += 1
        return True

    async def enter(self, priority: Priority, *, seconds: float) -> None:
        """Wait for a place, to be given back with `leave`. Raises `OverloadedError`."""
        if self.try_enter(live=priority.live):
            return
        if self.waiting >= self._max_waiting:
            raise self._full()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._live if priority.live else self._background).append(place)

        def promoted() -> None:
            if not place.done():
                self._background.remove(place)
                self._live.append(place)
                self._let_in()

        priority.on_promote(promoted)
        try:
            async with asyncio.timeout(seconds):
                await place
        except BaseException as error:
            if place.cancelled() or not place.done():
                (self._live if place in self._live else self._background).remove(place)
            else:
                self.leave()  # it came in the very moment of leaving
            if isinstance(error, TimeoutError):
                raise self._full() from None
            raise
        finally:
            priority.remove_callback(promoted)

    def leave(self) -> None:
        self.busy -= 1
        if self._live or self._background:
            self._let_in()

    def _let_in(self) -> None:
        for queue, live in ((self._live, True), (self._background, False)):
            while queue and self._free(live):
                place = queue[0]
                if place.done():  # it gave up, and is about to leave the queue itself
                    break
                queue.popleft()
                self.busy += 1
                place.set_result(None)

    def _free(self, live: bool) -> bool:
        return self.busy < (self._limit if live else self._behind)

    def _full(self) -> OverloadedError:
        return OverloadedError(
            f"too many calls of {self.upstream!r} at once",
            fix="try again in a second, or raise [routing] max_concurrent",
        )
