"""The store, opened when it is first needed. Nothing here imports SQLAlchemy before that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilores_core.errors import TiloresError
from tilores_core.store.address import Address

if TYPE_CHECKING:
    from tilores_core.store.changes import ChangeFeed, Listener
    from tilores_core.store.leases import Leases
    from tilores_core.store.store import Store


class LazyStore:
    """The one store of a process, opened by the first `get`; after a failure the next `get` tries again.

    `announce` is called with a topic by `notify`: it sends a message to the other processes, where there is a way.
    """

    def __init__(self, address: Address, *, announce: Callable[[str], None] = lambda _: None) -> None:
        self.address = address
        self._announce = announce
        self._opening: asyncio.Task[Store] | None = None
        self._store: Store | None = None
        self._feed: ChangeFeed | None = None
        self._listeners: list[tuple[str, Listener]] = []

    @property
    def opened(self) -> Store | None:
        """The store, if it has been opened."""
        return self._store

    @property
    def failing_since(self) -> float | None:
        """`time.monotonic()` of the first of the polls that failed in a row; None when the last one did not."""
        return None if self._feed is None else self._feed.failing_since

    async def get(self) -> Store:
        """The open store. Raises `ConfigError`, `StoreError`."""
        if self._store is not None:
            return self._store
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_note_error)
        # A caller that is cancelled leaves it open for the others, and `aclose` a whole store to close.
        return await asyncio.shield(self._opening)

    async def _open(self) -> Store:
        try:
            # Half a second of importing: in a thread, so that requests are answered meanwhile.
            module: Any = await asyncio.to_thread(import_module, "tilores_core.store.store")
            store: Store = await module.Store.open(self.address)
        finally:
            self._opening = None
        self._store = store
        self._watch()
        return store

    async def leases(self) -> Leases:
        """Raises as `get`."""
        return (await self.get()).leases

    async def warm_up(self) -> None:
        """Open it before it is needed. Never raises: `get` tries again, and its caller says what failed."""
        with suppress(TiloresError):
            await self.get()

    # --- changes -----------------------------------------------------------------------------------------

    def listen(self, topic: str, listener: Listener) -> None:
        """Call `listener`, which must be quick, soon after a change of the topic, once the store is open."""
        self._listeners.append((topic, listener))
        if self._feed is not None:
            self._feed.listen(topic, listener)
        else:
            self._watch()

    def notify(self, topic: str) -> None:
        """Tell the other processes that this one has committed a change of the topic."""
        self._announce(topic)

    def poll_now(self) -> None:
        """Poll for changes now, because another process announced one."""
        if self._feed is not None:
            self._feed.poll_now()

    def _watch(self) -> None:
        if not self._listeners or self._store is None:
            return
        from tilores_core.store.changes import ChangeFeed

        self._feed = ChangeFeed(self._store.changes)
        for topic, listener in self._listeners:
            self._feed.listen(topic, listener)
        self._feed.start()

    async def ping(self) -> bool:
        """Make a query without effect; False if the store is not open. Raises `StoreError`."""
        if self._store is None:
            return False
        from sqlalchemy import text

        async with self._store.database.read() as connection:
            await connection.execute(text("SELECT 1"))
        return True

    async def aclose(self) -> None:
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._feed is not None:
            await self._feed.aclose()
            self._feed = None
        if self._store is not None:
            await self._store.aclose()
            self._store = None


def _note_error(opening: asyncio.Task[Store]) -> None:
    """Its callers raise the error; asyncio is not to report it as well when all of them were cancelled."""
    if not opening.cancelled():
        opening.exception()
