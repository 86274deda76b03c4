"""Leases in the database: see `tilores_core.resilience.acquire_lease`. When a holder dies, another may follow.

A holder that was suspended may wake after its lease is over and still believe that it has it. What it then writes
differs from its follower's by the fence, a number that rises with every acquisition of that name and never falls.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ColumnElement, String, Table, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import StoreError
from tilores_core.resilience.lease import Lease, acquire_lease, has_ended
from tilores_core.store.repository import Repository
from tilores_core.store.schema import PREFIX, fitting, insert, metadata, milliseconds, now_ms

leases = Table(
    f"{PREFIX}leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)


class Leases(Repository):
    """A `LeaseBackend`. All is measured by the database's clock. Every method raises `StoreError`."""

    async def acquire(self, name: str, holder: str, seconds: float) -> int | None:
        """The fence; None while someone has the lease, even the same holder, which may have been restarted."""
        expires = now_ms() + milliseconds(seconds)
        name, holder = fitting(leases.c.name, name), fitting(leases.c.holder, holder)
        async with self._database.write() as connection:
            statement = insert(connection, leases).values(name=name, holder=holder, fence=1, expires_ms=expires)
            statement = statement.on_conflict_do_update(
                index_elements=[leases.c.name],
                set_={"holder": holder, "fence": leases.c.fence + 1, "expires_ms": expires},
                where=leases.c.expires_ms <= now_ms(),
            )
            fence: int | None = (await connection.execute(statement.returning(leases.c.fence))).scalar()
            return fence

    async def renew(self, name: str, holder: str, fence: int, seconds: float) -> bool:
        return await self._expire(name, holder, fence, now_ms() + milliseconds(seconds))

    async def release(self, name: str, holder: str, fence: int) -> bool:
        """Let others have it at once. The row stays, for its fence."""
        return await self._expire(name, holder, fence, literal(0))

    async def holder(self, name: str) -> str | None:
        """Who has it now."""
        rows = await self._rows(select(leases.c.holder).where(leases.c.name == name, leases.c.expires_ms > now_ms()))
        return rows[0].holder if rows else None

    async def take(self, name: str, *, seconds: float) -> Lease | None:
        """As `acquire_lease`, and at once where its holder was a process of this machine that was killed."""
        lease = await acquire_lease(self, name, seconds=seconds)
        if lease is None and await self.end_if_holder_died(name):
            lease = await acquire_lease(self, name, seconds=seconds)
        return lease

    async def end_if_holder_died(self, name: str) -> bool:
        """End the lease now where its holder was a process of this machine that has ended; whether it is free."""
        holder = await self.holder(name)
        if holder is None or not has_ended(holder):
            return holder is None
        mine = leases.c.name == name, leases.c.holder == holder
        await self._change(update(leases).where(*mine).values(expires_ms=0))
        return True

    async def forget(self, name: str) -> None:
        """Remove a name that will not be asked for again, fence and all; not while someone has it."""
        await self._change(delete(leases).where(leases.c.name == name, leases.c.expires_ms <= now_ms()))

    async def _expire(self, name: str, holder: str, fence: int, at: ColumnElement[int]) -> bool:
        mine = leases.c.name == name, leases.c.holder == fitting(leases.c.holder, holder), leases.c.fence == fence
        return (
            await self._change(update(leases).where(*mine, leases.c.expires_ms > now_ms()).values(expires_ms=at)) > 0
        )


async def require_lease(connection: AsyncConnection, name: str, fence: int) -> None:
    """Continue a transaction only under this lease, which no other process can acquire before the transaction ends.

    Raises `StoreError` when it is over or another holder has it.
    """
    statement = select(leases.c.name).where(
        leases.c.name == name, leases.c.fence == fence, leases.c.expires_ms > now_ms()
    )
    if (await connection.execute(statement.with_for_update(read=True))).first() is None:
        raise StoreError(f"the lease '{name}' is over: another process has taken it", fix=None)
