"""A new schema, or from any released one to it, at start-up, by one process at a time, all or nothing."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, MetaData, PrimaryKeyConstraint, String, Table, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from tilores_core.errors import NewerSchemaError
from tilores_core.store.address import Address
from tilores_core.store.database import Database
from tilores_core.store.schema import PREFIX, metadata

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")
"""Every released schema, oldest first. (Known without Alembic, which costs a second to import: only a database that
has to be migrated pays for it.)"""
_SCRIPTS: Final = Path(__file__).parent / "migrations"
HEAD: Final = REVISIONS[-1]
VERSION_TABLE: Final = f"{PREFIX}revision"
_versions: Final = Table(  # as Alembic makes it
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)

_LOCK: Final = 0x7469_6C6F_7265_73  # "tilores", so that no other program's advisory lock is the same


async def known_revision(connection: AsyncConnection, address: Address) -> str | None:
    """The revision of the schema that is there; None when there is none of ours. Raises `NewerSchemaError`."""
    if not await connection.run_sync(lambda sync: inspect(sync).has_table(VERSION_TABLE)):
        return None
    found = (await connection.execute(select(_versions.c.version_num))).scalar()
    if found is not None and found not in REVISIONS:
        raise NewerSchemaError(
            f"the database ({address.shown}) has revision {found}, and this version of tilores-core knows {HEAD} at "
            "most",
            fix="run the version that made it, or a later one; or restore the backup from before the upgrade into "
            "another database, and name that one in DATABASE_URL",
        )
    return found


async def migrate(database: Database) -> None:
    """Bring the schema to `HEAD`. Replicas that start together wait for the first, which does it.

    Raises `StoreError`, also for a database that a newer version of the program has migrated.
    """
    async with database.read() as connection:
        if await known_revision(connection, database.address) == HEAD:
            return
    async with database.write(seconds=database.limits.long) as connection:
        if database.address.kind == "postgresql":
            # SQLite's writers are alone anyway; here only migrations keep each other out.
            for name in ("lock_timeout", "statement_timeout"):
                await connection.execute(text(f"SET LOCAL {name} = {round(database.limits.long * 1000)}"))
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = await known_revision(connection, database.address)
        if found is None:
            await connection.run_sync(_create)
        elif found != HEAD:
            await asyncio.to_thread(import_module, "alembic.command")
            await connection.run_sync(upgrade)


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`, within the transaction that is open."""
    from alembic import command

    command.upgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection | None = None) -> Config:
    """What Alembic's commands take; they work in the transaction of `connection`."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _create(connection: Connection) -> None:
    """What the migrations lead to, without Alembic: most databases are new, and a test compares the two."""
    metadata.create_all(connection, checkfirst=False)
    _versions.create(connection)
    connection.execute(_versions.insert().values(version_num=HEAD))
