"""Connections and transactions of one database, each with a deadline.

SQLite: write-ahead log, `synchronous = FULL`: what was committed is on the disk, also when the power fails, for one
fsync per commit. Writers queue for the one lock there is (`BEGIN IMMEDIATE`); readers see the state at
their start and never wait. PostgreSQL: as durable as the server is set to be (`synchronous_commit`).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

import orjson
from sqlalchemy import Executable, Row, event
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tilores_core.errors import ConfigError, StoreUnavailableError
from tilores_core.store.address import Address
from tilores_core.store.faults import map_errors, sqlite_error

_BEGIN: Final = "tilores_begin"
"""The statement that begins a transaction in SQLite; "" for a single statement, which needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds, but for `connections`, which is per process."""

    connections: int = 5
    connect: float = 5.0
    lock: float = 5.0
    call: float = 10.0
    """A whole transaction, waiting for a connection and for locks included; letting go of a connection that does not
    answer may take two seconds more."""
    long: float = 600.0
    """A migration, an export or an import."""


class Database:
    """The one door to the database of `address`. Nothing is opened before the first transaction."""

    def __init__(self, address: Address, limits: Limits | None = None) -> None:
        self.address = address
        self.limits = limits or Limits()
        self._engine = (
            _sqlite(address, self.limits) if address.kind == "sqlite" else _postgresql(address, self.limits)
        )
        # In SQLite one writes at a time: waiting here is fair and wakes at once, waiting there is polling.
        self._writing = asyncio.Lock() if address.kind == "sqlite" else None

    @asynccontextmanager
    async def read(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads, and sees one state throughout. Raises `StoreError`."""
        async with self._transaction(seconds, "BEGIN") as connection:
            yield connection

    async def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """What one statement finds, without a transaction around it. Raises `StoreError`."""
        async with self._transaction(None, "") as connection:
            return (await connection.execute(statement)).all()

    @asynccontextmanager
    async def write(self, *, seconds: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed, on the disk, when the block has ended. Raises `StoreError`.

        After a `StoreUnavailableError` with `perhaps_done` it may have been committed or not; after any other error
        it was not.
        """
        ended = False
        try:
            async with self._transaction(seconds, "BEGIN IMMEDIATE") as connection:
                yield connection
                ended = True
        except StoreUnavailableError as error:
            error.perhaps_done = ended
            raise

    async def aclose(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def _transaction(
        self, seconds: float | None, begin: Literal["", "BEGIN", "BEGIN IMMEDIATE"]
    ) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            stack.enter_context(map_errors(self.address))
            await stack.enter_async_context(asyncio.timeout(self.limits.call if seconds is None else seconds))
            if begin == "BEGIN IMMEDIATE" and self._writing is not None:
                await stack.enter_async_context(self._writing)
            with map_errors(self.address, connecting=True):
                connection = await stack.enter_async_context(self._engine.connect())
            options: dict[str, Any] = {_BEGIN: begin}
            if self.address.kind == "postgresql" and begin == "BEGIN":
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            elif self.address.kind == "postgresql" and not begin:
                options |= {"isolation_level": "AUTOCOMMIT"}
            await connection.execution_options(**options)
            if begin:
                await stack.enter_async_context(connection.begin())
            yield connection


def _sqlite(address: Address, limits: Limits) -> AsyncEngine:
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(address.path)),
        connect_args={"timeout": limits.lock, "isolation_level": None},
        **_common(limits),
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver would begin only before the first write, and then fail where it should wait.
        if begin := connection.get_execution_options()[_BEGIN]:
            connection.exec_driver_sql(begin)

    return engine


def make_file(address: Address, limits: Limits) -> None:
    """Create SQLite's file, and its folder, for their owner only, and switch it to its write-ahead log for good.

    SQLite gives the files beside it the same mode. Raises `StoreError`. It blocks: for a thread.
    """
    try:
        address.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(address.path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise address.open_error(error) from None
    end = time.monotonic() + limits.lock
    with closing(sqlite3.connect(address.path, timeout=limits.lock)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.Error as error:
                failure = sqlite_error(address, str(error))
                # SQLite does not wait for this switch, whatever its timeout says: another process is making it.
                if not isinstance(failure, StoreUnavailableError) or time.monotonic() > end:
                    raise failure from None
            time.sleep(0.01)


def _postgresql(address: Address, limits: Limits) -> AsyncEngine:
    if find_spec("asyncpg") is None:
        fix = "pip install 'tilores-core[postgres]'"
        raise ConfigError("PostgreSQL's driver is not installed", where="DATABASE_URL", fix=fix)

    async def connect(**_: Any) -> Any:
        asyncpg: Any = await asyncio.to_thread(import_module, "asyncpg")
        # asyncpg reads the address as libpq does, sslmode and sockets included; SQLAlchemy does not.
        return await asyncpg.connect(
            address.dsn.get_secret_value(),
            timeout=limits.connect,
            command_timeout=limits.long,
            server_settings={
                "application_name": "tilores",
                "lock_timeout": str(round(limits.lock * 1000)),
                "statement_timeout": str(round(limits.call * 1000)),
                # A client that was cut off must not keep its locks, and they must go with it soon.
                "idle_in_transaction_session_timeout": str(round(limits.call * 2000)),
            },
        )

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_pre_ping=True, pool_recycle=1800, **_common(limits)
    )


def _common(limits: Limits) -> dict[str, Any]:
    return {
        "pool_size": limits.connections,
        "max_overflow": 0,
        "pool_timeout": limits.call,
        "hide_parameters": True,
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
    }
