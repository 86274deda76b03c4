"""A counter per topic, raised with every change: replicas see cheaply whether another process changed something."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, String, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, metadata, upsert

changes = Table(
    f"{PREFIX}changes",
    metadata,
    Column("topic", String(64), primary_key=True),
    Column("counter", BigInteger, nullable=False),
)


async def bump(connection: AsyncConnection, *topics: str) -> None:
    """Raise the counters of `topics` within the transaction that makes the change.

    A reader of the new counter sees the change as well. A topic stays locked until the transaction ends, so this is
    its last statement; several topics go into one call, which locks them in one order.
    """
    for topic in sorted(topics):
        await upsert(connection, changes, [{"topic": topic, "counter": 1}], add=["counter"])


class Changes:
    """The counters, by topic."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counters(self) -> dict[str, int]:
        """All counters by topic; one that was never raised is not there. Raises `StoreError`."""
        return {row.topic: row.counter for row in await self._database.rows(select(changes))}

    async def since(self, known: Mapping[str, int]) -> dict[str, int]:
        """The counters that are not as in `known`. (They may be lower: another state was put in place.)"""
        return {topic: counter for topic, counter in (await self.counters()).items() if known.get(topic) != counter}

    async def bump(self, *topics: str) -> None:
        """In a transaction of its own, for a change that is not in this database."""
        async with self._database.write() as connection:
            await bump(connection, *topics)
