"""The store, opened when it is first needed. Nothing here imports SQLAlchemy before that."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tilores_core.store.address import Address

if TYPE_CHECKING:
    from tilores_core.store.store import Store


class LazyStore:
    """One store of a process, for whoever comes first. One that could not be opened is tried anew by the next."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._opening = asyncio.Lock()
        self._store: Store | None = None

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
        return self._store

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
            if self._store is not None:
                await self._store.aclose()
                self._store = None
