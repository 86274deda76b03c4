"""The store, opened when it is first needed. Nothing here imports SQLAlchemy before that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilores_core.store.address import Address

if TYPE_CHECKING:
    from tilores_core.store.feed import ChangeFeed, Listener
    from tilores_core.store.store import Store


class LazyStore:
    """One store of a process, for whoever comes first. One that could not be opened is tried anew by the next.

    `announce` is called with a topic when `changed` is: it tells the other processes at once, where there is a way.
    """

    def __init__(self, address: Address, *, announce: Callable[[str], None] = lambda _: None) -> None:
        self.address = address
        self._announce = announce
        self._opening = asyncio.Lock()
        self._store: Store | None = None
        self._feed: ChangeFeed | None = None
        self._listeners: list[tuple[str, Listener]] = []

    @property
    def opened(self) -> Store | None:
        """The store, when somebody has needed it."""
        return self._store

    async def get(self) -> Store:
        """The open store. Raises `ConfigError`, `StoreError`."""
        if self._store is None:
            async with self._opening:
                if self._store is None:
                    # Half a second of importing: in a thread, so that requests are answered meanwhile.
                    module: Any = await asyncio.to_thread(import_module, "tilores_core.store.store")
                    self._store = await module.Store.open(self.address)
                    self._watch()
        return self._store

    # --- what others change ------------------------------------------------------------------------------

    def listen(self, topic: str, listener: Listener) -> None:
        """`listener` is told soon after others have changed something, from when the store has been opened. It must
        be quick."""
        self._listeners.append((topic, listener))
        if self._feed is not None:
            self._feed.listen(topic, listener)
        else:
            self._watch()

    def changed(self, topic: str) -> None:
        """This process has changed something, and written so into the store: others may look now."""
        self._announce(topic)

    def hasten(self) -> None:
        """Look for changes now: somebody announced some."""
        if self._feed is not None:
            self._feed.hasten()

    def _watch(self) -> None:
        if not self._listeners or self._store is None:
            return
        from tilores_core.store.feed import ChangeFeed

        self._feed = ChangeFeed(self._store.changes)
        for topic, listener in self._listeners:
            self._feed.listen(topic, listener)
        self._feed.start()

    async def ping(self) -> bool:
        """Ask the database for nothing; False while nobody has needed it. Raises `StoreError`."""
        if self._store is None:
            return False
        from sqlalchemy import text

        async with self._store.database.read() as connection:
            await connection.execute(text("SELECT 1"))
        return True

    async def aclose(self) -> None:
        async with self._opening:
            if self._feed is not None:
                await self._feed.aclose()
                self._feed = None
            if self._store is not None:
                await self._store.aclose()
                self._store = None
