"""Leases: who alone may do something, until when. A holder that dies is followed by another when its time is over.

A holder that was merely asleep may wake after that and still think it holds. What it then writes is told from its
follower's by the fence, a number that rises with every acquisition of that name and never falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Row, String, Table, delete, select, update

from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, fitting, instant, metadata, milliseconds, now_ms
from tilores_core.store.upsert import insert

leases = Table(
    f"{PREFIX}leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """`expires` is by the database's clock: to be shown, not to be compared with a clock of this machine."""

    name: str
    holder: str
    fence: int
    expires: datetime


class Leases:
    """All measured by the database's clock. Every method raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """The lease, or None while somebody has it, be it the same holder: its earlier self may still be at work."""
        expires = now_ms() + milliseconds(seconds)
        name, holder = fitting(leases.c.name, name), fitting(leases.c.holder, holder)
        async with self._database.write() as connection:
            statement = insert(connection, leases).values(name=name, holder=holder, fence=1, expires_ms=expires)
            statement = statement.on_conflict_do_update(
                index_elements=[leases.c.name],
                set_={"holder": holder, "fence": leases.c.fence + 1, "expires_ms": expires},
                where=leases.c.expires_ms <= now_ms(),
            )
            return _lease((await connection.execute(statement.returning(*leases.c))).first())

    async def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """The lease with `seconds` from now; None when it is over, and then the work must stop."""
        async with self._database.write() as connection:
            statement = update(leases).where(*_same(lease), leases.c.expires_ms > now_ms())
            statement = statement.values(expires_ms=now_ms() + milliseconds(seconds))
            return _lease((await connection.execute(statement.returning(*leases.c))).first())

    async def release(self, lease: Lease) -> bool:
        """Let others have it at once. False when it was not ours any more. The row stays, for its fence."""
        async with self._database.write() as connection:
            statement = update(leases).where(*_same(lease), leases.c.expires_ms > now_ms()).values(expires_ms=0)
            return (await connection.execute(statement)).rowcount > 0

    async def current(self, name: str) -> Lease | None:
        """Who holds it now."""
        async with self._database.read() as connection:
            statement = select(leases).where(leases.c.name == name, leases.c.expires_ms > now_ms())
            return _lease((await connection.execute(statement)).first())

    async def forget(self, name: str) -> None:
        """Remove a name that nobody will ask for again, fence and all; not while it is held."""
        async with self._database.write() as connection:
            await connection.execute(delete(leases).where(leases.c.name == name, leases.c.expires_ms <= now_ms()))


def _same(lease: Lease) -> tuple[Any, ...]:
    return leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.fence == lease.fence


def _lease(row: Row[Any] | None) -> Lease | None:
    return None if row is None else Lease(row.name, row.holder, row.fence, instant(row.expires_ms))
